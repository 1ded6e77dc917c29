"""ONNX embeddings: vectors equal those of the model, do not depend on the batch, and errors are clear."""

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

DEPS = EmbedderDeps(Settings(), lambda endpoint: pytest.fail("no server"), NullEmbeddingCache)
TEXTS = ["The lamp burns in the fog.", "x", "Zwölf Boxkämpfer", "", "how long is leave", "lamp " * 20, "東京"]

word_lists = st.lists(st.sampled_from("the lamp burns fog bell night x 東 [SEP] query unheard".split()), max_size=40)


def open_embedder(path: Path, *, int8: bool = False) -> OnnxEmbedder:
    """Return the embedder of a folder."""
    return OnnxEmbedder(ModelFolder(f"onnx:{path.name}", path), int8=int8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder with a length limit and no other settings."""
    return make_onnx_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder: Path) -> OnnxEmbedder:
    """Return the embedder of the folder."""
    return open_embedder(folder)


def test_vectors_equal_a_computation_without_onnxruntime(model: OnnxEmbedder) -> None:
    """Each vector equals that of the text alone, computed with numpy."""
    vectors = load_vectors(model, TEXTS)
    assert vectors.shape == (len(TEXTS), DIM) == (len(TEXTS), model.dim)
    for text, vector in zip(TEXTS, vectors, strict=True):
        expected = compute_vector(tokenize(text)) if text else np.zeros(DIM)
        assert vector == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
@given(st.lists(word_lists.map(" ".join), max_size=12), word_lists.map(" ".join))
@settings(max_examples=40)
def test_vector_does_not_depend_on_the_batch(model: OnnxEmbedder, others: list[str], text: str) -> None:
    """A text has the same vector alone, with texts of any length, and as a query."""
    alone = load_vectors(model, [text], query=True)[0]
    assert load_vectors(model, [*others, text])[-1] == pytest.approx(alone, abs=1e-6)


@given(word_lists.map(" ".join))
@settings(max_examples=40)
def test_special_tokens_in_a_text_are_plain_text(model: OnnxEmbedder, text: str) -> None:
    """The text "[SEP]" is read as five characters."""
    expected = compute_vector(tokenize(text)) if text else np.zeros(DIM)
    assert load_vectors(model, [text])[0] == pytest.approx(expected, abs=1e-5)


def test_text_without_tokens_has_a_zero_vector(tmp_path: Path) -> None:
    """A blank text gives zeros, also with a prefix."""
    prompts = {"config_sentence_transformers.json": {"prompts": {"query": "query: "}}}
    subject = open_embedder(make_onnx_folder(tmp_path, settings=prompts))
    assert not load_vectors(subject, ["", " \n\t"], query=True).any()
    assert not load_vectors(subject, ["\u200b"]).any()
    assert load_vectors(subject, []).shape == (0, DIM)


def compute_token_similarities(embedder: OnnxEmbedder, query: str, texts: Sequence[str]) -> "Vectors | None":
    """Return the token similarities of a query and texts."""
    return asyncio.run(embedder.token_similarities(query, texts))


def expected_token_vectors(text: str) -> np.ndarray:
    """Return unit vectors of the tokens of a text without special tokens, computed with numpy."""
    vectors = compute_token_states(tokenize(text))[1:-1]
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


@given(st.lists(word_lists.map(" ".join), max_size=12), word_lists.map(" ".join))
@settings(max_examples=40)
def test_token_similarity_is_the_highest_cosine_of_each_query_token(
    model: OnnxEmbedder, texts: list[str], query: str
) -> None:
    """It does not depend on other texts; blank texts have zeros, and a blank query has no similarities."""
    similarities = compute_token_similarities(model, query, texts)
    if not query:
        assert similarities is None
        return
    assert similarities is not None
    assert similarities.shape == (len(texts), len(expected_token_vectors(query)))
    for row, text in zip(similarities, texts, strict=True):
        assert row == pytest.approx(
            (expected_token_vectors(query) @ expected_token_vectors(text).T).max(axis=1) if text else 0.0, abs=1e-5
        )


def test_token_similarities_leave_out_prefixes(tmp_path: Path) -> None:
    """Prefixes are input of the model, but their tokens are not compared."""
    prompts = {"config_sentence_transformers.json": {"prompts": {"query": "query: ", "document": "passage: "}}}
    similarities = compute_token_similarities(
        open_embedder(make_onnx_folder(tmp_path, settings=prompts)), "the lamp", ["how long is leave", "\u200b"]
    )
    query_states, passage_states = (
        compute_token_states(tokenize(text)) for text in ("query: the lamp", "passage: how long is leave")
    )
    unit_vectors = [states / np.linalg.norm(states, axis=1, keepdims=True) for states in (query_states, passage_states)]
    prefix_tokens = [len(tokenize(prefix)) - 1 for prefix in ("query:", "passage:")]
    expected = (unit_vectors[0][prefix_tokens[0] : -1] @ unit_vectors[1][prefix_tokens[1] : -1].T).max(axis=1)
    assert similarities == pytest.approx(np.array([expected, np.zeros(len(expected))]), abs=1e-5)


@pytest.mark.parametrize("output", ["sentence_embedding", "anything"])
def test_model_without_token_output_has_no_token_similarities(tmp_path: Path, output: str) -> None:
    """It returns None; a model with both kinds of output has token similarities and text vectors."""
    texts_only = open_embedder(
        make_onnx_folder(tmp_path / "whole", make_onnx_model(ModelSpec(pooled_output=output, has_token_output=False)))
    )
    assert compute_token_similarities(texts_only, "lamp", TEXTS) is None
    assert load_vectors(texts_only, TEXTS).any()
    both = open_embedder(
        make_onnx_folder(tmp_path / "both", make_onnx_model(ModelSpec(pooled_output="sentence_embedding")))
    )
    unknown_output = open_embedder(
        make_onnx_folder(
            tmp_path / "other", make_onnx_model(ModelSpec(output="anything", pooled_output="sentence_embedding"))
        )
    )
    assert (
        compute_token_similarities(unknown_output, "lamp", TEXTS) is None
    )  # an output of an unknown name may not hold token vectors
    assert compute_token_similarities(both, "lamp", TEXTS) == pytest.approx(
        np.array(
            [
                (expected_token_vectors("lamp") @ expected_token_vectors(text).T).max(axis=1) if text else [0.0]
                for text in TEXTS
            ]
        ),
        abs=1e-5,
    )


def test_int8_token_similarities_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    """Other texts of the batch do not change a cosine."""
    make_onnx_folder(tmp_path)
    make_onnx_folder(tmp_path, make_onnx_model(ModelSpec(is_quantized=True)), file="onnx/model_int8.onnx")
    embedder = open_embedder(tmp_path, int8=True)
    batch_rows, *single_rows = (
        compute_token_similarities(embedder, "the lamp burns", texts) for texts in (TEXTS, *([text] for text in TEXTS))
    )
    assert batch_rows is not None
    assert [row.tolist() for row in batch_rows] == [rows[0].tolist() for rows in single_rows if rows is not None]


@given(st.lists(st.integers(0, 50)), st.integers(0, 100))
def test_batches_contain_every_row_once_sorted_by_length(lengths: list[int], max_tokens: int) -> None:
    """Each row with tokens is in one batch, and a batch of several rows is within the limit."""
    batches = list(batch_by_length(lengths, max_tokens))
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == [row for row, length in enumerate(lengths) if length]
    assert [lengths[row] for row in rows] == sorted(lengths[row] for row in rows)
    assert all(len(batch) == 1 or len(batch) * lengths[batch[-1]] <= max_tokens for batch in batches)


def test_only_the_start_of_a_long_text_is_tokenized(model: OnnxEmbedder) -> None:
    """A word after a megabyte of spaces has no effect."""
    text = "lamp" + " " * 1_000_000 + "bell"
    assert np.array_equal(load_vectors(model, [text]), load_vectors(model, ["lamp"]))


def test_int8_uses_the_quantized_file(tmp_path: Path) -> None:
    """@int8 runs the quantized file; its vectors do not depend on the batch either."""
    folder = make_onnx_folder(tmp_path)
    make_onnx_folder(folder, make_onnx_model(ModelSpec(is_quantized=True)), file="onnx/model_quint8_avx2.onnx")
    int8_embedder, embedder = open_embedder(folder, int8=True), open_embedder(folder)
    vectors = load_vectors(int8_embedder, TEXTS)
    assert int8_embedder.name != embedder.name
    assert not np.allclose(vectors, load_vectors(embedder, TEXTS), atol=1e-4)
    assert np.allclose((vectors * load_vectors(embedder, TEXTS)).sum(axis=1), [bool(text) for text in TEXTS], atol=0.01)
    assert all(
        np.array_equal(load_vectors(int8_embedder, [text])[0], vector)
        for text, vector in zip(TEXTS, vectors, strict=True)
    )


def test_many_threads_can_embed_at_the_same_time(
    model: OnnxEmbedder, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads get the same vectors, and the model is loaded once."""
    expected, embedder, loaded_files = load_vectors(model, TEXTS), open_embedder(folder), []

    class CountingSession(OnnxSession):
        def __init__(self, folder: ModelFolder, file: Path, config: ModelConfig) -> None:
            loaded_files.append(file)
            time.sleep(0.02)  # time for other threads to find that no model is loaded
            super().__init__(folder, file, config)

    monkeypatch.setattr("semsearch.models.embedders.onnx.OnnxSession", CountingSession)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda _: load_vectors(embedder, TEXTS), range(16)))
    assert all(np.array_equal(vectors, expected) for vectors in results)
    assert len(loaded_files) == 1


def test_name_depends_on_the_files_and_not_on_the_path(folder: Path, tmp_path: Path) -> None:
    """A copied folder has the same name; another model or configuration gives another name."""
    copied = Path(shutil.copytree(folder, tmp_path / "moved"))
    name = open_embedder(copied).name
    assert name == open_embedder(folder).name
    names = {name}
    for file, content in [
        ("onnx/model.onnx", make_onnx_model(seed=1).SerializeToString()),
        ("onnx/model.onnx_data", b"weights"),
        ("tokenizer.json", (copied / "tokenizer.json").read_bytes() + b"\n"),
        ("1_Pooling/config.json", b'{"pooling_mode": "cls"}'),
        ("config_sentence_transformers.json", b'{"prompts": {"query": "query: "}}'),
        ("sentence_bert_config.json", b'{"max_seq_length": 31}'),
    ]:
        (copied / file).parent.mkdir(exist_ok=True)
        (copied / file).write_bytes(content)
        names.add(open_embedder(copied).name)
    assert len(names) == 7
    (copied / "README.md").write_text("A description of the model does not change its vectors.")
    assert open_embedder(copied).name in names


@given(st.integers(0, 9000), st.data())
@settings(max_examples=60)
def test_checksum_depends_on_every_byte(
    tmp_path_factory: pytest.TempPathFactory, size: int, data: st.DataObject
) -> None:
    """The checksum changes with any byte, with the order of pages, and with the length."""
    file = tmp_path_factory.mktemp("checksum") / "file"
    content = bytearray(np.random.default_rng(size).bytes(size))
    file.write_bytes(content)
    checksum = compute_checksum(file)
    assert compute_checksum(file) == checksum
    if size:
        content[data.draw(st.integers(0, size - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        assert compute_checksum(file) != checksum
    file.write_bytes(content[4096:] + content[:4096] + b"\0")
    assert compute_checksum(file) != checksum


@pytest.mark.parametrize("spec", ["onnx:", "onnx:@int8", "onnx:a\0b"])
def test_spec_without_a_folder_is_rejected(spec: str) -> None:
    """An empty path must not mean the working directory."""
    with pytest.raises(InvalidError, match="names no folder; use for example onnx:models/minilm"):
        make_embedder(spec, DEPS)


def test_path_that_is_too_long_is_not_found() -> None:
    """A name that no file system accepts is reported as a missing folder."""
    with pytest.raises(NotFoundError, match="does not exist"):
        make_embedder("onnx:" + "a" * 5000, DEPS)


def test_collection_of_a_model_can_be_opened_from_any_directory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is stored as an absolute one. Without its model a collection can be listed and deleted."""
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
        with pytest.raises(UnavailableError, match=f"the folder {folder} does not exist"):
            library.open("handbook")
        assert [info.documents for info in library.collections()] == [2]
        library.delete("handbook")
        assert library.collections() == []


def test_collection_rejects_another_model_in_the_same_folder(tmp_path: Path) -> None:
    """Vectors of two models are never compared. The error names both."""
    folder = make_onnx_folder(tmp_path / "model")
    with Library(tmp_path / "indexes") as library:
        library.create("handbook", embedder=f"onnx:{folder}")
    old_name = open_embedder(folder).name
    make_onnx_folder(folder, make_onnx_model(seed=1))
    with (
        Library(tmp_path / "indexes") as library,
        pytest.raises(ConflictError, match=f"{old_name}.*{open_embedder(folder).name}"),
    ):
        library.open("handbook")


def test_model_that_cannot_run_creates_no_collection(tmp_path: Path) -> None:
    """The model is run once before the collection is created."""
    folder = make_onnx_folder(tmp_path / "model", make_onnx_model(rows=4))
    with Library(tmp_path / "indexes") as library:
        with pytest.raises(StorageError, match="cannot be used"):
            library.create("handbook", embedder=f"onnx:{folder}")
        assert library.collections() == []
