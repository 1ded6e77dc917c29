"""Types of a question and of what it may ask of a chat model: options, requests and profiles."""

from dataclasses import dataclass
from typing import Literal

from ..errors import InvalidError
from ..short_repr import format_fields
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
