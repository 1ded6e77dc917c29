"""Compare words that exclude each other, and what they apply to."""

from functools import cache

from ...text.analyzer import analyze
from .comparison import Comparison
from .statements import Statement

_PAIRS = (
    ("before", "after"),
    (
        "more most maximum above increase increases rise rises rose grow grows grew",
        "less least minimum below decrease decreases fall falls fell reduce reduces reduction shrink",
    ),
    ("require requires mandatory must compulsory obliges obligatory", "optional option voluntary"),
    ("once", "twice thrice"),
    ("first earliest", "last latest"),
    ("north", "south"),
    ("east", "west"),
    ("northern", "southern"),
    ("eastern", "western"),
    ("open opens", "close closed closes"),
    ("win won victory", "lose lost defeat"),
    ("static statically", "dynamic dynamically"),
    ("explicit explicitly", "implicit implicitly"),
    ("start starts begin begins", "end ends finish"),
    ("public publicly", "private privately"),
    ("synchronous", "asynchronous"),
    ("temporary temporarily", "permanent permanently"),
    ("manual manually", "automatic automatically"),
    ("ascending", "descending"),
    ("import imports", "export exports"),
    ("upload uploads", "download downloads"),
    ("internal internally", "external externally"),
    ("inside", "outside"),
    ("local locally", "remote remotely"),
    ("enable enables enabled", "disable disables disabled"),
    ("add adds added", "remove removes removed delete deletes"),
    ("larger bigger greater higher longer", "smaller lower shorter"),
    ("faster", "slower"),
    ("older", "younger newer"),
    ("easier", "harder"),
    ("cheap cheaper", "expensive"),
    ("early earlier", "late later"),
    ("high", "low"),
    ("strong stronger", "weak weaker"),
    ("safe", "dangerous"),
    ("buy buys bought", "sell sells sold"),
    ("lend", "borrow"),
    ("horizontal", "vertical"),
    ("positive", "negative"),
    ("majority", "minority"),
    ("full", "empty"),
    ("single", "multiple several"),
    ("true", "false"),
    ("left", "right"),
    ("top", "bottom"),
    ("success succeed succeeds", "failure"),
    ("always", "never"),
    ("allow", "forbidden prohibit ban"),
    ("same identical", "different"),
    ("similar", "identical"),
    ("long longer", "short shorter"),
)
_BOUND_STARTS = frozenset(("at", "or", "no", "not"))
_BOUND_WORDS = frozenset(
    "more less most least fewer higher lower above below longer shorter older later earlier".split()
)
_MAX_DISTANCE = 4
"""Words between an opposite word and what it applies to at most."""


@cache
def _opposites() -> dict[str, frozenset[str]]:
    """Return for each word stem those that exclude it."""
    opposites: dict[str, set[str]] = {}
    for pair in _PAIRS:
        first, second = (frozenset(analyze(words)) for words in pair)
        for own, other in ((first, second), (second, first)):
            for stem in own:
                opposites.setdefault(stem, set()).update(other)
    return {stem: frozenset(stems) for stem, stems in opposites.items()}


def has_opposite_word(comparison: Comparison) -> bool:
    """Return whether the claim has a word in place of one that excludes it.

    Either it is missing from the closest sentence, which has the other one; or both apply to the same next word.
    """
    own_stems, stems = _find_stems(comparison.claim), _find_stems(comparison.closest)
    for stem in own_stems - stems - comparison.given.stems:
        if _opposites().get(stem, frozenset()) & (stems - own_stems):
            return True
    applied = _applications(comparison.claim)
    known = {pair for statement in comparison.evidence for pair in _applications(statement)}
    return any(
        (stem, word) not in known
        and any((other, word) in known for other in _opposites()[stem] if (other, word) not in applied)
        for stem, word in applied
        if stem not in comparison.given.stems
    )


def _find_stems(statement: Statement) -> frozenset[str]:
    """Return the stems of a statement without those that bound a number: at least, or more."""
    forms = ["", *(word.form for word in statement.words)]
    return frozenset(
        word.stem
        for before, word in zip(forms, statement.words, strict=False)
        if not (before in _BOUND_STARTS and word.form in _BOUND_WORDS)
    )


def _applications(statement: Statement) -> set[tuple[str, str]]:
    """Return each word that has an opposite with the content word that follows it."""
    words = statement.words
    return {
        (word.stem, following.term)
        for index, word in enumerate(words)
        if word.stem in _opposites()
        for following in [other for other in words[index + 1 : index + 1 + _MAX_DISTANCE] if other.is_content][:1]
    }
