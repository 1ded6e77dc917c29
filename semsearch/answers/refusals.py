"""Answers that are decided before any search: the user asks for a person, or the topic is forbidden."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from ..core.names import make_id
from ..core.ports import Embedder
from ..core.types.answer_requests import Profile
from ..core.types.answers import Answer, AnswerEvent, Delta, NoAnswerReason, PassagesEvent, SourcesEvent
from ..core.types.usage import RequestContext
from .forbidden_topics import contains_phrase, find_forbidden_topic
from .pipeline import AnswerConfig


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a question is not answered, and the text that the user gets."""

    reason: NoAnswerReason
    text: str
    escalated: bool


async def find_refusal(
    question: str, profile: Profile, embedder: Embedder | None, context: RequestContext
) -> Refusal | None:
    """Return why a profile does not answer a question; None if it does.

    `embedder` is the built-in one; None if the profile has no forbidden topics. No model server is called.
    """
    if contains_phrase(question, profile.escalate_on):
        return Refusal("person_requested", profile.get_escalate_text(), escalated=True)
    if embedder is None:
        return None
    if await find_forbidden_topic(question, profile.forbidden_topics, embedder, context) is None:
        return None
    escalated = profile.on_forbidden_topic == "escalate"
    return Refusal("forbidden_topic", profile.get_forbidden_text(), escalated)


async def stream_refusal(
    refusal: Refusal, config: AnswerConfig, context: RequestContext
) -> AsyncGenerator[AnswerEvent, None]:
    """Yield the events of the answer: it has no hits and no passages."""
    yield SourcesEvent(())
    yield PassagesEvent(())
    yield Delta(refusal.text)
    yield Answer(
        id=make_id("ans"),
        text=refusal.text,
        answered=False,
        reason=refusal.reason,
        sentences=(),
        citations=(),
        hits=(),
        usage=context.usage_counter.usage,
        model=config.answerer.name,
        warnings=config.warnings,
        escalated=refusal.escalated,
    )
