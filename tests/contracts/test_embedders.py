"""What every embedder promises; the registry is the list of parameters."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import support.upstream as double
from support.fakes import NullEmbeddingCache, RecordingMeter
from support.small_models import make_onnx_folder, make_static_folder

from semsearch.core.event_loop import EventLoopThread
from semsearch.core.ports import Embedder
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders import EMBEDDERS, EmbedderDeps, make_embedder
from semsearch.models.openai.client import OpenAIClient

SPECS = {
    "local": "local",
    "openai": f"openai:any@{double.DIM}",
    "onnx": "onnx:{models}/onnx",
    "static": "static:{models}/static",
}
TEXTS = ["The lamp burns in the fog.", "A bell rings at night.", "x", "Zwölf Boxkämpfer", "東京都", "lamp " * 300]


class Subject:
    """An embedder, and the loop on which it works."""

    def __init__(self, made: Embedder, loop: EventLoopThread) -> None:
        self.embedder, self.loop = made, loop

    def embed(self, texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        """Wait for the vectors."""
        return self.loop.wait(self.embedder.embed(texts, RequestContext("query" if query else "ingest"), query=query))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of each kind."""
    folder = tmp_path_factory.mktemp("models")
    make_onnx_folder(folder / "onnx")
    make_static_folder(folder / "static")
    return folder


@pytest.fixture(params=EMBEDDERS)
def subject(request: pytest.FixtureRequest, models: Path) -> Iterator[Subject]:
    """Each registered embedder, with a server if it needs one."""
    with double.run_upstream() as upstream:
        endpoint = Endpoint(f"{upstream.url.removesuffix('/v1')}/v1", Secret(double.KEY))
        client, loop = OpenAIClient(endpoint.base_url, endpoint.key.read, meter=RecordingMeter()), EventLoopThread()
        yield Subject(
            make_embedder(
                SPECS[request.param].format(models=models),
                EmbedderDeps(Settings(embeddings=endpoint), lambda _: client, NullEmbeddingCache),
            ),
            loop,
        )
        loop.wait(client.aclose())
        loop.close()


def test_unit_vectors_in_the_order_of_the_texts(subject: Subject) -> None:
    """One unit vector of float32 for each text; that of a text is the same alone, among others, and backwards."""
    forwards, backwards, alone = subject.embed(TEXTS), subject.embed(TEXTS[::-1]), subject.embed(TEXTS[:1], query=True)
    assert forwards.shape == (len(TEXTS), subject.embedder.dim)
    assert forwards.dtype == np.float32
    assert np.allclose(np.linalg.norm(forwards, axis=1), 1, atol=1e-5)
    assert np.allclose(forwards, backwards[::-1], atol=1e-6)
    assert np.allclose(forwards[:1], alone, atol=1e-6)


def test_nothing_and_blank_texts(subject: Subject) -> None:
    """No text gives no vector; a text without a token gives zeros, not NaN."""
    assert subject.embed([]).shape == (0, subject.embedder.dim)
    assert not subject.embed([" \n "]).any()


def test_what_it_says_of_itself(subject: Subject) -> None:
    """It has a name of its own, and a weight between 0 and 1 for every language."""
    assert subject.embedder.name
    assert set(subject.embedder.dense_weights) == {"en", "latin", "other"}
    assert all(0 <= weight <= 1 for weight in subject.embedder.dense_weights.values())
    assert subject.embedder.batch_size >= subject.embedder.concurrency >= 1
