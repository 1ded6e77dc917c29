"""What the embedded model promises: one vector space for ever, and unit vectors without surprises."""

import asyncio
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import UnavailableError
from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders import word_tokens as lexicon
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.models.embedders.word_tokens import MAX_WORD_CHARACTERS, RUN_PATTERN, WordTokenCache, _find_ascii_runs

EMBEDDER = LocalEmbedder()
MET = WordTokenCache(EMBEDDER._word_token_cache._read_tokenizer)
ERRAND = RequestContext("query")

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

texts = st.text(max_size=200) | st.lists(st.sampled_from(WORDS))
joined = texts.map(lambda text: text if isinstance(text, str) else " ".join(text))


def embed(*wanted: str) -> Vectors:
    """The vectors of these texts."""
    return asyncio.run(EMBEDDER.embed(wanted, ERRAND))


def test_the_vector_space_is_the_one_of_its_name() -> None:
    """Five numbers that never change while the name does not."""
    assert EMBEDDER.name == "wordllama-l2-supercat-256-mean"
    vector = embed("How long is parental leave?")[0]
    assert vector[:5] == pytest.approx([0.151247, 0.034437, -0.044828, 0.052142, -0.075043], abs=1e-6)


def test_vectors_have_length_one() -> None:
    """Every text with a word gives a unit vector, one without gives zeros, and no text gives no rows."""
    vectors = embed("castle", "", " \n\t", "東京", "🏰")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 0, 0, 1, 1], abs=1e-6)
    assert embed().shape == (0, EMBEDDER.dim)
    assert vectors.dtype == np.float32


@given(joined)
def test_words_have_the_tokens_that_they_have_in_the_whole_text(text: str) -> None:
    """Tokens looked up word by word are those of the whole text; "▁" is the tokenizer's own space."""
    text = text.replace("▁", " ")
    words = text.split()
    if max(map(len, words), default=0) <= MAX_WORD_CHARACTERS:
        whole = (
            EMBEDDER._word_token_cache._tokenizer.encode(" ".join(words), add_special_tokens=False).ids if words else []
        )
        assert EMBEDDER.tokenize(text).tolist() == whole


@given(st.lists(joined, max_size=30), st.integers(1, 100))
def test_words_that_are_met_together_have_the_tokens_that_they_have_alone(some: list[str], remembered: int) -> None:
    """Many new words at once, or one by one, and however many are remembered: the same tokens."""
    texts = [*some, "castle (see ▁x) " + "x" * 200 + " ".join(WORDS), " ".join(f"word{number}" for number in range(40))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexicon, "_CACHE_SIZE", remembered)
        MET._word_tokens.clear()
        MET._run_tokens.clear()
        together = [tokens.tolist() for tokens in MET.tokenize(texts, in_bulk=True)]
    assert together == [EMBEDDER.tokenize(text).tolist() for text in texts]


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), min_size=1))
def test_runs_of_plain_words_are_found_as_others_are(words: list[str]) -> None:
    """The short way to the runs of ASCII finds those of the long one."""
    text = " " + " ".join(words)
    assert _find_ascii_runs(text) == RUN_PATTERN.findall(text)


def test_no_token_crosses_what_a_word_is_cut_at() -> None:
    """Runs of a word have their own tokens because the vocabulary has none of two runs, but for its markers."""
    vocabulary = [token.lstrip("▁") for token in EMBEDDER._word_token_cache._tokenizer.get_vocab()]
    crossing = {token for token in vocabulary if len(RUN_PATTERN.findall(token)) > 1}
    assert {token for token in crossing if not token.startswith("<0x")} == {"<s>", "</s>", "<unk>"}


def test_the_judged_collections_have_the_tokens_of_whole_texts(shared_data: Path) -> None:
    """The same holds for real text."""
    lines = (shared_data / "squad2_a" / "corpus.jsonl").read_text().split()
    whole = EMBEDDER._word_token_cache._tokenizer.encode(" ".join(lines[:20_000]), add_special_tokens=False).ids
    assert EMBEDDER.tokenize(" ".join(lines[:20_000])).tolist() == whole


@given(st.lists(joined, max_size=4), joined)
def test_a_vector_does_not_depend_on_its_company(others: list[str], text: str) -> None:
    """A text has the same vector alone, in a batch, and as a question."""
    alone = asyncio.run(EMBEDDER.embed([text], ERRAND, query=True))[0]
    assert np.array_equal(embed(*others, text, *others)[len(others)], alone)


def test_many_texts_at_once_have_the_vectors_of_single_ones() -> None:
    """Words are cut by another way where there are many texts, and into the same tokens."""
    few, many = LocalEmbedder(), LocalEmbedder()
    wanted = [f"{word} of the {number}th castle, naïvely 東京" for number, word in enumerate(WORDS * 4)]
    one_by_one = np.vstack([asyncio.run(few.embed([text], ERRAND)) for text in wanted])
    assert np.array_equal(asyncio.run(many.embed(wanted, ERRAND)), one_by_one)
    assert "_tokenizer" not in few._word_token_cache.__dict__
    assert "_bpe_tokenizer" not in many._word_token_cache.__dict__


def test_a_vector_is_the_mean_of_its_tokens() -> None:
    """No token weighs more than another, also in a text of more tokens than are added up at once."""
    text = "the castle of the Normans " * 2000
    rows = EMBEDDER._table[EMBEDDER.tokenize(text)].astype(np.float64)
    mean = rows.mean(axis=0)
    assert embed(text)[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-4)


def test_markers_of_the_tokenizer_in_a_text_are_text() -> None:
    """A document that holds "</s>" is read as these four characters."""
    control = {0, 1, 2}
    assert not control & set(EMBEDDER.tokenize("<s> </s> <unk>").tolist())


def test_meaning_brings_texts_together() -> None:
    """A question is nearer to a passage on its subject than to another, without a common word."""
    question, near, far = embed("automobile price", "what cars cost", "boiling an egg")
    assert question @ near > question @ far


def test_the_code_of_wordllama_is_never_imported() -> None:
    """Its package sets up logging when imported; only its files are read."""
    script = (
        "import asyncio, sys; from semsearch.core.types.usage import RequestContext;"
        "from semsearch.models.embedders.local import LocalEmbedder;"
        "asyncio.run(LocalEmbedder().embed(['castle'], RequestContext('query'))); sys.exit('wordllama' in sys.modules)"
    )
    assert find_spec("wordllama") is not None
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_missing_table_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its files the embedder names the package that brings them."""
    monkeypatch.setattr("semsearch.models.embedders.local.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="pip install 'wordllama=="):
        asyncio.run(LocalEmbedder().embed(["castle"], ERRAND))
