"""Static embeddings from a folder: means of rows in every layout, and clear errors for damaged files."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save
from support.fakes import NullEmbeddingCache
from support.small_models import DIM, PLAIN_TOKENIZER, VOCABULARY_SIZE, load_vectors, make_static_folder, make_weights
from tokenizers import Tokenizer, models

from semsearch import Library, text_source
from semsearch.core.errors import ConflictError, InvalidError, NotFoundError, StorageError, UnavailableError
from semsearch.core.settings import Settings
from semsearch.models.embedders import EmbedderDeps, make_embedder
from semsearch.models.embedders.local import _TABLE_FILE, LocalEmbedder, _find_file
from semsearch.models.embedders.model_folder import ModelFolder
from semsearch.models.embedders.static import StaticEmbedder
from semsearch.models.embedders.token_vectors import read_tensors

TABLE, _ = make_weights()
TEXTS = ["The lamp burns in the fog.", "x", "lamp lamp bell", "", " \n ", "unheard-of ☃", "東京 lamp"]

Tables = Mapping[str, npt.NDArray[Any]]

word_lists = st.lists(st.sampled_from("the lamp burns fog bell night x 東 ☃ [UNK] query".split()), max_size=40)


def open_embedder(path: Path) -> StaticEmbedder:
    """Return the embedder of a folder."""
    return StaticEmbedder(ModelFolder(f"static:{path.name}", path))


def expected_vector(text: str, table: npt.NDArray[Any], *, unknown: bool = False) -> npt.NDArray[np.float64]:
    """Return the mean of the rows of a text's tokens, of length 1; `unknown` includes unknown words."""
    ids = [token for token in PLAIN_TOKENIZER.encode(text, add_special_tokens=False).ids if unknown or token != 1]
    vector: npt.NDArray[np.float64] = table[ids].astype(np.float64).sum(axis=0)
    vector /= np.linalg.norm(vector) or 1
    return vector


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a table in the layout of Model2Vec."""
    return make_static_folder(tmp_path_factory.mktemp("static") / "table")


@pytest.mark.parametrize(
    ("tables", "rows", "tolerance"),
    [
        ({"embeddings": TABLE}, TABLE, 1e-6),
        ({"embeddings": TABLE.astype(np.float16)}, TABLE, 1e-3),
        ({"embeddings": np.round(TABLE * 30).astype(np.int8)}, TABLE, 0.02),
        (
            {"embeddings": TABLE, "weights": np.linspace(0.1, 2, VOCABULARY_SIZE)},
            TABLE * np.linspace(0.1, 2, VOCABULARY_SIZE)[:, None],
            1e-6,
        ),
        (
            {
                "embeddings": TABLE[:7].astype(np.float16),
                "mapping": np.arange(VOCABULARY_SIZE) % 7,
                "weights": np.linspace(0.1, 2, VOCABULARY_SIZE).astype(np.float32),
            },
            TABLE[np.arange(VOCABULARY_SIZE) % 7] * np.linspace(0.1, 2, VOCABULARY_SIZE)[:, None],
            1e-3,
        ),
    ],
)
def test_vectors_are_means_of_rows(tmp_path: Path, tables: Tables, rows: Any, tolerance: float) -> None:
    """Every number type works, and so do weights for tokens and rows that tokens share."""
    subject = open_embedder(make_static_folder(tmp_path, tables))
    vectors = load_vectors(subject, TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), subject.dim) == (len(TEXTS), DIM)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert vector == pytest.approx(expected_vector(text, rows), abs=tolerance)


@pytest.mark.parametrize("subfolder", ["", "0_StaticEmbedding"])
def test_layout_of_sentence_transformers_is_supported(tmp_path: Path, subfolder: str) -> None:
    """Its table has another name, may be in a subfolder, and its means include unknown words."""
    model_dir = make_static_folder(tmp_path / subfolder, {"embedding.weight": TABLE})
    assert model_dir.exists()
    assert load_vectors(open_embedder(tmp_path), ["lamp ☃"])[0] == pytest.approx(
        expected_vector("lamp ☃", TABLE, unknown=True), abs=1e-6
    )


def test_texts_without_known_words_have_zero_vectors(folder: Path) -> None:
    """Blank texts and unknown words give zeros; no text gives no rows."""
    assert not load_vectors(open_embedder(folder), ["", " \n ", "☃ ☃"]).any()
    assert load_vectors(open_embedder(folder), []).shape == (0, DIM)


def test_white_space_around_a_text_is_ignored(tmp_path: Path) -> None:
    """This holds even if the tokenizer has tokens for white space."""
    folder = make_static_folder(tmp_path, {"embeddings": TABLE[:3]})
    vocabulary = {"[UNK]": 0, "lamp": 1, " \n ": 2}
    Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    vectors = load_vectors(open_embedder(folder), [" \n ", " lamp\n", "lamp"])
    assert not vectors[0].any()
    assert np.array_equal(vectors[1], vectors[2])
    assert vectors[2].any()


@given(st.lists(word_lists.map(" ".join), max_size=8), word_lists.map(" ".join))
@settings(max_examples=40)
def test_vector_does_not_depend_on_the_batch(folder: Path, others: list[str], text: str) -> None:
    """A text has the same vector alone, in a batch, and as a query; "[UNK]" in it is plain text."""
    subject = open_embedder(folder)
    alone = load_vectors(subject, [text], query=True)[0]
    assert np.array_equal(load_vectors(subject, [*others, text])[-1], alone)
    if "[UNK]" not in text:
        assert alone == pytest.approx(expected_vector(text, TABLE), abs=1e-5)


def test_table_of_the_local_model_can_be_read_as_a_folder(tmp_path: Path) -> None:
    """The files of `local`, copied into a folder, give the same vectors."""
    shutil.copy(_find_file(_TABLE_FILE), tmp_path / "model.safetensors")
    shutil.copy(_find_file("tokenizers/l2_supercat_tokenizer_config.json"), tmp_path / "tokenizer.json")
    texts = ["How long is parental leave?", "what cars cost", "naïve 東京"]
    expected = load_vectors(LocalEmbedder(), texts)
    assert np.allclose(load_vectors(open_embedder(tmp_path), texts), expected, atol=1e-6)


def test_name_depends_on_the_files_and_not_on_the_path(folder: Path, tmp_path: Path) -> None:
    """A copied folder has the same name; another table or tokenizer gives another name."""
    copied = Path(shutil.copytree(folder, tmp_path / "moved"))
    name = open_embedder(copied).name
    assert name == open_embedder(folder).name
    make_static_folder(copied, {"embeddings": make_weights(seed=1)[0]})
    name_with_other_table = open_embedder(copied).name
    (copied / "tokenizer.json").write_text((copied / "tokenizer.json").read_text() + "\n")
    assert len({name, name_with_other_table, open_embedder(copied).name}) == 3


def test_dense_weight_of_other_scripts_depends_on_the_vocabulary(tmp_path: Path) -> None:
    """A vocabulary with pieces of words in other scripts has a weight there, an English one has 0."""
    assert open_embedder(make_static_folder(tmp_path / "latin")).dense_weights == {
        "en": 0.35,
        "latin": 0.35,
        "other": 0.0,
    }
    vocabulary = {
        word: token_id for token_id, word in enumerate(["[UNK]", "lamp", "дом", "лампа", "ночь", "夜間", "the", "bell"])
    }
    multilingual = make_static_folder(tmp_path / "several", {"embeddings": TABLE[: len(vocabulary)]})
    Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")).save(str(multilingual / "tokenizer.json"))
    assert open_embedder(multilingual).dense_weights["other"] == 0.35


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("", "nowhere does not exist"),
        (
            "model.safetensors",
            r"has no table of token vectors \(model.safetensors or .*; it has config.json, tokenizer",
        ),
        ("tokenizer.json", r"has no tokenizer \(tokenizer.json\)"),
    ],
)
def test_error_names_the_missing_file(folder: Path, tmp_path: Path, missing: str, message: str) -> None:
    """The error names the missing file and the files that exist."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    if missing:
        (copied / missing).unlink()
    with pytest.raises(UnavailableError if missing else NotFoundError, match=message):
        open_embedder(copied if missing else tmp_path / "nowhere")


def make_file(header: Any, numbers: bytes = bytes(64)) -> bytes:
    """Return a safetensors file with this header."""
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(content).to_bytes(8, "little") + content + numbers


def make_header(dtype: str = "F32", shape: Any = (4, 4), offsets: Any = (0, 64)) -> dict[str, Any]:
    """Return a header with one table."""
    return {"embeddings": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234",
        bytes(100),
        b"\xff" * 100,
        (1 << 40).to_bytes(8, "little") + bytes(100),
        make_file(b"{not json"),
        make_file(b"[" * 100_000),
        make_file(b"[]"),
        make_file(b"\xff\xff"),
        make_file({"embeddings": []}),
        make_file({"embeddings": {"dtype": "F32"}}),
        make_file(make_header("BF16")),
        make_file(make_header(shape=(4, -4))),
        make_file(make_header(shape=(1 << 60, 1 << 60))),
        make_file(make_header(shape=("4", 4))),
        make_file(make_header(shape=(4, 5))),
        make_file(make_header(offsets=(0, 65))),
        make_file(make_header(offsets=(-64, 0))),
        make_file(make_header(offsets=(4, 68))),
        make_file(make_header(offsets=(64,))),
        make_file(make_header(), bytes(63)),
    ],
    ids=lambda content: repr(content[:80].strip(b"\0")),
)
def test_invalid_header_is_rejected(folder: Path, tmp_path: Path, content: bytes) -> None:
    """The error names the SPEC, the file and the remedy."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copied / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="its header"):
        read_tensors(copied / "model.safetensors")
    with pytest.raises(
        StorageError, match=r"^static:copy: .*model\.safetensors cannot be used: its header .*; copy the model"
    ):
        open_embedder(copied)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "it has no table"),
        ({"embeddings": np.zeros((2, 4), np.int64)}, "it has no table"),
        ({"embeddings": np.zeros(16, np.float32)}, "it has no table"),
        ({"embeddings": TABLE, "mapping": np.zeros((VOCABULARY_SIZE, 2), np.int64)}, "one value for each token"),
        ({"embeddings": TABLE, "mapping": np.zeros(VOCABULARY_SIZE, np.float32)}, "not of type I32 or I64"),
        ({"embeddings": TABLE, "mapping": np.full(VOCABULARY_SIZE, VOCABULARY_SIZE)}, "rows that do not exist"),
        ({"embeddings": TABLE, "mapping": np.full(VOCABULARY_SIZE, -1)}, "rows that do not exist"),
        ({"embeddings": TABLE, "weights": np.ones(VOCABULARY_SIZE - 1)}, "one value for each token"),
        ({"embeddings": TABLE, "weights": np.full(VOCABULARY_SIZE, np.inf)}, "not finite"),
        ({"embeddings": TABLE * np.float32("nan")}, "not finite"),
        ({"embeddings": TABLE[:4]}, "more tokens than the table has rows"),
    ],
)
def test_inconsistent_tensors_are_rejected(tmp_path: Path, tables: Tables, message: str) -> None:
    """Numbers that are not finite, and rows of other tokens, are never used."""
    folder = make_static_folder(tmp_path / "copy", tables)
    with pytest.raises(StorageError, match=rf"^static:copy: .*model\.safetensors cannot be used: .*{message}"):
        load_vectors(open_embedder(folder), ["the lamp burns in the fog"])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"model": {"type": "WordPiece", "vocab": {}}}'])
def test_error_names_a_damaged_tokenizer(folder: Path, tmp_path: Path, content: bytes) -> None:
    """A tokenizer that cannot be read raises a StorageError."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copied / "tokenizer.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"tokenizer\.json cannot be used"):
        load_vectors(open_embedder(copied), ["lamp"])


@given(st.binary(max_size=300), st.integers(0, 400))
def test_random_bytes_in_a_header_raise_only_value_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, offset: int
) -> None:
    """Random bytes at the start of a file give tensors within the file, or a ValueError."""
    content = bytearray(save({"embeddings": TABLE[:8], "weights": np.ones(8)}))
    content[offset : offset + len(noise)] = noise
    file = tmp_path_factory.mktemp("noise") / "model.safetensors"
    file.write_bytes(content)
    try:
        tensors = read_tensors(file)
    except ValueError:
        return
    for parsed in tensors.values():
        assert parsed.memory_map(file).shape == parsed.shape


@pytest.mark.parametrize("spec", ["static:", "static:a\0b"])
def test_spec_without_a_folder_is_rejected(spec: str) -> None:
    """An empty path must not mean the working directory."""
    with pytest.raises(InvalidError, match="names no folder; use for example static:models/"):
        make_embedder(spec, EmbedderDeps(Settings(), lambda endpoint: pytest.fail("no server"), NullEmbeddingCache))


def test_collection_rejects_another_table_in_the_same_folder(folder: Path, tmp_path: Path) -> None:
    """A collection can be reopened; after the table changes, the error names both embedders."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    with Library(tmp_path / "indexes") as library:
        library.create("handbook", embedder=f"static:{copied}").upsert([text_source("a", "The lamp burns.")])
    with Library(tmp_path / "indexes") as library:
        assert [hit.uri for hit in library.open("handbook").search("lamp")] == ["a"]
    make_static_folder(copied, {"embeddings": make_weights(seed=1)[0]})
    with (
        Library(tmp_path / "indexes") as library,
        pytest.raises(ConflictError, match=f"{open_embedder(folder).name}.*{open_embedder(copied).name}"),
    ):
        library.open("handbook")
