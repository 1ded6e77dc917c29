"""What a table in a folder promises: the means of its rows in every layout, and clear words about damaged files."""

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
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders import EmbedderDeps, make_embedder
from semsearch.models.embedders.local import _TABLE_FILE, LocalEmbedder, _find_file
from semsearch.models.embedders.model_folder import ModelFolder
from semsearch.models.embedders.static import StaticEmbedder
from semsearch.models.embedders.token_vectors import read_tensors

ERRAND = RequestContext("ingest")
TABLE, _ = make_weights()
TEXTS = ["The lamp burns in the fog.", "x", "lamp lamp bell", "", " \n ", "unheard-of ☃", "東京 lamp"]

Tables = Mapping[str, npt.NDArray[Any]]

words = st.lists(st.sampled_from("the lamp burns fog bell night x 東 ☃ [UNK] query".split()), max_size=40)


def made(path: Path) -> StaticEmbedder:
    """The embedder of a folder."""
    return StaticEmbedder(ModelFolder(f"static:{path.name}", path))


def mean(text: str, table: npt.NDArray[Any], *, unknown: bool = False) -> npt.NDArray[np.float64]:
    """The mean of the rows of a text's tokens, of length 1; without those of unknown words, unless asked for."""
    ids = [token for token in PLAIN_TOKENIZER.encode(text, add_special_tokens=False).ids if unknown or token != 1]
    vector: npt.NDArray[np.float64] = table[ids].astype(np.float64).sum(axis=0)
    vector /= np.linalg.norm(vector) or 1
    return vector


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table as Model2Vec writes it."""
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
def test_vectors_are_the_means_of_the_rows(tmp_path: Path, tables: Tables, rows: Any, tolerance: float) -> None:
    """In every form of the table, with a weight for each token, and with rows that tokens share."""
    subject = made(make_static_folder(tmp_path, tables))
    vectors = load_vectors(subject, TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), subject.dim) == (len(TEXTS), DIM)
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert vector == pytest.approx(mean(text, rows), abs=tolerance)


@pytest.mark.parametrize("place", ["", "0_StaticEmbedding"])
def test_the_layout_of_sentence_transformers(tmp_path: Path, place: str) -> None:
    """Its table has another name, may lie a folder deeper, and was trained with the unknown words in the mean."""
    inner = make_static_folder(tmp_path / place, {"embedding.weight": TABLE})
    assert inner.exists()
    assert load_vectors(made(tmp_path), ["lamp ☃"])[0] == pytest.approx(mean("lamp ☃", TABLE, unknown=True), abs=1e-6)


def test_texts_without_a_known_word_have_no_vector(folder: Path) -> None:
    """Blank texts and unheard-of words give zeros; no text gives no rows."""
    assert not load_vectors(made(folder), ["", " \n ", "☃ ☃"]).any()
    assert load_vectors(made(folder), []).shape == (0, DIM)


def test_blanks_around_a_text_do_not_count(tmp_path: Path) -> None:
    """Also where the tokenizer has tokens for them."""
    folder = make_static_folder(tmp_path, {"embeddings": TABLE[:3]})
    vocabulary = {"[UNK]": 0, "lamp": 1, " \n ": 2}
    Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    vectors = load_vectors(made(folder), [" \n ", " lamp\n", "lamp"])
    assert not vectors[0].any()
    assert np.array_equal(vectors[1], vectors[2])
    assert vectors[2].any()


@given(st.lists(words.map(" ".join), max_size=8), words.map(" ".join))
@settings(max_examples=40)
def test_a_vector_does_not_depend_on_its_company(folder: Path, others: list[str], text: str) -> None:
    """A text has the same vector alone, among others, and as a question; "[UNK]" in it is text."""
    subject = made(folder)
    alone = load_vectors(subject, [text], query=True)[0]
    assert np.array_equal(load_vectors(subject, [*others, text])[-1], alone)
    if "[UNK]" not in text:
        assert alone == pytest.approx(mean(text, TABLE), abs=1e-5)


def test_the_embedded_table_can_be_read_as_a_folder(tmp_path: Path) -> None:
    """The files behind `local`, put into a folder, make the same vectors: there is one reader."""
    shutil.copy(_find_file(_TABLE_FILE), tmp_path / "model.safetensors")
    shutil.copy(_find_file("tokenizers/l2_supercat_tokenizer_config.json"), tmp_path / "tokenizer.json")
    texts = ["How long is parental leave?", "what cars cost", "naïve 東京"]
    expected = load_vectors(LocalEmbedder(), texts)
    assert np.allclose(load_vectors(made(tmp_path), texts), expected, atol=1e-6)


def test_the_name_is_that_of_the_space_and_not_of_the_place(folder: Path, tmp_path: Path) -> None:
    """A copied folder makes vectors of the same space; another table or tokenizer makes another."""
    copied = Path(shutil.copytree(folder, tmp_path / "moved"))
    name = made(copied).name
    assert name == made(folder).name
    make_static_folder(copied, {"embeddings": make_weights(seed=1)[0]})
    other = made(copied).name
    (copied / "tokenizer.json").write_text((copied / "tokenizer.json").read_text() + "\n")
    assert len({name, other, made(copied).name}) == 3


def test_vectors_count_in_other_scripts_where_the_vocabulary_has_their_words(tmp_path: Path) -> None:
    """A vocabulary with pieces of words in other scripts has a weight there, an English one has none."""
    assert made(make_static_folder(tmp_path / "latin")).dense_weights == {"en": 0.35, "latin": 0.35, "other": 0.0}
    vocabulary = {word: at for at, word in enumerate(["[UNK]", "lamp", "дом", "лампа", "ночь", "夜間", "the", "bell"])}
    several = make_static_folder(tmp_path / "several", {"embeddings": TABLE[: len(vocabulary)]})
    Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]")).save(str(several / "tokenizer.json"))
    assert made(several).dense_weights["other"] == 0.35


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("", "there is no folder"),
        (
            "model.safetensors",
            r"has no table of token vectors \(model.safetensors or .*; it has config.json, tokenizer",
        ),
        ("tokenizer.json", r"has no tokenizer \(tokenizer.json\)"),
    ],
)
def test_what_is_missing_is_named(folder: Path, tmp_path: Path, missing: str, said: str) -> None:
    """An error names the file that was looked for, and those that are there."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    if missing:
        (copied / missing).unlink()
    with pytest.raises(UnavailableError if missing else NotFoundError, match=said):
        made(copied if missing else tmp_path / "nowhere")


def header(said: Any, numbers: bytes = bytes(64)) -> bytes:
    """A safetensors file with this header."""
    content = said if isinstance(said, bytes) else json.dumps(said).encode()
    return len(content).to_bytes(8, "little") + content + numbers


def tensor(kind: str = "F32", shape: Any = (4, 4), at: Any = (0, 64)) -> dict[str, Any]:
    """What a header says of a table."""
    return {"embeddings": {"dtype": kind, "shape": shape, "data_offsets": at}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234",
        bytes(100),
        b"\xff" * 100,
        (1 << 40).to_bytes(8, "little") + bytes(100),
        header(b"{not json"),
        header(b"[" * 100_000),
        header(b"[]"),
        header(b"\xff\xff"),
        header({"embeddings": []}),
        header({"embeddings": {"dtype": "F32"}}),
        header(tensor("BF16")),
        header(tensor(shape=(4, -4))),
        header(tensor(shape=(1 << 60, 1 << 60))),
        header(tensor(shape=("4", 4))),
        header(tensor(shape=(4, 5))),
        header(tensor(at=(0, 65))),
        header(tensor(at=(-64, 0))),
        header(tensor(at=(4, 68))),
        header(tensor(at=(64,))),
        header(tensor(), bytes(63)),
    ],
    ids=lambda content: repr(content[:80].strip(b"\0")),
)
def test_a_header_that_does_not_fit_its_file_is_refused(folder: Path, tmp_path: Path, content: bytes) -> None:
    """Nothing is mapped that the header has wrong; the error names the file and the SPEC, and what to do."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copied / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="its header"):
        read_tensors(copied / "model.safetensors")
    with pytest.raises(
        StorageError, match=r"^static:copy: .*model\.safetensors cannot be used: its header .*; copy the model"
    ):
        made(copied)


@pytest.mark.parametrize(
    ("tables", "why"),
    [
        ({}, "it has no table"),
        ({"embeddings": np.zeros((2, 4), np.int64)}, "it has no table"),
        ({"embeddings": np.zeros(16, np.float32)}, "it has no table"),
        ({"embeddings": TABLE, "mapping": np.zeros((VOCABULARY_SIZE, 2), np.int64)}, "one for each token"),
        ({"embeddings": TABLE, "mapping": np.zeros(VOCABULARY_SIZE, np.float32)}, "whole numbers"),
        ({"embeddings": TABLE, "mapping": np.full(VOCABULARY_SIZE, VOCABULARY_SIZE)}, "rows that it does not have"),
        ({"embeddings": TABLE, "mapping": np.full(VOCABULARY_SIZE, -1)}, "rows that it does not have"),
        ({"embeddings": TABLE, "weights": np.ones(VOCABULARY_SIZE - 1)}, "one for each token"),
        ({"embeddings": TABLE, "weights": np.full(VOCABULARY_SIZE, np.inf)}, "not finite"),
        ({"embeddings": TABLE * np.float32("nan")}, "not finite"),
        ({"embeddings": TABLE[:4]}, "more tokens than it has rows"),
    ],
)
def test_tensors_that_do_not_belong_together_are_refused(tmp_path: Path, tables: Tables, why: str) -> None:
    """No number is used that is none, or that belongs to another token."""
    folder = make_static_folder(tmp_path / "copy", tables)
    with pytest.raises(StorageError, match=rf"^static:copy: .*model\.safetensors cannot be used: .*{why}"):
        load_vectors(made(folder), ["the lamp burns in the fog"])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"model": {"type": "WordPiece", "vocab": {}}}'])
def test_a_damaged_tokenizer_is_named(folder: Path, tmp_path: Path, content: bytes) -> None:
    """A tokenizer that cannot be read is an error of ours."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copied / "tokenizer.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"tokenizer\.json cannot be used"):
        load_vectors(made(copied), ["lamp"])


@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_header_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    """Bytes written over the beginning of a table give tensors that lie in the file, or a ValueError."""
    whole = bytearray(save({"embeddings": TABLE[:8], "weights": np.ones(8)}))
    whole[at : at + len(noise)] = noise
    file = tmp_path_factory.mktemp("noise") / "model.safetensors"
    file.write_bytes(whole)
    try:
        found = read_tensors(file)
    except ValueError:
        return
    for each in found.values():
        assert each.memory_map(file).shape == each.shape


@pytest.mark.parametrize("spec", ["static:", "static:a\0b"])
def test_a_spec_without_a_folder_is_refused(spec: str) -> None:
    """An empty path would mean the folder in which the command runs."""
    with pytest.raises(InvalidError, match="names no folder; say for example static:models/"):
        make_embedder(spec, EmbedderDeps(Settings(), lambda endpoint: pytest.fail("no server"), NullEmbeddingCache))


def test_a_collection_of_a_table(folder: Path, tmp_path: Path) -> None:
    """It is made, found again, and refuses another table in the same folder with both names."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    with Library(tmp_path / "indexes") as library:
        library.create("handbook", embedder=f"static:{copied}").upsert([text_source("a", "The lamp burns.")])
    with Library(tmp_path / "indexes") as library:
        assert [hit.uri for hit in library.open("handbook").search("lamp")] == ["a"]
    make_static_folder(copied, {"embeddings": make_weights(seed=1)[0]})
    with (
        Library(tmp_path / "indexes") as library,
        pytest.raises(ConflictError, match=f"{made(folder).name}.*{made(copied).name}"),
    ):
        library.open("handbook")
