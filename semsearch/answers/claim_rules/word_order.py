"""Find two parts of a claim that its evidence has in each other's place."""

from collections.abc import Sequence
from itertools import combinations

from .alignment import count_common, get_key, index_words, read_words
from .comparison import Comparison
from .roles import has_passive
from .statements import Statement, Word

_NEUTRAL = frozenset("a an the and or of this that these those your our their its his her my both either".split())
"""Words between two parts that relate them in no direction: a list in another order says the same."""

_MAX_RUNS = 12
_MAX_PART_WORDS = 7
_MIN_GAIN = 2
"""Words that the exchange must bring into order at least."""

_Span = tuple[int, int]


def compute_share_after_exchange(comparison: Comparison) -> float:
    """Return the share of the claim's words that the evidence has in the same order once two parts are exchanged.

    It is 0 if no exchange brings more words into order, and for a part that is repeated from the question.
    A reversed claim is a copy of its evidence after the exchange. A paraphrase is not: with the order of its parts, it
    also changes the words between them. The change of voice is left to `roles`.
    """
    claim = read_words(comparison.claim)
    return max((_exchange_best(claim, statement, comparison) for statement in comparison.evidence), default=0.0)


def _exchange_best(claim: Sequence[Word], statement: Statement, comparison: Comparison) -> float:
    if has_passive(comparison.claim) != has_passive(statement):
        return 0.0
    keys, positions = list(map(get_key, claim)), index_words(map(get_key, read_words(statement)))
    before = best = count_common(keys, positions)
    for (start, end), (other_start, other_end) in combinations(_find_parts(claim, statement), 2):
        if other_start < end or all(word.form in _NEUTRAL for word in claim[end:other_start]):
            continue
        if any(_is_given(part, comparison.given) for part in (claim[start:end], claim[other_start:other_end])):
            continue
        exchanged = (
            keys[:start],
            keys[other_start:other_end],
            keys[end:other_start],
            keys[start:end],
            keys[other_end:],
        )
        best = max(best, count_common([key for part in exchanged for key in part], positions))
    return best / len(claim) if best - before >= _MIN_GAIN else 0.0


def _is_given(part: Sequence[Word], given: Statement) -> bool:
    return all(word.term in given.terms or word.form in given.forms for word in part)


def _find_parts(claim: Sequence[Word], statement: Statement) -> list[_Span]:
    """Return the spans of one or two runs of words that follow each other in the sentence, in order of their start."""
    runs = _find_runs(claim, statement)
    return [
        (start, runs[last][1])
        for first, (start, _) in enumerate(runs)
        for last in (first, first + 1)
        if last < len(runs) and runs[last][1] - start <= _MAX_PART_WORDS
    ]


def _find_runs(claim: Sequence[Word], statement: Statement) -> list[_Span]:
    places = index_words(word.term for word in statement.content)
    runs: list[_Span] = []
    reached = 0
    for index, word in enumerate(claim):
        if not word.is_content:
            continue
        found = places.get(word.term, 0)
        following = found & (reached << 1 | reached << 2)  # at most one content word of the evidence is skipped
        if following:
            runs[-1] = (runs[-1][0], index + 1)
        elif found:
            runs.append((index, index + 1))
        reached = following or found
    return runs[:_MAX_RUNS]
