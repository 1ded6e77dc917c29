"""The texts that a claim is compared with, with their abbreviations written out where they are English."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ...core.types.answers import Passage
from ...text.abbreviations import expand_common_abbreviations, find_definitions, find_initialisms, write_out
from ...text.analyzer import STOP_WORDS, detect_language, normalize_words
from ...text.entities import TextFacts

_MAX_UNDECIDED_WORDS = 60
"""So few words in ASCII may be English although they have few function words."""

_FOREIGN_WORDS = frozenset(
    "el la los las una del al y que por con para der das und ist nicht mit von zu auf ein eine le les des est et dans"
    " pour une il lo gli di che della sono het een van niet voor och att som inte os um uma nao com".split()
)
"""Common function words of other languages in Latin script that are no English words."""


@dataclass(frozen=True)
class ClaimTexts:
    """A claim, its cited sentences, and around each of these the heading and the whole passage."""

    question: TextFacts
    claim: TextFacts
    cited: Sequence[TextFacts]
    headings: Sequence[TextFacts]
    passages: Sequence[TextFacts]
    is_english: bool

    @cached_property
    def sources(self) -> list[TextFacts]:
        """What the facts of the claim must be in: the cited sentences and their headings."""
        return [*self.cited, *self.headings]


def read_texts(
    question: TextFacts, claim: str, cited: Sequence[tuple[Passage, int]], passages: Sequence[TextFacts]
) -> ClaimTexts:
    """Return the texts to compare; `passages` are those of the cited sentences, in their order."""
    sentences = [passage.sentences[number - 1].text for passage, number in cited]
    headings = [f"{passage.title}\n{passage.heading}" for passage, _ in cited]
    if not _is_english([claim, *sentences], passages):
        cited_texts, heading_texts = ([TextFacts(text) for text in texts] for texts in (sentences, headings))
        return ClaimTexts(question, TextFacts(claim), cited_texts, heading_texts, passages, is_english=False)
    written = [expand_common_abbreviations(text) for text in (question.text, claim, *sentences, *headings)]
    contexts = [*written[1:], *(text.text for text in passages)]
    definitions = _find_shared_definitions(written[: 2 + len(sentences)], contexts)
    question, own, *others = (TextFacts(write_out(text, definitions)) for text in written)
    return ClaimTexts(question, own, others[: len(sentences)], others[len(sentences) :], passages, is_english=True)


def _is_english(texts: Sequence[str], passages: Sequence[TextFacts]) -> bool:
    joined = " ".join(texts)
    if detect_language(joined) == "en":
        return True
    words = normalize_words(joined)
    is_undecided = (
        joined.isascii()
        and len(words) < _MAX_UNDECIDED_WORDS
        and sum(word in _FOREIGN_WORDS for word in words) <= sum(word in STOP_WORDS for word in words)
    )
    long_passages = [text.text for text in passages if text.text.count(" ") > _MAX_UNDECIDED_WORDS]
    return is_undecided and all(detect_language(text) == "en" for text in long_passages)


def _find_shared_definitions(texts: Sequence[str], contexts: Sequence[str]) -> dict[str, str]:
    """Return what the abbreviations of texts stand for, where one of the contexts says it."""
    initialisms = set[str]().union(*map(find_initialisms, texts))
    if not initialisms:
        return {}
    definitions = find_definitions(contexts)
    return {initials: definitions[initials] for initials in initialisms if initials in definitions}
