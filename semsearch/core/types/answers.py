"""The nouns of an answer: what is asked, what a model reads, what it says and cites. Does nothing by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import InvalidError
from .filters import RawFilter
from .search import Hit
from .usage import Usage

SupportVerdict = Literal["supported", "partial", "unsupported", "not_checked"]
NoAnswerReason = Literal["no_match", "low_score", "unsupported", "empty_collection"]
SupportPolicy = Literal["strict", "flag", "off"]
"""What becomes of a sentence that its citations do not support: it goes, it is marked, it is not looked at."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that can be cited: a span of its document's canonical text."""

    start: int
    end: int
    text: str
    terms: tuple[str, ...]
    chunk_id: int


@dataclass(frozen=True, slots=True)
class Passage:
    """Consecutive chunks of one document as a model reads them, under an id that lives for one request."""

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
    """Of its best chunk."""


@dataclass(frozen=True, slots=True)
class Quotation:
    """A sentence of a passage, to be shown as it is stored: `passage.sentences[number - 1]`."""

    passage: Passage
    number: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a conversation and what was answered, without markers; empty where nothing was."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class AnalyzedQuery:
    """A question as an answerer takes it: with its analysed terms, and how rare each of them is in the collection."""

    text: str
    terms: tuple[str, ...]
    idf: Mapping[str, float]
    identifier_terms: tuple[tuple[str, ...], ...] = ()
    """The terms of each name of letters and digits that it asks for."""
    history: tuple[Turn, ...] = ()
    """What was said before, oldest first, as far as it still counts."""
    query_with_history: "AnalyzedQuery | None" = None
    """What is looked for, where no model has worded a follow-up: together with what was asked before it."""


@dataclass(frozen=True, slots=True)
class GenerationEnd:
    """How an answerer came to its end: the last thing that it yields, if it has anything to say beside its text."""

    warnings: tuple[str, ...] = ()
    complete: bool = True
    """False where it was cut off before its end."""
    reason: NoAnswerReason | None = None
    """Why it is silent, if not for the answerer's usual reason."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote that was checked: the document's `text[start:end] == quote`."""

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
    """One sentence of an answer, with the markers of the citations that stand behind it."""

    text: str
    support: SupportVerdict
    citations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its checked citations, or the reason why there is none."""

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
    """False where the model was cut off before its end."""
    handed_off: bool = False
    """Whether a person should take over, because the profile says so where there is no answer."""


@dataclass(frozen=True, slots=True)
class SourcesEvent:
    """The first event of an answer: what was found."""

    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer; all pieces joined are the answer's text."""

    text: str


AnswerEvent = SourcesEvent | Delta | Answer
"""A streamed answer is one Sources, any number of Delta, one Answer."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """What one request wants of a chat model; None leaves it to the settings."""

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
    """Return the request of these arguments, or `question` if it is one; Invalid if it is one and others are set."""
    if not isinstance(question, AnswerRequest):
        return AnswerRequest(question, k, filter, options, session)
    if (k, filter, options, session) != (None, None, DEFAULT_OPTIONS, None):
        raise InvalidError("an AnswerRequest comes with other arguments; set them in the request")
    return question


NoAnswerAction = Literal["abstain", "say_so", "hand_off", "draft"]
"""Where the documents hold no answer: nothing but a reason, a sentence that says so, a person is called, or a draft is
written all the same, with what the documents do not support marked in it."""

NO_ANSWER_TEXT = "I did not find an answer to this in the documents."

ESCALATE_TEXT = "I did not find an answer to this in the documents, so I am passing you on to a person."


@dataclass(frozen=True, slots=True)
class Profile:
    """How questions are answered; None leaves a value to the request or the settings."""

    system: str | None = None
    """Added to the instructions of a chat model, never in place of them."""
    policy: SupportPolicy | None = None
    k: int | None = None
    """Hits that an answer is written from."""
    temperature: float | None = None
    max_tokens: int | None = None
    model: str | None = None
    unknown: NoAnswerAction = "abstain"
    unknown_text: str | None = None
    """What `say_so` and `hand_off` say."""

    def get_no_answer_text(self) -> str:
        """What a reader is told where there is no answer; empty if only a reason is given."""
        default = {"say_so": NO_ANSWER_TEXT, "hand_off": ESCALATE_TEXT}.get(self.unknown, "")
        return (self.unknown_text or default) if default else ""
