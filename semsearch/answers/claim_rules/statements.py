"""Represent an English text as a sequence of comparable words with their clauses and polarity."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

from ...text.analyzer import STOP_WORDS, analyze_words
from ...text.equivalents import are_related, get_representative, rewrite_phrases
from ...text.numbers import NUMBER_WORD_VALUES

_TOKEN = re.compile(r"[^\W_]+|[.,;:!?()\[\]\"“”—–\n]")
_MARKS = frozenset('.,;:!?()[]"“”—–\n')
_STRONG_MARKS = _MARKS - frozenset(',"“”')
_CONTRACTED_NOT = re.compile(r"n['’]t\b")
_APOSTROPHE = re.compile(r"['’](?:s|re|ve|ll|d|m)?\b")
_ANSWER_PARTICLE = re.compile(r"^\W*(?:no|yes)\s*[,.:;!–—]")
_PREFIXES = ("non", "un", "in", "im", "ir", "il", "dis")
_MIN_ROOT_CHARACTERS = 4
"""Letters that must remain of a word without its negating prefix."""

NEGATIONS = frozenset("not no never none nobody nothing nor neither without unless except hardly non".split())
_CANCELLING = frozenset("without unless until except".split())
"""With a negation before it in the same clause, such a word states a condition: "not without", "no ... unless"."""

_NOT_CANCELLED = frozenset(("must", "need", "wait", "waiting"))
"""Words after which the condition belongs to what is denied: no need to wait until."""

_SCOPE_ENDS = frozenset("is are was were that which who than as so".split())
"""Words that end what a negation applies to, once it applies to a word."""

_LIGHT_WORDS = frozenset(
    "take takes took taken taking make makes made making get gets got getting go goes went going come comes came coming"
    " put puts putting do does did done become becomes became usually always often generally also still already even"
    " however therefore thus although though whereas something anything".split()
)
"""Verbs and adverbs that say little by themselves."""

_NOUN_NEGATIONS = frozenset("no neither nor none nobody".split())
_NEGATED_WORDS = 2
"""Content words after a negation that it applies to."""

_NEGATED_WORDS_AFTER_NO = 3
"""The same for words that negate a noun and what is said of it."""

_CLAUSE_WORDS = frozenset("but while whereas although though because if when".split())
_MODALS = frozenset("must can could may might shall should will would ought only".split())
_START_CHARACTERS = 4
"""Initial letters that words of the same root share at least."""

_MAX_WORDS = 1_000
"""Words of a text that are compared; an answer's sentence has at most 300."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a statement."""

    form: str
    """The word as written, case-folded."""
    stem: str
    """Its stem."""
    term: str
    """The representative of its stem and the synonyms."""
    is_content: bool
    """Whether the word carries meaning of its own."""
    clause: int
    """Number of its clause, which ends at any mark."""
    part: int
    """Number of its part of the sentence, which may hold a list with commas."""
    is_negated: bool

    @property
    def is_negation(self) -> bool:
        """Whether the word itself denies something."""
        return self.form in NEGATIONS


class Statement:
    """An English text as words."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens

    def with_roots(self, roots: frozenset[str]) -> "Statement":
        """Return the statement with "not" before these roots in place of a prefix: ineligible, not eligible."""
        if not any(find_negated_root(form, roots) for form in self.forms):
            return self
        return Statement(_split_prefixes(self._tokens, roots))

    @cached_property
    def words(self) -> list[Word]:
        """Its words in order."""
        clauses, parts = _number_clauses(self._tokens, _MARKS), _number_clauses(self._tokens, _STRONG_MARKS)
        indices = [index for index, token in enumerate(self._tokens) if token[0].isalnum()][:_MAX_WORDS]
        forms = [self._tokens[index] for index in indices]
        negated = _find_negated(forms, [clauses[index] for index in indices])
        return [
            Word(form, *read_form(form), clauses[index], parts[index], position in negated)
            for position, (form, index) in enumerate(zip(forms, indices, strict=True))
        ]

    @cached_property
    def forms(self) -> frozenset[str]:
        """The words as written, case-folded."""
        return frozenset(word.form for word in self.words)

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of all its words."""
        return frozenset(word.stem for word in self.words)

    @cached_property
    def terms(self) -> frozenset[str]:
        """The representatives of all its words."""
        return frozenset(word.term for word in self.words)

    @cached_property
    def content(self) -> list[Word]:
        """Its content words in order."""
        return [word for word in self.words if word.is_content]

    @cached_property
    def negated_terms(self) -> frozenset[str]:
        """The terms of words that a negation applies to."""
        return frozenset(word.term for word in self.content if word.is_negated)

    @cached_property
    def affirmed_terms(self) -> frozenset[str]:
        """The terms of the other content words."""
        return frozenset(word.term for word in self.content if not word.is_negated)

    @cached_property
    def negated_clauses(self) -> list[int]:
        """The clause of each of its negations; those that cancel each other are left out."""
        clauses = [word.clause for word in self.words]
        return [clauses[index] for index in _find_active_negations([word.form for word in self.words], clauses)]

    @property
    def negation_count(self) -> int:
        """The number of its negations."""
        return len(self.negated_clauses)

    @cached_property
    def terms_beside_negation(self) -> frozenset[str]:
        """The terms of the content words in parts with a negation; "instead of" applies to the next words only."""
        words = self.words
        active = _find_active_negations([word.form for word in words], [word.clause for word in words])
        parts = {words[index].part for index in active if words[index].form != "non"}
        return self.negated_terms.union(word.term for word in self.content if word.part in parts)

    def covers(self, word: Word) -> bool:
        """Return whether it has the word, a synonym, or a word of the same root."""
        return self.covers_stem(word.stem)

    def covers_stem(self, stem_: str) -> bool:
        """Do the same for a stem."""
        if stem_ in self.stems or get_representative(stem_) in self.terms:
            return True
        return any(are_related(stem_, other) for other in self._stems_by_start.get(stem_[:_START_CHARACTERS], ()))

    @cached_property
    def _stems_by_start(self) -> dict[str, list[str]]:
        stems: dict[str, list[str]] = {}
        for word_stem in self.stems:
            stems.setdefault(word_stem[:_START_CHARACTERS], []).append(word_stem)
        return stems


def tokenize(text: str) -> list[str]:
    """Return the case-folded words and clause marks of a text, with phrases in one form."""
    folded = _CONTRACTED_NOT.sub(" not", rewrite_phrases(text.casefold()))
    return _TOKEN.findall(_APOSTROPHE.sub(" ", _ANSWER_PARTICLE.sub("", folded)))


@cache
def _number_words() -> dict[str, str]:
    return {word: str(value) for word, value in NUMBER_WORD_VALUES.items()}


def stem(form: str) -> str:
    """Return the stem of a word; a number word becomes digits."""
    return _number_words().get(form) or "".join(analyze_words([form]))


def is_content(form: str) -> bool:
    """Return whether a word carries meaning of its own."""
    return not (form in STOP_WORDS or form in NEGATIONS or form in _MODALS or form in _LIGHT_WORDS)


@lru_cache(16_384)
def read_form(form: str) -> tuple[str, str, bool]:
    """Return the stem of a word, the representative of its synonyms, and whether it carries meaning."""
    own_stem = stem(form)
    return own_stem, get_representative(own_stem), is_content(form)


def _split_prefixes(tokens: Sequence[str], roots: frozenset[str]) -> list[str]:
    """Return the tokens with "not" and the root in place of a word with a negating prefix: ineligible, not eligible."""
    split: list[str] = []
    for token in tokens:
        root = find_negated_root(token, roots)
        split += ["not", root] if root else [token]
    return split


def find_negated_root(form: str, roots: frozenset[str]) -> str:
    """Return what remains of a word without its negating prefix if that is one of the roots; else nothing."""
    for prefix in _PREFIXES:
        root = form.removeprefix(prefix)
        if root != form and len(root) >= _MIN_ROOT_CHARACTERS and stem(root) in roots:
            return root
    return ""


def _number_clauses(tokens: Sequence[str], ends: frozenset[str]) -> list[int]:
    """Return the number of the clause of each token; a clause ends at these marks or before a conjunction."""
    clauses, clause = [], 0
    for token in tokens:
        clause += token in ends or token in _CLAUSE_WORDS
        clauses.append(clause)
    return clauses


def _find_active_negations(forms: Sequence[str], clauses: Sequence[int]) -> list[int]:
    """Return the positions of negations that are not cancelled by another one: not without, no ... unless."""
    active: list[int] = []
    for index, form in enumerate(forms):
        if form in _CANCELLING and active and clauses[index] - clauses[active[-1]] <= 1:
            if not _NOT_CANCELLED.intersection(forms[active[-1] : index]):
                active.pop()
        elif form in NEGATIONS and active and index - active[-1] == 1:
            active.pop()
        elif form in NEGATIONS and not (form == "nor" and active):
            active.append(index)
    return active


def _find_negated(forms: Sequence[str], clauses: Sequence[int]) -> set[int]:
    """Return the positions of the content words that a negation applies to."""
    negated: set[int] = set()
    for index in _find_active_negations(forms, clauses):
        denies_noun = forms[index] in _NOUN_NEGATIONS
        remaining = _NEGATED_WORDS_AFTER_NO if denies_noun else _NEGATED_WORDS
        for position in range(index + 1, min(index + 10, len(forms))):
            if clauses[position] != clauses[index] or not remaining:
                break
            if position - 1 in negated and forms[position] in _SCOPE_ENDS and not denies_noun:
                break
            if is_content(forms[position]):
                negated.add(position)
                remaining -= 1
    return negated
