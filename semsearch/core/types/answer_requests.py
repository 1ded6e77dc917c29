"""Types of a question and of what it may ask of a chat model: options, requests and profiles."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import InvalidError
from ..short_repr import format_fields
from .escalations import ForbiddenTopic, Webhook
from .filters import RawFilter

SupportPolicy = Literal["strict", "flag", "off"]
"""Treatment of a sentence that its citations do not support: removed, marked as unsupported, or not verified."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Options of one request to a chat model; None means the default of the settings.

    >>> semsearch.GenerationOptions(model="gpt-6-luna", policy="strict")
    GenerationOptions(model='gpt-6-luna', policy='strict')
    """

    model: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    system: str | None = None
    policy: SupportPolicy | None = None
    profile: str | None = None

    def __repr__(self) -> str:
        """Return a short description."""
        return format_fields(self)


DEFAULT_OPTIONS = GenerationOptions()


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """One question as a caller asks it. `answers.requests` validates it.

    >>> request = semsearch.AnswerRequest("How long is parental leave?", k=5)
    >>> handbook.ask(request).answered
    True
    """

    question: str
    k: int | None = None
    """Maximum number of hits that the answer is written from; None leaves it to the profile."""
    filter: RawFilter | None = None
    options: GenerationOptions = DEFAULT_OPTIONS
    session: str | None = None
    """Id of the session that the question continues."""
    ignores_approved: bool = False
    """Whether a new answer is made even if there is an approved one, as for an evaluation."""
    is_recorded: bool = True
    """False for a question that tests a collection: its answer is not stored, no report counts it, and no webhook is
    told of an escalation. A session still has its turn."""

    def __repr__(self) -> str:
        """Return a short description."""
        return format_fields(self)


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


ESCALATE_ON_REQUEST_TEXT = "I am passing you on to a person."

FORBIDDEN_TEXT = "I cannot help with this topic."

FORBIDDEN_ESCALATE_TEXT = "I cannot help with this topic, so I am passing you on to a person."

ForbiddenTopicAction = Literal["refuse", "escalate"]

LocalizedText = str | Mapping[str, str]
"""A text, or texts by language code, of which the first is used for all other languages."""


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
    no_answer_text: LocalizedText | None = None
    """Text of `say_so` and `escalate`."""
    language: str | None = None
    """Language of the answers, a code such as `de`; `auto` is that of the question."""
    tone: str | None = None
    """Tone of the texts of a chat model."""
    escalate_on: tuple[str, ...] = ()
    """Phrases by which a user asks for a person."""
    escalate_text: LocalizedText | None = None
    """Text if a user asks for a person."""
    forbidden_topics: tuple[ForbiddenTopic, ...] = ()
    on_forbidden_topic: ForbiddenTopicAction = "refuse"
    forbidden_text: LocalizedText | None = None
    """Text if a question belongs to a forbidden topic."""
    webhook: Webhook | None = None
    """Where escalations are sent."""
    prompt_file: Path | None = None
    """Replaces the built-in text about the form of answers."""

    def get_no_answer_text(self) -> str:
        """Return the text to show if there is no answer; empty if only the reason is given."""
        default = {"say_so": NO_ANSWER_TEXT, "escalate": ESCALATE_TEXT}.get(self.on_no_answer, "")
        return _choose_text(self.no_answer_text, default) if default else ""

    def get_escalate_text(self) -> str:
        """Return the text to show if the user asks for a person."""
        return _choose_text(self.escalate_text, ESCALATE_ON_REQUEST_TEXT)

    def get_forbidden_text(self) -> str:
        """Return the text to show if the question belongs to a forbidden topic."""
        default = FORBIDDEN_ESCALATE_TEXT if self.on_forbidden_topic == "escalate" else FORBIDDEN_TEXT
        return _choose_text(self.forbidden_text, default)


def _choose_text(texts: LocalizedText | None, default: str) -> str:
    """Return the first of the texts, else the default; `answers.profile_texts` has chosen one by language before."""
    if isinstance(texts, Mapping):
        return next(iter(texts.values()), default)
    return texts or default
