"""Says whether the sentences that an answer cites support what it says: numbers, names, negation, then the words.

Deterministic and fast: no model is asked. It finds what is not there; that two texts mean the same it cannot know, so a
free paraphrase is "partial". A claim's numbers and names must stand in the cited text, whatever else fits.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from .analysis import content_terms, terms
from .types import Passage, Question, Support

SUPPORTED = 0.9
"""Share of the words that a claim adds to the question which one cited sentence must hold."""

PARTIAL = 0.5
"""With less than that it says something else; the rest may be other words for the same."""

PARTIAL_OF_FEW = 0.67
"""The same for a claim of a few words, such as an answer without its question."""

ON_THE_SUBJECT = 0.19
"""Share of the question's words in a claim that the cited sentence must hold, or the sentences beside it."""

_SHORT = 3
"""Words of a claim that are an answer without its question."""

_STEM = 4
"""Letters at the beginning of a name that are the same in the words derived from it."""

_UNKNOWN_WEIGHT = 1.0
"""Of a word that is not in the question, against the heaviest that is."""

_SMALL = {
    name: value
    for value, name in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
        " seventeen eighteen nineteen".split()
    )
}
_TENS = {
    name: 10 * value for value, name in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 10**9, "trillion": 10**12}
_SUFFIXES = {"k": 1_000, "m": 1_000_000, "mn": 1_000_000, "bn": 10**9, "b": 10**9}
_ORDINALS = {
    name: value
    for value, name in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), 1
    )
}
_EVERYDAY = frozenset(("one", "first", "second", "third"))
"""Words that count so often without being a figure that a claim is not held to them."""

_MONTHS = "january february march april may june july august september october november december".split()
_DIGITS = re.compile(
    r"(?<![\w.])(?P<number>\d+(?:[,  ]\d{3})+(?:\.\d+)?|\d+\.\d+|\d+)"
    r"(?:\s?(?P<scale>hundred|thousand|million|billion|trillion|k|m|mn|bn|b)\b)?(?P<ending>st|nd|rd|th|s)?(?![\w])|(?P<inside>\d+)",
    re.IGNORECASE,
)
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_NUMBER_WORDS = re.compile(
    rf"\b(?:(?:{'|'.join([*_SMALL, *_TENS, *_SCALES])}|a(?=\s+(?:hundred|thousand|million)))(?:[\s-]+(?:and\s+)?|\b))+",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|nor|neither|without|cannot|unless|except|hardly|\w+n['’]t)\b", re.IGNORECASE
)
_PEOPLES = {
    name: tuple(other for other in pair if other != name)
    for pair in (
        ("france", "french"),
        ("switzerland", "swiss"),
        ("spain", "spanish"),
        ("poland", "polish"),
        ("wales", "welsh"),
        ("ireland", "irish"),
        ("netherlands", "dutch"),
        ("denmark", "danish"),
    )
    for name in pair
}
_OPPOSITES = [
    (frozenset(one.split()), frozenset(other.split()))
    for one, other in (
        ("before", "after"),
        ("more most maximum above increas rise rose", "less least minimum below decreas fall fell reduc"),
        ("requir mandatori must compulsori oblig", "option voluntari"),
        ("allow permit", "forbidden prohibit ban"),
        ("accept approv", "reject refus deni"),
        ("first earliest", "last latest"),
        ("north", "south"),
        ("east", "west"),
        ("open", "close"),
        ("win won victori", "lose lost defeat"),
    )
]
_TALK = (
    "yes no sure okay certainly here following follows below steps answer answers question document documents passages"
    " passage text source sources according says say said states stated mention mentions mentioned describes described"
    " information based provided summary overall conclusion also however therefore additionally note"
)


@cache
def _talk() -> frozenset[str]:
    """Terms with which an answer speaks of itself."""
    return frozenset(terms(_TALK))


Cited = Sequence[tuple[Passage, int]]


@dataclass(frozen=True)
class _Text:
    """A sentence, or what stands around it, as it is compared."""

    text: str

    @cached_property
    def terms(self) -> frozenset[str]:
        return frozenset(terms(self.text))

    @cached_property
    def numbers(self) -> frozenset[str]:
        return frozenset(numbers(self.text))

    @cached_property
    def folded(self) -> str:
        return _fold(self.text)


class Judge:
    """Judges the sentences of one answer: `citations.Judge`."""

    def __init__(self, question: Question, passages: Sequence[Passage]) -> None:
        self._question = _Text(question.text)
        self._asked = frozenset(question.terms) | self._question.terms
        self._weights = question.weights
        self._heaviest = max(question.weights.values(), default=1.0) or 1.0
        self._around = {
            passage.id: _Text(
                f"{passage.title}\n{passage.heading}\n" + "\n".join(one.text for one in passage.sentences)
            )
            for passage in passages
        }

    def __call__(self, sentence: str, cited: Cited) -> Support:
        """What the cited sentences, each by its passage and number, make of a sentence without its markers."""
        claim = [term for term in dict.fromkeys(content_terms(sentence)) if term not in _talk()]
        own = [term for term in claim if term not in self._asked]
        if not cited:
            return "unsupported" if self._claims(sentence, own) else "not_checked"
        read = [_Text(passage.sentences[number - 1].text) for passage, number in cited]
        heads = [_Text(f"{passage.title}\n{passage.heading}") for passage, _ in cited]
        around = [self._around[passage.id] for passage, _ in cited]
        if not (self._facts_stand(sentence, [*read, *heads]) and self._agrees(sentence, read)):
            return "unsupported"
        held = max(self._held(own, text.terms | head.terms) for text, head in zip(read, heads, strict=True))
        subject = self._on_the_subject(claim, cited)
        enough = PARTIAL if len(own) > _SHORT else PARTIAL_OF_FEW
        if held < enough or subject < ON_THE_SUBJECT:
            return "unsupported"
        whole = held >= SUPPORTED and self._asked_stand(sentence, [*heads, *around])
        return "supported" if whole else "partial"

    def _claims(self, sentence: str, own: Sequence[str]) -> bool:
        """Whether a sentence says something that would need a source; one that leads over to others does not."""
        facts = [*numbers(sentence, figures=True), *names(sentence)]
        if any(fact not in self._question.numbers and _fold(fact) not in self._question.folded for fact in facts):
            return True
        return bool(own) and not sentence.rstrip().endswith((":", "："))

    def _facts_stand(self, sentence: str, near: Sequence[_Text]) -> bool:
        """Whether every number and name that the question did not bring stands in what is cited."""
        counts = (each for each in numbers(sentence, figures=True) if each not in self._question.numbers)
        called = (each for each in map(_fold, names(sentence)) if not _holds(self._question, each))
        return all(any(each in text.numbers for text in near) for each in counts) and all(
            any(_holds(text, each) for text in near) for each in called
        )

    def _asked_stand(self, sentence: str, around: Sequence[_Text]) -> bool:
        """Whether every number and name that the question did bring stands in the passage, in this form or another."""
        counts = (each for each in numbers(sentence, figures=True) if each in self._question.numbers)
        called = (each for each in map(_fold, names(sentence)) if _holds(self._question, each))
        return all(any(each in text.numbers for text in around) for each in counts) and all(
            any(_holds(text, each) or _resembles(text, each) for text in around) for each in called
        )

    def _agrees(self, sentence: str, read: Sequence[_Text]) -> bool:
        """Whether neither denies what the other says."""
        claimed = frozenset(terms(sentence))
        best = max(read, key=lambda text: len(claimed & text.terms))
        if _NEGATION.search(sentence) and not any(_NEGATION.search(text.text) for text in read):
            return bool(_NEGATION.search(self._question.text))
        if not _NEGATION.search(sentence) and _denied(best.text) & (claimed - self._asked):
            return False
        return not any(_opposed(claimed - best.terms, best.terms - claimed, pair) for pair in _OPPOSITES)

    def _held(self, own: Sequence[str], present: frozenset[str]) -> float:
        """The share of the words that a claim adds to the question that are present, by weight."""
        return sum(term in present for term in own) / len(own) if own else 1.0

    def _on_the_subject(self, claim: Sequence[str], cited: Cited) -> float:
        """The share of the question's words in a claim, by weight, that the cited sentence holds, and half that for
        those that the sentences beside it hold."""
        asked = [term for term in claim if term in self._asked]
        if not asked and len(claim) <= _SHORT:
            asked = [term for term in self._question.terms if term not in _talk() and self._weights.get(term)]
        total = sum(map(self._weight, asked))
        return max(self._covered(asked, passage, number) for passage, number in cited) / total if total else 1.0

    def _covered(self, asked: Sequence[str], passage: Passage, number: int) -> float:
        here = frozenset(passage.sentences[number - 1].terms)
        beside = here.union(*(one.terms for one in passage.sentences[max(0, number - 2) : number + 1]))
        return sum(self._weight(term) * ((term in here) + 0.5 * (term in beside)) for term in asked)

    def _weight(self, term: str) -> float:
        return self._weights.get(term, _UNKNOWN_WEIGHT * self._heaviest)


def numbers(text: str, *, figures: bool = False) -> Iterator[str]:
    """Yield the numbers in a text in one form for all ways to write them; with `figures` no everyday words.

    >>> list(numbers("1,000 of 3.5 million, twenty-six, 5th, 1990s, 2024-05-07"))
    ['2024', '5', '7', '1000', '3500000', '5', '1990', '26']
    """
    plain = "".join(str(digit) if (digit := unicodedata.digit(one, None)) is not None else one for one in text)
    for date in _ISO_DATE.finditer(plain):
        yield from (str(int(part)) for part in date.groups())
    undated = _ISO_DATE.sub(" ", plain)
    for found in _DIGITS.finditer(undated):
        yield _figure(found)
    for found in _NUMBER_WORDS.finditer(_DIGITS.sub(" ", undated)):
        if not (figures and found[0].strip().casefold() in _EVERYDAY):
            yield from _spelled(found[0])
    for word in () if figures else re.findall(r"[a-z]+", plain.casefold()):
        if word in _ORDINALS:
            yield str(_ORDINALS[word])


def _figure(found: re.Match[str]) -> str:
    if found["inside"]:
        return str(int(found["inside"]))
    value = re.sub(r"[,  ]", "", found["number"])
    scale = (found["scale"] or "").casefold()
    factor = _SCALES.get(scale) or _SUFFIXES.get(scale) or 1
    whole, _, part = value.partition(".")
    if not part:
        return str(int(whole) * factor)
    scaled = int(whole + part) * factor
    digits = 10 ** len(part)
    return str(scaled // digits) if scaled % digits == 0 else f"{whole.lstrip('0') or '0'}.{part.rstrip('0')}*{factor}"


def _spelled(words: str) -> Iterator[str]:
    total = current = 0
    for word in re.findall(r"[a-z]+", words.casefold()):
        if word in _SMALL or word in _TENS:
            current += _SMALL.get(word, _TENS.get(word, 0))
        elif word == "hundred":
            current = max(1, current) * 100
        elif word in _SCALES:
            total += max(1, current) * _SCALES[word]
            current = 0
    yield str(total + current)


def names(text: str) -> Iterator[str]:
    """Yield what looks like a name: capitals inside a sentence, acronyms, letters with digits.

    >>> list(names("In May the BBC asked Normandy's K-17."))
    ['May', 'BBC', 'Normandy', 'K-17']
    """
    begins = True
    for found in _WORD.finditer(text):
        word = re.sub(r"['’]s$", "", found[0])
        inner = begins or _begins(text[: found.start()])
        begins = False
        mixed = (
            any(map(str.isdigit, word)) and any(map(str.isalpha, word)) and not re.fullmatch(r"[\d.]+[a-z]{1,2}", word)
        )
        capital = word[:1].isupper() and word.casefold() not in ("i", "a")
        shouted = len(word) > 1 and word.isupper() and word.isalpha()
        if mixed or shouted or (capital and not inner):
            yield word


def _begins(before: str) -> bool:
    """Whether a word after this begins a sentence, a quotation or an item, so that its capital says nothing."""
    last = before.rstrip()[-1:]
    return not last or last in ".!?:;\"“”'‘«»(*•–—-\n"


def _holds(text: _Text, folded: str) -> bool:
    """Whether a text has a name as whole words."""
    return (
        re.search(rf"(?<!\w){re.escape(folded)}(?!\w)|(?<!\w){re.escape(folded)}(?:s|es|['’]s)(?!\w)", text.folded)
        is not None
    )


def _resembles(text: _Text, folded: str) -> bool:
    """Whether a text has a word of the same beginning, or of the same people: Europe, European; France, French."""
    return any(
        len(name) >= _STEM and re.search(rf"(?<!\w){re.escape(name[:_STEM])}", text.folded) is not None
        for name in (folded, *_PEOPLES.get(folded, ()))
    )


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in decomposed if not unicodedata.combining(one))


def _denied(text: str) -> frozenset[str]:
    """The terms right after a word that denies."""
    return frozenset(
        term for found in _NEGATION.finditer(text) for term in content_terms(text[found.end() : found.end() + 40])[:2]
    )


def _opposed(one: Iterable[str], other: Iterable[str], pair: tuple[frozenset[str], frozenset[str]]) -> bool:
    first, second = set(one), set(other)
    return bool((first & pair[0] and second & pair[1]) or (first & pair[1] and second & pair[0]))
