"""Generate answers from the passages with a chat model. Does not resolve or check the citations."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

from ...core.types.answers import AnalyzedQuery, GenerationEnd, NoAnswerReason, RankedEvidence, Turn
from ...core.types.usage import RequestContext
from ...models.openai.client import OpenAIClient
from ...models.openai.responses import ChatEnd
from ...text.cleaning import clean
from ..prompt_files import Prompt
from ..prompts import NO_ANSWER, build_condense_messages, build_messages
from ..reply_habits import LeadPatterns

_THINK_START, _THINK_END = "<think>", "</think>"
_MAX_LEAD_CHARACTERS = 100
_LEADING_MARKUP = re.compile(r"[\s*_`\"'“]*")
_TRUNCATION_REASONS = ("length", "content_filter")
_MAX_CONDENSED_TOKENS = 2_000
"""Far more than one line needs, because the reasoning of a model counts as output too."""

_MAX_CONDENSED_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class ChatAnswerer:
    """A chat model of an OpenAI-compatible server, with the options of one request."""

    client: OpenAIClient
    name: str
    max_tokens: int
    temperature: float | None = None
    system: str | None = None
    allow_unsupported: bool = False
    """Whether the model may write more than the passages say."""
    prompt: Prompt | None = None
    """None is the built-in one."""

    neighbour_chunks: ClassVar[int] = 1
    is_extractive: ClassVar[bool] = False
    no_answer_reason: ClassVar[NoAnswerReason] = "unsupported"

    async def generate(
        self, question: AnalyzedQuery, evidence: RankedEvidence, context: RequestContext, *, previous_draft: str = ""
    ) -> AsyncGenerator[str | GenerationEnd, None]:
        """Yield the answer in pieces, none if the model found no answer, and last how the generation ended."""
        if not (previous_draft or self.allow_unsupported or evidence.may_answer):
            yield GenerationEnd(reason="low_score")
            return
        messages = build_messages(
            question.full_text or question.text,
            evidence.passages,
            history=question.history,
            system=self.system,
            allow_unsupported=self.allow_unsupported,
            previous_draft=previous_draft,
            prompt=self.prompt,
        )
        lead_filter = _LeadFilter(LeadPatterns(question.text))
        chat = self.client.stream_chat(
            self.name, messages, context, max_tokens=self.max_tokens, temperature=self.temperature
        )
        async with aclosing(chat) as pieces:
            async for piece in pieces:
                text = lead_filter.feed(piece) if isinstance(piece, str) else lead_filter.finish()
                if text:
                    yield text
                if isinstance(piece, ChatEnd):
                    yield GenerationEnd(
                        (*piece.warnings, *self._truncation_warnings(piece.reason)),
                        piece.reason not in _TRUNCATION_REASONS,
                    )

    async def condense(self, question: str, history: Sequence[Turn], context: RequestContext) -> str | None:
        """Rewrite a follow-up question so that it needs no history; None if the reply is not one short line."""
        messages = build_condense_messages(question, history)
        text, lead_filter = "", _LeadFilter()
        chat = self.client.stream_chat(
            self.name, messages, context, max_tokens=_MAX_CONDENSED_TOKENS, temperature=self.temperature
        )
        async with aclosing(chat) as pieces:
            async for piece in pieces:
                text += lead_filter.feed(piece) if isinstance(piece, str) else lead_filter.finish()
                if isinstance(piece, ChatEnd) and piece.reason in _TRUNCATION_REASONS:
                    return None
        condensed = clean(text).strip().removeprefix("Question:").strip(' "“”')
        return (
            condensed if condensed and len(condensed) <= _MAX_CONDENSED_CHARACTERS and "\n" not in condensed else None
        )

    def _truncation_warnings(self, reason: str) -> list[str]:
        """Return a warning if the model was cut off."""
        if reason == "length":
            return [f"the answer was cut off at {self.max_tokens} tokens"]
        if reason == "content_filter":
            return [f"the answer was cut off by the content filter of {self.name}"]
        return []


class _LeadFilter:
    """Buffers the first words of a reply until it is clear that they are no reasoning, refusal, preface or question."""

    def __init__(self, leads: LeadPatterns | None = None) -> None:
        self._leads = leads
        self._buffer = ""
        self._is_thinking = False
        self._is_decided = False
        self._is_no_answer = False

    def feed(self, piece: str) -> str:
        """Add the next piece and return the text that certainly belongs to the answer."""
        for position, character in enumerate(piece):
            # One character at a time, so that the result does not depend on the pieces.
            if self._is_no_answer:
                return ""
            if self._is_decided:
                return piece[position:]
            if text := self._feed_character(character):
                return text + piece[position + 1 :]
        return ""

    def _feed_character(self, character: str) -> str:
        self._buffer = (self._buffer + character).lstrip()
        self._drop_reasoning()
        self._drop_leads()
        words = self._buffer[self._first_word_offset() :]
        self._is_no_answer = not self._is_thinking and words.startswith(NO_ANSWER)
        is_undecided = len(self._buffer) < _MAX_LEAD_CHARACTERS and (
            NO_ANSWER.startswith(words) or _THINK_START.startswith(words)
        )
        is_undecided |= self._leads is not None and self._leads.could_begin_lead(self._buffer)
        return "" if self._is_thinking or self._is_no_answer or is_undecided else self._flush()

    def _drop_leads(self) -> None:
        """Drop prefaces and the repeated question."""
        while self._leads and not self._is_thinking and (rest := self._leads.drop_lead(self._buffer)) is not None:
            self._buffer = rest

    def finish(self) -> str:
        """Return the buffered text if it is part of an answer."""
        return "" if self._is_thinking or self._is_no_answer else self._flush()

    def _flush(self) -> str:
        self._is_decided = True
        text, self._buffer = self._buffer, ""
        return text

    def _first_word_offset(self) -> int:
        match = _LEADING_MARKUP.match(self._buffer)
        return match.end() if match else 0

    def _drop_reasoning(self) -> None:
        """Drop the reasoning blocks that some servers leave before the answer."""
        while self._is_thinking or self._buffer.startswith(_THINK_START):
            before, end_tag, after = self._buffer.partition(_THINK_END)
            self._is_thinking = not end_tag
            self._buffer = after.lstrip() if end_tag else before[-len(_THINK_END) :]
            if self._is_thinking:
                break
