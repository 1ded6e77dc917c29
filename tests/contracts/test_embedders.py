"""Contract tests that run for every registered embedder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from support.fakes import NullEmbeddingCache, RecordingMeter
from support.plugins import install_example, use_site
from support.small_models import make_onnx_folder, make_static_folder
from support.upstream import DIM, KEY, run_upstream

from semsearch.core.event_loop import EventLoopThread
from semsearch.core.plugins import find_plugins
from semsearch.core.ports import Embedder
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders import EMBEDDERS, EmbedderDeps, make_embedder
from semsearch.models.embedders.custom import CustomEmbedder
from semsearch.models.openai.client import OpenAIClient

SPECS = {
    "local": "local",
    "openai": f"openai:any@{DIM}",
    "onnx": "onnx:{models}/onnx",
    "static": "static:{models}/static",
    "plugin": "trigrams:64",
}
TEXTS = ["The lamp burns in the fog.", "A bell rings at night.", "x", "Zwölf Boxkämpfer", "東京都", "lamp " * 300]


class Subject:
    """An embedder and the event loop that runs it."""

    def __init__(self, embedder: Embedder, loop: EventLoopThread) -> None:
        self.embedder, self.loop = embedder, loop

    def embed(self, texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        """Return the vectors of these texts."""
        return self.loop.wait(self.embedder.embed(texts, RequestContext("query" if query else "ingest"), query=query))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small ONNX model and a small static model."""
    folder = tmp_path_factory.mktemp("models")
    make_onnx_folder(folder / "onnx")
    make_static_folder(folder / "static")
    return folder


def count_characters(texts: list[str]) -> list[list[float]]:
    """Embed a text by how often it has each of a few characters, and by its length."""
    return [[float(text.count(character)) for character in "abelmnpx東"] + [len(text)] for text in texts]


def make_subject(name: str, models: Path, deps: EmbedderDeps) -> Embedder:
    """Make the embedder of a SPEC, or that of a function."""
    return make_embedder(SPECS[name].format(models=models), deps) if name in SPECS else CustomEmbedder(count_characters)


@pytest.fixture(params=[*EMBEDDERS, "custom", "plugin"])
def subject(
    request: pytest.FixtureRequest, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Subject]:
    """Return each registered embedder, that of a function, and one of a plugin; it can reach a model server."""
    if request.param == "plugin":
        use_site(monkeypatch, tmp_path / "site")
        install_example(tmp_path / "site")
    with run_upstream() as upstream:
        endpoint = Endpoint(f"{upstream.url.removesuffix('/v1')}/v1", Secret(KEY))
        client, loop = OpenAIClient(endpoint.base_url, endpoint.key.read, meter=RecordingMeter()), EventLoopThread()
        yield Subject(
            make_subject(
                request.param, models, EmbedderDeps(Settings(embeddings=endpoint), lambda _: client, NullEmbeddingCache)
            ),
            loop,
        )
        loop.wait(client.aclose())
        loop.close()
    find_plugins.cache_clear()  # else later tests would find the plugin


def test_vectors_are_unit_vectors_in_the_order_of_the_texts(subject: Subject) -> None:
    """A text has the same float32 vector alone, in a batch, and in reverse order."""
    vectors, reversed_vectors, query_vectors = (
        subject.embed(TEXTS),
        subject.embed(TEXTS[::-1]),
        subject.embed(TEXTS[:1], query=True),
    )
    assert vectors.shape == (len(TEXTS), subject.embedder.dim)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors, reversed_vectors[::-1], atol=1e-6)
    assert np.allclose(vectors[:1], query_vectors, atol=1e-6)


def test_blank_text_has_a_zero_vector(subject: Subject) -> None:
    """A text without tokens gives zeros, not NaN; no text gives no vector."""
    assert subject.embed([]).shape == (0, subject.embedder.dim)
    assert not subject.embed([" \n "]).any()


def test_embedder_declares_its_properties(subject: Subject) -> None:
    """It has a name, a weight between 0 and 1 for every language, and a batch size."""
    assert subject.embedder.name
    assert set(subject.embedder.dense_weights) == {"en", "latin", "other"}
    assert all(0 <= weight <= 1 for weight in subject.embedder.dense_weights.values())
    assert subject.embedder.batch_size >= subject.embedder.concurrency >= 1
