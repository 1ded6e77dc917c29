"""Types of questions, passages, answers, citations and profiles."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import InvalidError
from .filters import RawFilter
from .search import Hit
from .usage import Usage

SupportVerdict = Literal["supported", "partial", "unsupported", "contradicted", "not_checked"]
NoAnswerReason = Literal["no_match", "low_score", "unsupported", "empty_collection"]
SupportPolicy = Literal["strict", "flag", "off"]
"""Treatment of a sentence that its citations do not support: removed, marked as unsupported, or not verified."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage: a span of its document's canonical text."""

    start: int
    end: int
    text: str
    terms: tuple[str, ...]
    chunk_id: int


@dataclass(frozen=True, slots=True)
class Passage:
    """Consecutive chunks of one document in a prompt, under a random id that is valid for one request."""

    id: str
    uri: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    sentences: tuple[Sentence, ...]
    content_sha256: str
    score: float
    """Score of its best chunk."""


@dataclass(frozen=True, slots=True)
class Quotation:
    """A verbatim sentence of a passage: `passage.sentences[number - 1]`."""

    passage: Passage
    number: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a conversation and its answer without markers; empty if there was none."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class AnalyzedQuery:
    """A question with its analysed terms and their inverse document frequencies in the collection."""

    text: str
    terms: tuple[str, ...]
    idf: Mapping[str, float]
    identifier_terms: tuple[tuple[str, ...], ...] = ()
    """Terms of each identifier of letters and digits in the question."""
    history: tuple[Turn, ...] = ()
    """Previous turns that still matter, oldest first."""
    query_with_history: "AnalyzedQuery | None" = None
    """The query joined with previous questions, for a follow-up that no model has rewritten."""


@dataclass(frozen=True, slots=True)
class GenerationEnd:
    """Metadata that an answerer may yield as its last item."""

    warnings: tuple[str, ...] = ()
    complete: bool = True
    """False if the text was cut off before its end."""
    reason: NoAnswerReason | None = None
    """Why there is no text, if not for the answerer's usual reason."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A verified quote: the document's `text[start:end] == quote`."""

    marker: int
    chunk_id: int
    uri: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    quote: str
    content_sha256: str


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """One sentence of an answer, with the markers of its citations."""

    text: str
    support: SupportVerdict
    citations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its verified citations, or the reason why there is none."""

    id: str
    answer: str
    answered: bool
    reason: NoAnswerReason | None
    sentences: tuple[AnswerSentence, ...]
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    usage: Usage
    model: str
    warnings: tuple[str, ...] = ()
    session_id: str | None = None
    complete: bool = True
    """False if the model was cut off before its end."""
    escalated: bool = False
    """Whether a person should take over, because there is no answer and the profile says so."""


@dataclass(frozen=True, slots=True)
class SourcesEvent:
    """The first event of a streamed answer: the hits of the search."""

    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer; the joined pieces are the answer's text."""

    text: str


AnswerEvent = SourcesEvent | Delta | Answer
"""A streamed answer consists of one SourcesEvent, any number of Delta, and one Answer."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Options of one request to a chat model; None means the default of the settings."""

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    system: str | None = None
    policy: SupportPolicy | None = None
    profile: str | None = None


DEFAULT_OPTIONS = GenerationOptions()


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """One question as a caller asks it. `answers.requests` validates it."""

    question: str
    k: int | None = None
    """Maximum number of hits that the answer is written from; None leaves it to the profile."""
    filter: RawFilter | None = None
    options: GenerationOptions = DEFAULT_OPTIONS
    session: str | None = None
    """Id of the session that the question continues."""


def make_answer_request(
    question: str | AnswerRequest,
    k: int | None = None,
    filter: RawFilter | None = None,
    options: GenerationOptions = DEFAULT_OPTIONS,
    session: str | None = None,
) -> AnswerRequest:
    """Return the request of these arguments, or `question` if it is a request; InvalidError if others are set too."""
    if not isinstance(question, AnswerRequest):
        return AnswerRequest(question, k, filter, options, session)
    if (k, filter, options, session) != (None, None, DEFAULT_OPTIONS, None):
        raise InvalidError("an AnswerRequest comes with other arguments; set them in the request")
    return question


NoAnswerAction = Literal["abstain", "say_so", "escalate", "draft"]
"""Response if the documents hold no answer: only the reason, a sentence that says so, a hand-over to a person, or a
draft in which unsupported sentences are marked."""

NO_ANSWER_TEXT = "I did not find an answer to this in the documents."

ESCALATE_TEXT = "I did not find an answer to this in the documents, so I am passing you on to a person."


@dataclass(frozen=True, slots=True)
class Profile:
    """Settings for answers under a name; None leaves a value to the request or the settings."""

    system: str | None = None
    """Added to the system prompt of a chat model, never replacing it."""
    policy: SupportPolicy | None = None
    k: int | None = None
    """Number of hits that an answer is generated from."""
    temperature: float | None = None
    max_tokens: int | None = None
    model: str | None = None
    on_no_answer: NoAnswerAction = "abstain"
    no_answer_text: str | None = None
    """Text of `say_so` and `escalate`."""

    def get_no_answer_text(self) -> str:
        """Return the text to show if there is no answer; empty if only the reason is given."""
        default = {"say_so": NO_ANSWER_TEXT, "escalate": ESCALATE_TEXT}.get(self.on_no_answer, "")
        return (self.no_answer_text or default) if default else ""
