"""Hits of a search as text for people: a few lines around the best sentence, and how a hit was ranked. Only formats."""

import re
import textwrap
from collections.abc import Sequence

import click

from ...core.types.search import Explanation, Hit
from ...text.analyzer import analyze, extract_query_terms
from .answer_text import arrange_lines, compute_text_width, format_location, split_words

_WORD = re.compile(r"\w+")


def format_hits(hits: Sequence[Hit], query: str, *, is_colored: bool) -> str:
    """Return one paragraph for each hit; with colour, the words of the query are marked in it."""
    if not hits:
        return "no hits"
    terms = frozenset(extract_query_terms(query) if is_colored else ())
    return "\n\n".join(_format_hit(number, hit, terms) for number, hit in enumerate(hits, 1))


def _format_hit(number: int, hit: Hit, terms: frozenset[str]) -> str:
    place = click.style(f"{number}. {format_location(hit)}", bold=True)
    lines = [f"{place}  {hit.score:.3f}", _format_passage(hit, terms)]
    return "\n".join([*lines, *map(_format_explanation, hit.explanation or ())])


def _format_passage(hit: Hit, terms: frozenset[str]) -> str:
    """Return the lines around the best sentence, or the first ones if no sentence has a word of the query."""
    best = hit.sentence.start - hit.start if hit.sentence else 0
    before = split_words(hit.text[:best])
    words = [*before, *split_words(hit.text[best:])]
    return arrange_lines(
        words, len(before), lambda first, last: " ".join(_mark_matches(word, terms) for word in words[first:last])
    )


def _mark_matches(text: str, terms: frozenset[str]) -> str:
    """Return a text with the words in bold green that the search counted as words of the query."""
    return _WORD.sub(lambda match: _mark_word(match[0], terms), text) if terms else text


def _mark_word(word: str, terms: frozenset[str]) -> str:
    own_terms = analyze(word)
    if len(own_terms) < 2:
        return _mark(word) if terms.intersection(own_terms) else word
    # a run of a script without spaces: its terms are pairs of characters
    is_matched = [word[i : i + 2] in terms or word[max(0, i - 1) : i + 1] in terms for i in range(len(word))]
    return "".join(_mark(char) if matched else char for char, matched in zip(word, is_matched, strict=True))


def _mark(text: str) -> str:
    return click.style(text, fg="green", bold=True)


def _format_explanation(explanation: Explanation) -> str:
    """Return the ranks and scores of a hit in words."""
    legs = (("dense", explanation.dense), ("lexical", explanation.lexical))
    parts = [f"{name} rank {leg.rank}, score {leg.score:.3f}" for name, leg in legs if leg]
    parts += [] if explanation.fused is None else [f"fused score {explanation.fused:.3f}"]
    parts += [f"best sentence {explanation.sentence:.3f}", f"headings {explanation.heading:.3f}"]
    if explanation.role:
        parts.append(f"source weight {explanation.source_weight:g} ({explanation.role.replace('_', ' ')})")
    lines = textwrap.wrap("; ".join(parts), compute_text_width())
    return click.style(textwrap.indent("\n".join(lines), "    "), dim=True)
