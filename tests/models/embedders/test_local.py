"""The local model: its vector space is fixed, and its vectors have length 1."""

import asyncio
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import UnavailableError
from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders import word_tokens
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.models.embedders.word_tokens import MAX_WORD_CHARACTERS, RUN_PATTERN, WordTokenCache, _find_ascii_runs

EMBEDDER = LocalEmbedder()
BULK_CACHE = WordTokenCache(EMBEDDER._word_token_cache._read_tokenizer)
CONTEXT = RequestContext("query")

WORDS = [
    "The",
    "castle,",
    "naïve",
    "東京",
    "</s>",
    "<0x0A>",
    "x",
    "m².",
    "_²),",
    "½-3kg",
    "a_b2",
    "कि",
    "f(x)->y",
    "don't",
]

text_or_words = st.text(max_size=200) | st.lists(st.sampled_from(WORDS))
any_text = text_or_words.map(lambda text: text if isinstance(text, str) else " ".join(text))


def embed(*inputs: str) -> Vectors:
    """Return the vectors of these texts."""
    return asyncio.run(EMBEDDER.embed(inputs, CONTEXT))


def test_name_identifies_the_vector_space() -> None:
    """Five numbers of a vector stay the same as long as the name does."""
    assert EMBEDDER.name == "wordllama-l2-supercat-256-mean"
    vector = embed("How long is parental leave?")[0]
    assert vector[:5] == pytest.approx([0.151247, 0.034437, -0.044828, 0.052142, -0.075043], abs=1e-6)


def test_vectors_have_length_one() -> None:
    """A text with a word gives a unit vector, a blank text gives zeros, and no text gives no rows."""
    vectors = embed("castle", "", " \n\t", "東京", "🏰")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0, 1, 1], abs=1e-6)
    assert embed().shape == (0, EMBEDDER.dim)
    assert vectors.dtype == np.float32


@given(any_text)
def test_tokens_by_word_equal_tokens_of_the_whole_text(text: str) -> None:
    """Tokenizing word by word gives the tokens of the whole text. "▁" is the tokenizer's own space."""
    text = text.replace("▁", " ")
    words = text.split()
    if max(map(len, words), default=0) <= MAX_WORD_CHARACTERS:
        expected = (
            EMBEDDER._word_token_cache._tokenizer.encode(" ".join(words), add_special_tokens=False).ids if words else []
        )
        assert EMBEDDER.tokenize(text).tolist() == expected


@given(st.lists(any_text, max_size=30), st.integers(1, 100))
def test_bulk_tokenization_equals_single_tokenization(more_texts: list[str], cache_size: int) -> None:
    """Bulk mode and single texts give the same tokens, for any cache size."""
    texts = [
        *more_texts,
        "castle (see ▁x) " + "x" * 200 + " ".join(WORDS),
        " ".join(f"word{number}" for number in range(40)),
    ]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(word_tokens, "_CACHE_SIZE", cache_size)
        BULK_CACHE._word_tokens.clear()
        BULK_CACHE._run_tokens.clear()
        bulk_tokens = [tokens.tolist() for tokens in BULK_CACHE.tokenize(texts, in_bulk=True)]
    assert bulk_tokens == [EMBEDDER.tokenize(text).tolist() for text in texts]


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), min_size=1))
def test_ascii_run_splitter_equals_the_regular_expression(words: list[str]) -> None:
    """The fast splitter for ASCII returns the same runs as the pattern."""
    text = " " + " ".join(words)
    assert _find_ascii_runs(text) == RUN_PATTERN.findall(text)


def test_no_token_crosses_a_run_boundary() -> None:
    """Except for special tokens, no token of the vocabulary contains two runs."""
    vocabulary = [token.lstrip("▁") for token in EMBEDDER._word_token_cache._tokenizer.get_vocab()]
    crossing = {token for token in vocabulary if len(RUN_PATTERN.findall(token)) > 1}
    assert {token for token in crossing if not token.startswith("<0x")} == {"<s>", "</s>", "<unk>"}


def test_tokens_of_squad2_equal_tokens_of_the_whole_text(shared_data: Path) -> None:
    """Tokenizing word by word gives the tokens of the whole text on real text, too."""
    words = (shared_data / "squad2_a" / "corpus.jsonl").read_text().split()
    expected = EMBEDDER._word_token_cache._tokenizer.encode(" ".join(words[:20_000]), add_special_tokens=False).ids
    assert EMBEDDER.tokenize(" ".join(words[:20_000])).tolist() == expected


@given(st.lists(any_text, max_size=4), any_text)
def test_vector_does_not_depend_on_the_batch(others: list[str], text: str) -> None:
    """A text has the same vector alone, in a batch, and as a query."""
    alone = asyncio.run(EMBEDDER.embed([text], CONTEXT, query=True))[0]
    assert np.array_equal(embed(*others, text, *others)[len(others)], alone)


def test_many_texts_have_the_same_vectors_as_single_texts() -> None:
    """Many texts use the tokenizer, single texts the vocabulary; the vectors are equal."""
    single_embedder, bulk_embedder = LocalEmbedder(), LocalEmbedder()
    inputs = [f"{word} of the {number}th castle, naïvely 東京" for number, word in enumerate(WORDS * 4)]
    one_by_one = np.vstack([asyncio.run(single_embedder.embed([text], CONTEXT)) for text in inputs])
    assert np.array_equal(asyncio.run(bulk_embedder.embed(inputs, CONTEXT)), one_by_one)
    assert "_tokenizer" not in single_embedder._word_token_cache.__dict__
    assert "_bpe_tokenizer" not in bulk_embedder._word_token_cache.__dict__


def test_vector_is_the_mean_of_its_token_vectors() -> None:
    """All tokens have equal weight, also in a text with more tokens than one block."""
    text = "the castle of the Normans " * 2000
    rows = EMBEDDER._table[EMBEDDER.tokenize(text)].astype(np.float64)
    mean = rows.mean(axis=0)
    assert embed(text)[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-4)


def test_special_tokens_in_a_text_are_plain_text() -> None:
    """The text "</s>" is read as four characters."""
    special_token_ids = {0, 1, 2}
    assert not special_token_ids & set(EMBEDDER.tokenize("<s> </s> <unk>").tolist())


def test_related_texts_are_more_similar_than_unrelated_texts() -> None:
    """A query is more similar to a passage on its subject, even without a common word."""
    query, related, unrelated = embed("automobile price", "what cars cost", "boiling an egg")
    assert query @ related > query @ unrelated


def test_wordllama_is_never_imported() -> None:
    """Importing the package configures logging, so only its files are read."""
    script = (
        "import asyncio, sys; from semsearch.core.types.usage import RequestContext;"
        "from semsearch.models.embedders.local import LocalEmbedder;"
        "asyncio.run(LocalEmbedder().embed(['castle'], RequestContext('query'))); sys.exit('wordllama' in sys.modules)"
    )
    assert find_spec("wordllama") is not None
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_missing_files_name_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package that contains the files."""
    monkeypatch.setattr("semsearch.models.embedders.local.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="pip install 'wordllama=="):
        asyncio.run(LocalEmbedder().embed(["castle"], CONTEXT))


@cache
def embed_word(word: str) -> Vectors:
    """Return the vector of a word within a text."""
    vector: Vectors = embed(f" {word}")[0]
    return vector


ENGLISH_WORDS = st.lists(st.sampled_from(["castle", "tower", "lamp", "tide", "26", "naïve", "東京"]), max_size=5)


@given(ENGLISH_WORDS, st.lists(ENGLISH_WORDS, max_size=4))
def test_word_similarities_are_the_highest_cosines(words: list[str], texts: list[list[str]]) -> None:
    """They equal a naive computation; a text without words has zeros."""
    similarities = EMBEDDER.word_similarities(words, texts)
    assert similarities.shape == (len(texts), len(words))
    for row, text in zip(similarities, texts, strict=True):
        expected = [max((float(embed_word(a) @ embed_word(b)) for b in text), default=0.0) for a in words]
        assert row == pytest.approx(expected, abs=1e-5)
