"""Token counts before a server has counted, against a tokenizer that the planner does not know."""

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from semsearch.core.types.usage import TokenEstimate
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.usage.token_estimates import (
    _SCRIPT_ENDS,
    DEFAULT_TOKEN_RATIOS,
    TokenRatios,
    estimate_tokens,
    sample_tokenizer,
)

LOCAL = LocalEmbedder()
BATCH_SIZE = 20
TEXTS = st.lists(st.text(max_size=30) | st.text("ab ,.é0ж中👍\n", max_size=60), max_size=5)


def load_texts(shared_data: Path, name: str) -> list[str]:
    """The texts of a judged collection in an order without meaning."""
    lines = (shared_data / name / "corpus.jsonl").read_text().splitlines()
    texts = [str(json.loads(line)["text"]) for line in lines]
    random.Random(3).shuffle(texts)
    return texts


def count_tokens(texts: Sequence[str]) -> int:
    """Tokens by the tokenizer of Llama 2."""
    return sum(len(LOCAL.tokenize(text)) for text in texts)


def add_ratios(learned: TokenRatios, taught: TokenRatios) -> TokenRatios:
    """Both together, as a meter adds them up."""
    scripts = {*learned, *taught}
    pairs = {script: (learned.get(script, (0, 0)), taught.get(script, (0, 0))) for script in scripts}
    return {script: (a[0] + b[0], a[1] + b[1]) for script, (a, b) in pairs.items()}


@pytest.mark.parametrize("name", ["squad2_a", "cranfield"])
def test_a_first_guess_is_near(shared_data: Path, name: str) -> None:
    """Before anything was counted, the likely number is within 15 %."""
    texts = load_texts(shared_data, name)
    assert estimate_tokens(texts, {}).expected == pytest.approx(count_tokens(texts), rel=0.15)


@pytest.mark.parametrize("name", ["squad2_a", "cranfield"])
def test_after_a_while_it_is_nearer(shared_data: Path, name: str) -> None:
    """When 100,000 tokens were counted, the rest of the same collection is guessed within 3 %."""
    texts = load_texts(shared_data, name)
    learned: TokenRatios = {}
    seen = at = 0
    while seen < 100_000:
        some = texts[at : at + BATCH_SIZE]
        learned = add_ratios(learned, sample_tokenizer(some, count_tokens(some), learned))
        seen, at = seen + count_tokens(some), at + BATCH_SIZE
    rest = texts[at:]
    assert len(rest) >= 40
    assert estimate_tokens(rest, learned).expected == pytest.approx(count_tokens(rest), rel=0.03)


@pytest.mark.parametrize("name", ["squad2_a", "cranfield"])
def test_a_wrong_guess_is_unlearned(shared_data: Path, name: str) -> None:
    """A tokenizer with three times as many tokens is known just as well after 100,000 of them."""
    texts = load_texts(shared_data, name)
    learned: TokenRatios = {}
    seen = at = 0
    while seen < 100_000:
        some = texts[at : at + BATCH_SIZE]
        learned = add_ratios(learned, sample_tokenizer(some, 3 * count_tokens(some), learned))
        seen, at = seen + 3 * count_tokens(some), at + BATCH_SIZE
    rest = texts[at:]
    assert estimate_tokens(rest, learned).expected == pytest.approx(3 * count_tokens(rest), rel=0.03)


@given(TEXTS)
@example(["\x00" * 70, "", "👍🏽" * 50, "</s><unk><s>", "\ud800"])
def test_the_bound_is_never_exceeded(texts: list[str]) -> None:
    """Whatever the texts are, the tokenizer makes no more tokens of them than was said, its special ones included."""
    bound = estimate_tokens(texts, {})
    whole = [text.encode("utf-8", "replace").decode() for text in texts]
    assert (
        sum(len(LOCAL._word_token_cache._tokenizer.encode(text, add_special_tokens=True).ids) for text in whole)
        <= bound.upper_bound
    )


@given(
    TEXTS,
    st.dictionaries(st.sampled_from(sorted(DEFAULT_TOKEN_RATIOS)), st.tuples(st.floats(1, 1e9), st.floats(0, 1e9))),
)
def test_what_is_likely_is_possible(texts: list[str], learned: TokenRatios) -> None:
    """Whatever was learned, the likely number is not over the bound."""
    found = estimate_tokens(texts, learned)
    assert 0 <= found.expected <= found.upper_bound


@given(TEXTS, TEXTS, st.integers(1, 10_000), st.integers(1, 10_000))
def test_learning_adds_up(some: list[str], others: list[str], few: int, many: int) -> None:
    """Two lessons teach the characters that one of both would; every token that was counted belongs to a script."""
    first, second = sample_tokenizer(some, few, {}), sample_tokenizer(others, many, {})
    both = sample_tokenizer(some + others, few + many, {})
    added = add_ratios(first, second)
    assert {script: characters for script, (characters, _) in added.items()} == {
        script: characters for script, (characters, _) in both.items()
    }
    taught = (few if first else 0) + (many if second else 0)
    assert sum(tokens for _, tokens in added.values()) == pytest.approx(taught)


@given(TEXTS)
def test_each_character_counts_once(texts: list[str]) -> None:
    """Every character but the space has one script."""
    characters = sum(count for count, _ in sample_tokenizer(texts, 1, {}).values())
    assert characters == sum(len(text) - text.count(" ") for text in texts)


def test_texts_without_a_character_teach_nothing() -> None:
    """A server may count tokens for a blank; they belong to no script."""
    assert sample_tokenizer(["", "  "], 4, {}) == {}
    assert estimate_tokens([], {}) == TokenEstimate(0, 0)


def test_scripts_are_told_apart() -> None:
    """Each has a ratio of its own."""
    text = "a0.éαжאعकกก가かカ中👍"
    found = {script: characters for script, (characters, _) in sample_tokenizer([text], 1, {}).items()}
    assert found == {**dict.fromkeys(DEFAULT_TOKEN_RATIOS, 1), "thai": 2, "kana": 2}


def test_the_runs_of_scripts_are_in_order() -> None:
    """The first run that ends at or behind a character is its own."""
    assert all(one[0] < next_one[0] for one, next_one in pairwise(_SCRIPT_ENDS))
    assert {script for _, script in _SCRIPT_ENDS} <= set(DEFAULT_TOKEN_RATIOS)
