"""Tests of token estimates against a tokenizer that the estimator does not use."""

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
    """Return the texts of a judged collection, shuffled."""
    lines = (shared_data / name / "corpus.jsonl").read_text().splitlines()
    texts = [str(json.loads(line)["text"]) for line in lines]
    random.Random(3).shuffle(texts)
    return texts


def count_tokens(texts: Sequence[str]) -> int:
    """Return the number of tokens by the tokenizer of Llama 2."""
    return sum(len(LOCAL.tokenize(text)) for text in texts)


def add_ratios(ratios: TokenRatios, sample: TokenRatios) -> TokenRatios:
    """Add a sample to ratios, as the meter does."""
    scripts = {*ratios, *sample}
    pairs = {script: (ratios.get(script, (0, 0)), sample.get(script, (0, 0))) for script in scripts}
    return {script: (a[0] + b[0], a[1] + b[1]) for script, (a, b) in pairs.items()}


@pytest.mark.parametrize("name", ["squad2_a", "cranfield"])
def test_estimate_without_samples_is_within_15_percent(shared_data: Path, name: str) -> None:
    """The default ratios fit two collections."""
    texts = load_texts(shared_data, name)
    assert estimate_tokens(texts, {}).expected == pytest.approx(count_tokens(texts), rel=0.15)


@pytest.mark.parametrize("name", ["squad2_a", "cranfield"])
def test_estimate_after_100000_tokens_is_within_3_percent(shared_data: Path, name: str) -> None:
    """Of the other texts of the same collection."""
    texts = load_texts(shared_data, name)
    ratios: TokenRatios = {}
    total = start = 0
    while total < 100_000:
        batch = texts[start : start + BATCH_SIZE]
        ratios = add_ratios(ratios, sample_tokenizer(batch, count_tokens(batch), ratios))
        total, start = total + count_tokens(batch), start + BATCH_SIZE
    others = texts[start:]
    assert len(others) >= 40
    assert estimate_tokens(others, ratios).expected == pytest.approx(count_tokens(others), rel=0.03)


@pytest.mark.parametrize("name", ["squad2_a", "cranfield"])
def test_estimate_adapts_to_another_tokenizer(shared_data: Path, name: str) -> None:
    """With three times as many tokens it is within 3 % after 100,000 of them."""
    texts = load_texts(shared_data, name)
    ratios: TokenRatios = {}
    total = start = 0
    while total < 100_000:
        batch = texts[start : start + BATCH_SIZE]
        ratios = add_ratios(ratios, sample_tokenizer(batch, 3 * count_tokens(batch), ratios))
        total, start = total + 3 * count_tokens(batch), start + BATCH_SIZE
    others = texts[start:]
    assert estimate_tokens(others, ratios).expected == pytest.approx(3 * count_tokens(others), rel=0.03)


@given(TEXTS)
@example(["\x00" * 70, "", "👍🏽" * 50, "</s><unk><s>", "\ud800"])
def test_upper_bound_is_never_exceeded(texts: list[str]) -> None:
    """The tokenizer makes no more tokens of any texts, special tokens included."""
    estimate = estimate_tokens(texts, {})
    encodable_texts = [text.encode("utf-8", "replace").decode() for text in texts]
    assert (
        sum(
            len(LOCAL._word_token_cache._tokenizer.encode(text, add_special_tokens=True).ids)
            for text in encodable_texts
        )
        <= estimate.upper_bound
    )


@given(
    TEXTS,
    st.dictionaries(st.sampled_from(sorted(DEFAULT_TOKEN_RATIOS)), st.tuples(st.floats(1, 1e9), st.floats(0, 1e9))),
)
def test_expected_tokens_are_within_the_bound(texts: list[str], ratios: TokenRatios) -> None:
    """For any texts and ratios."""
    estimate = estimate_tokens(texts, ratios)
    assert 0 <= estimate.expected <= estimate.upper_bound


@given(TEXTS, TEXTS, st.integers(1, 10_000), st.integers(1, 10_000))
def test_samples_add_up(first_texts: list[str], second_texts: list[str], first_tokens: int, second_tokens: int) -> None:
    """Two samples have the characters of one sample of all texts; every counted token belongs to a script."""
    first = sample_tokenizer(first_texts, first_tokens, {})
    second = sample_tokenizer(second_texts, second_tokens, {})
    both = sample_tokenizer(first_texts + second_texts, first_tokens + second_tokens, {})
    added = add_ratios(first, second)
    assert {script: characters for script, (characters, _) in added.items()} == {
        script: characters for script, (characters, _) in both.items()
    }
    counted = (first_tokens if first else 0) + (second_tokens if second else 0)
    assert sum(tokens for _, tokens in added.values()) == pytest.approx(counted)


@given(TEXTS)
def test_each_character_has_one_script(texts: list[str]) -> None:
    """Spaces have none."""
    characters = sum(count for count, _ in sample_tokenizer(texts, 1, {}).values())
    assert characters == sum(len(text) - text.count(" ") for text in texts)


def test_blank_texts_give_no_sample() -> None:
    """Tokens that a server counts for spaces belong to no script."""
    assert sample_tokenizer(["", "  "], 4, {}) == {}
    assert estimate_tokens([], {}) == TokenEstimate(0, 0)


def test_each_script_has_its_own_ratio() -> None:
    """Characters of one text are counted by script."""
    text = "a0.éαжאعकกก가かカ中👍"
    counts = {script: characters for script, (characters, _) in sample_tokenizer([text], 1, {}).items()}
    assert counts == {**dict.fromkeys(DEFAULT_TOKEN_RATIOS, 1), "thai": 2, "kana": 2}


def test_blocks_of_scripts_are_in_order() -> None:
    """The script of a character is that of the first block that ends at or after it."""
    assert all(end < next_end for (end, _), (next_end, _) in pairwise(_SCRIPT_ENDS))
    assert {script for _, script in _SCRIPT_ENDS} <= set(DEFAULT_TOKEN_RATIOS)
