"""What a model in a folder promises: its own vectors, however texts come together, and clear words where it cannot."""

import asyncio
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fakes import NullEmbeddingCache
from support.small_models import (
    DIM,
    ModelSpec,
    compute_token_states,
    compute_vector,
    load_vectors,
    make_onnx_folder,
    make_onnx_model,
    tokenize,
)

from semsearch import Library, text_source
from semsearch.core.errors import ConflictError, InvalidError, NotFoundError, StorageError, UnavailableError
from semsearch.core.settings import Settings
from semsearch.core.types.documents import Vectors
from semsearch.models.embedders import EmbedderDeps, make_embedder
from semsearch.models.embedders.model_config import ModelConfig
from semsearch.models.embedders.model_folder import ModelFolder, compute_checksum
from semsearch.models.embedders.onnx import OnnxEmbedder, batch_by_length
from semsearch.models.embedders.onnx_session import OnnxSession

MEANS = EmbedderDeps(Settings(), lambda endpoint: pytest.fail("no server"), NullEmbeddingCache)
TEXTS = ["The lamp burns in the fog.", "x", "Zwölf Boxkämpfer", "", "how long is leave", "lamp " * 20, "東京"]

words = st.lists(st.sampled_from("the lamp burns fog bell night x 東 [SEP] query unheard".split()), max_size=40)


def made(path: Path, *, int8: bool = False) -> OnnxEmbedder:
    """The embedder of a folder."""
    return OnnxEmbedder(ModelFolder(f"onnx:{path.name}", path), int8=int8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says nothing but its limit."""
    return make_onnx_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder: Path) -> OnnxEmbedder:
    """Its embedder."""
    return made(folder)


def test_vectors_are_those_of_the_model(model: OnnxEmbedder) -> None:
    """Each is what the model computes for the text alone, worked out without onnxruntime."""
    vectors = load_vectors(model, TEXTS)
    assert vectors.shape == (len(TEXTS), DIM) == (len(TEXTS), model.dim)
    for text, vector in zip(TEXTS, vectors, strict=True):
        expected = compute_vector(tokenize(text)) if text else np.zeros(DIM)
        assert vector == pytest.approx(expected, abs=1e-5)


@given(st.lists(words.map(" ".join), max_size=12), words.map(" ".join))
@settings(max_examples=40)
def test_a_vector_does_not_depend_on_its_company(model: OnnxEmbedder, others: list[str], text: str) -> None:
    """A text has the same vector alone, among others of any length, and as a question."""
    alone = load_vectors(model, [text], query=True)[0]
    assert load_vectors(model, [*others, text])[-1] == pytest.approx(alone, abs=1e-6)


@given(words.map(" ".join))
@settings(max_examples=40)
def test_markers_of_the_tokenizer_in_a_text_are_text(model: OnnxEmbedder, text: str) -> None:
    """A document that holds "[SEP]" is read as these five characters."""
    expected = compute_vector(tokenize(text)) if text else np.zeros(DIM)
    assert load_vectors(model, [text])[0] == pytest.approx(expected, abs=1e-5)


def test_a_text_of_only_markers_or_blanks_has_no_vector(tmp_path: Path) -> None:
    """What has no token of its own gives zeros, also where a prefix would stand in front of it."""
    prompts = {"config_sentence_transformers.json": {"prompts": {"query": "query: "}}}
    subject = made(make_onnx_folder(tmp_path, settings=prompts))
    assert not load_vectors(subject, ["", " \n\t"], query=True).any()
    assert not load_vectors(subject, ["\u200b"]).any()
    assert load_vectors(subject, []).shape == (0, DIM)


def cosines_by_token(embedder: OnnxEmbedder, question: str, texts: Sequence[str]) -> "Vectors | None":
    """Wait for the cosine of each token of a question with the nearest token of each text."""
    return asyncio.run(embedder.token_similarities(question, texts))


def own(text: str) -> np.ndarray:
    """The unit vectors of the tokens of a text, without those of its markers, worked out without onnxruntime."""
    vectors = compute_token_states(tokenize(text))[1:-1]
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


@given(st.lists(words.map(" ".join), max_size=12), words.map(" ".join))
@settings(max_examples=40)
def test_each_token_of_a_question_finds_the_nearest_of_a_text(
    model: OnnxEmbedder, texts: list[str], question: str
) -> None:
    """Its cosine is the largest with any token of the text, whatever other texts there are; none with a blank one."""
    found = cosines_by_token(model, question, texts)
    if not question:
        assert found is None
        return
    assert found is not None
    assert found.shape == (len(texts), len(own(question)))
    for row, text in zip(found, texts, strict=True):
        assert row == pytest.approx((own(question) @ own(text).T).max(axis=1) if text else 0.0, abs=1e-5)


def test_a_prefix_is_no_part_of_the_question(tmp_path: Path) -> None:
    """It is read by the model, but neither its tokens nor those in front of a text are found or looked for."""
    prompts = {"config_sentence_transformers.json": {"prompts": {"query": "query: ", "document": "passage: "}}}
    found = cosines_by_token(
        made(make_onnx_folder(tmp_path, settings=prompts)), "the lamp", ["how long is leave", "\u200b"]
    )
    asked, given = (compute_token_states(tokenize(text)) for text in ("query: the lamp", "passage: how long is leave"))
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (asked, given)]
    before = [len(tokenize(prefix)) - 1 for prefix in ("query:", "passage:")]
    expected = (unit[0][before[0] : -1] @ unit[1][before[1] : -1].T).max(axis=1)
    assert found == pytest.approx(np.array([expected, np.zeros(len(expected))]), abs=1e-5)


@pytest.mark.parametrize("output", ["sentence_embedding", "anything"])
def test_a_file_that_tells_no_tokens_apart_says_so(tmp_path: Path, output: str) -> None:
    """Then an answer is weighed by whole texts; a file that gives both serves both."""
    whole = made(
        make_onnx_folder(tmp_path / "whole", make_onnx_model(ModelSpec(pooled_output=output, has_token_output=False)))
    )
    assert cosines_by_token(whole, "lamp", TEXTS) is None
    assert load_vectors(whole, TEXTS).any()
    both = made(make_onnx_folder(tmp_path / "both", make_onnx_model(ModelSpec(pooled_output="sentence_embedding"))))
    other = made(
        make_onnx_folder(
            tmp_path / "other", make_onnx_model(ModelSpec(output="anything", pooled_output="sentence_embedding"))
        )
    )
    assert cosines_by_token(other, "lamp", TEXTS) is None  # what is said by that name need not be of tokens
    assert cosines_by_token(both, "lamp", TEXTS) == pytest.approx(
        np.array([(own("lamp") @ own(text).T).max(axis=1) if text else [0.0] for text in TEXTS]), abs=1e-5
    )


def test_int8_tells_tokens_apart_alone_too(tmp_path: Path) -> None:
    """What stands in the same batch changes no cosine."""
    make_onnx_folder(tmp_path)
    make_onnx_folder(tmp_path, make_onnx_model(ModelSpec(is_quantized=True)), file="onnx/model_int8.onnx")
    small = made(tmp_path, int8=True)
    together, *alone = (
        cosines_by_token(small, "the lamp burns", texts) for texts in (TEXTS, *([one] for one in TEXTS))
    )
    assert together is not None
    assert [row.tolist() for row in together] == [each[0].tolist() for each in alone if each is not None]


@given(st.lists(st.integers(0, 50)), st.integers(0, 100))
def test_batches_hold_every_row_once_and_little_padding(lengths: list[int], most: int) -> None:
    """Rows with tokens are in one batch each; a batch of several is no larger than allowed; lengths rise."""
    made_of = list(batch_by_length(lengths, most))
    rows = [row for batch in made_of for row in batch]
    assert sorted(rows) == [row for row, length in enumerate(lengths) if length]
    assert [lengths[row] for row in rows] == sorted(lengths[row] for row in rows)
    assert all(len(batch) == 1 or len(batch) * lengths[batch[-1]] <= most for batch in made_of)


def test_of_a_text_without_end_only_the_beginning_is_cut_into_words(model: OnnxEmbedder) -> None:
    """A text is looked at as far as its tokens can reach: what stands behind a megabyte of blanks does not count."""
    behind = "lamp" + " " * 1_000_000 + "bell"
    assert np.array_equal(load_vectors(model, [behind]), load_vectors(model, ["lamp"]))


def test_int8_takes_the_quantized_file(tmp_path: Path) -> None:
    """@int8 runs the file with int8 in its name, whose vectors do not depend on their company either."""
    folder = make_onnx_folder(tmp_path)
    make_onnx_folder(folder, make_onnx_model(ModelSpec(is_quantized=True)), file="onnx/model_quint8_avx2.onnx")
    small, full = made(folder, int8=True), made(folder)
    vectors = load_vectors(small, TEXTS)
    assert small.name != full.name
    assert not np.allclose(vectors, load_vectors(full, TEXTS), atol=1e-4)
    assert np.allclose((vectors * load_vectors(full, TEXTS)).sum(axis=1), [bool(text) for text in TEXTS], atol=0.01)
    assert all(
        np.array_equal(load_vectors(small, [text])[0], vector) for text, vector in zip(TEXTS, vectors, strict=True)
    )


def test_many_threads_at_once(model: OnnxEmbedder, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that are embedded at the same time do not disturb each other, and the model is loaded once."""
    expected, subject, loaded = load_vectors(model, TEXTS), made(folder), []

    class Counted(OnnxSession):
        def __init__(self, folder: ModelFolder, file: Path, recipe: ModelConfig) -> None:
            loaded.append(file)
            time.sleep(0.02)  # time for the others to come and find nothing loaded
            super().__init__(folder, file, recipe)

    monkeypatch.setattr("semsearch.models.embedders.onnx.OnnxSession", Counted)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: load_vectors(subject, TEXTS), range(16)))
    assert all(np.array_equal(each, expected) for each in found)
    assert len(loaded) == 1


def test_the_name_is_that_of_the_space_and_not_of_the_place(folder: Path, tmp_path: Path) -> None:
    """A copied folder makes vectors of the same space; another model or recipe makes another."""
    copied = Path(shutil.copytree(folder, tmp_path / "moved"))
    name = made(copied).name
    assert name == made(folder).name
    names = {name}
    for changed, content in [
        ("onnx/model.onnx", make_onnx_model(seed=1).SerializeToString()),
        ("onnx/model.onnx_data", b"weights"),
        ("tokenizer.json", (copied / "tokenizer.json").read_bytes() + b"\n"),
        ("1_Pooling/config.json", b'{"pooling_mode": "cls"}'),
        ("config_sentence_transformers.json", b'{"prompts": {"query": "query: "}}'),
        ("sentence_bert_config.json", b'{"max_seq_length": 31}'),
    ]:
        (copied / changed).parent.mkdir(exist_ok=True)
        (copied / changed).write_bytes(content)
        names.add(made(copied).name)
    assert len(names) == 7
    (copied / "README.md").write_text("What is said about a model makes no other vectors.")
    assert made(copied).name in names


@given(st.integers(0, 9000), st.data())
@settings(max_examples=60)
def test_every_byte_of_a_file_counts(tmp_path_factory: pytest.TempPathFactory, size: int, data: st.DataObject) -> None:
    """A checksum changes with any one byte, with the order of pages, and with the length."""
    file = tmp_path_factory.mktemp("checksum") / "file"
    content = bytearray(np.random.default_rng(size).bytes(size))
    file.write_bytes(content)
    before = compute_checksum(file)
    assert compute_checksum(file) == before
    if size:
        content[data.draw(st.integers(0, size - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        assert compute_checksum(file) != before
    file.write_bytes(content[4096:] + content[:4096] + b"\0")
    assert compute_checksum(file) != before


@pytest.mark.parametrize("spec", ["onnx:", "onnx:@int8", "onnx:a\0b"])
def test_a_spec_without_a_folder_is_refused(spec: str) -> None:
    """An empty path would mean the folder in which the command runs."""
    with pytest.raises(InvalidError, match="names no folder; say for example onnx:models/minilm"):
        make_embedder(spec, MEANS)


def test_a_path_that_cannot_be_is_no_folder() -> None:
    """Not even a name that is too long for any disk is more than a folder that is missing."""
    with pytest.raises(NotFoundError, match="there is no folder"):
        make_embedder("onnx:" + "a" * 5000, MEANS)


def test_a_collection_of_a_model(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by a path from here it is found again from anywhere; without its model it can be seen and deleted."""
    monkeypatch.chdir(folder.parent)
    spec = f"onnx:{folder.name}"
    with Library(tmp_path / "indexes") as library:
        library.create("handbook", embedder=spec).upsert(
            [text_source("a", "The lamp burns."), text_source("b", "Leave.")]
        )
    monkeypatch.chdir("/")
    with Library(tmp_path / "indexes") as library:
        assert library.open("handbook").search("the lamp burns", mode="dense")[0].uri == "a"
    folder.rename(folder.with_name("elsewhere"))
    with Library(tmp_path / "indexes") as library:
        with pytest.raises(UnavailableError, match=f"there is no folder {folder}"):
            library.open("handbook")
        assert [info.documents for info in library.collections()] == [2]
        library.delete("handbook")
        assert library.collections() == []


def test_another_model_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """Vectors of two models are never compared: the conflict names both."""
    folder = make_onnx_folder(tmp_path / "model")
    with Library(tmp_path / "indexes") as library:
        library.create("handbook", embedder=f"onnx:{folder}")
    before = made(folder).name
    make_onnx_folder(folder, make_onnx_model(seed=1))
    with Library(tmp_path / "indexes") as library, pytest.raises(ConflictError, match=f"{before}.*{made(folder).name}"):
        library.open("handbook")


def test_a_model_that_cannot_run_makes_no_collection(tmp_path: Path) -> None:
    """It is tried before anything is kept."""
    folder = make_onnx_folder(tmp_path / "model", make_onnx_model(rows=4))
    with Library(tmp_path / "indexes") as library:
        with pytest.raises(StorageError, match="cannot be used"):
            library.create("handbook", embedder=f"onnx:{folder}")
        assert library.collections() == []
