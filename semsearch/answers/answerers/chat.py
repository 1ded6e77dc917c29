"""Answers written by a chat model from the passages alone. Does not resolve or check what the model cites."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import ClassVar

from ...core.ports import Embedder
from ...core.types.answers import Finish, Passage, Question, Reason, Turn
from ...core.types.usage import Errand
from ...models.openai.client import OpenAIClient
from ...models.openai.responses import Ending
from ...text.analyzer import language
from ...text.cleaning import clean
from ..evidence import promising
from ..prompts import NO_ANSWER, condensing, messages
from .similarity import weigh

_THINK, _THOUGHT = "<think>", "</think>"
_LONGEST_OPENING = 100
_DECORATION = re.compile(r"[\s*_`\"'“]*")
_CUT_OFF = ("length", "content_filter")
_CONDENSED_TOKENS = 2_000
"""For one line: a model that thinks before it writes has its thoughts counted too."""

_LONGEST_QUESTION = 1_000


@dataclass(frozen=True, slots=True)
class ChatAnswerer:
    """A model behind an OpenAI-compatible server, as one request wants it."""

    client: OpenAIClient
    name: str
    embedder: Embedder
    """The embedded model, which tells beforehand whether asking is worth its price."""
    max_tokens: int
    temperature: float | None = None
    system: str | None = None
    drafting: bool = False
    """Whether it may write more than the passages say."""

    reach: ClassVar[int] = 1
    copies: ClassVar[bool] = False
    silence: ClassVar[Reason] = "unsupported"

    async def write(
        self, question: Question, passages: Sequence[Passage], errand: Errand, *, rejected: str = ""
    ) -> AsyncGenerator[str | Finish, None]:
        """Yield the answer piece by piece, nothing if the model says that there is none, and last how it finished."""
        if not (rejected or self.drafting or await self._is_worth_asking(question, passages, errand)):
            yield Finish(reason="low_score")
            return
        prompt = messages(
            question.text,
            passages,
            history=question.history,
            system=self.system,
            drafting=self.drafting,
            rejected=rejected,
        )
        opening = _Opening()
        chat = self.client.chat(self.name, prompt, errand, max_tokens=self.max_tokens, temperature=self.temperature)
        async with aclosing(chat) as pieces:
            async for piece in pieces:
                text = opening.feed(piece) if isinstance(piece, str) else opening.finish()
                if text:
                    yield text
                if isinstance(piece, Ending):
                    yield Finish((*piece.warnings, *self._cut_off(piece.reason)), piece.reason not in _CUT_OFF)

    async def condense(self, question: str, history: Sequence[Turn], errand: Errand) -> str | None:
        """The question with everything in it that it takes from what was said before; None if the model rambles."""
        prompt = condensing(question, history)
        said, opening = "", _Opening()
        chat = self.client.chat(self.name, prompt, errand, max_tokens=_CONDENSED_TOKENS, temperature=self.temperature)
        async with aclosing(chat) as pieces:
            async for piece in pieces:
                said += opening.feed(piece) if isinstance(piece, str) else opening.finish()
                if isinstance(piece, Ending) and piece.reason in _CUT_OFF:
                    return None
        worded = clean(said).strip().removeprefix("Question:").strip(' "“”')
        return worded if worded and len(worded) <= _LONGEST_QUESTION and "\n" not in worded else None

    async def _is_worth_asking(self, question: Question, passages: Sequence[Passage], errand: Errand) -> bool:
        if language(question.text) != "en":  # the embedded model knows English; the chat model knows more
            return True
        return promising(await weigh(self.embedder, question, passages, errand))

    def _cut_off(self, reason: str) -> list[str]:
        """A warning if the model did not end of its own accord."""
        if reason == "length":
            return [f"the answer was cut off at {self.max_tokens} tokens"]
        if reason == "content_filter":
            return [f"the answer was cut off by the content filter of {self.name}"]
        return []


class _Opening:
    """Holds an answer's first words back until it is clear that they are neither a thought nor a refusal."""

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False
        self._decided = False
        self._refused = False

    def feed(self, piece: str) -> str:
        """The part of the answer that is certain to be one."""
        if self._refused:
            return ""
        if self._decided:
            return piece
        self._held = (self._held + piece).lstrip()
        self._skip_thought()
        words = self._held[self._words() :]
        self._refused = not self._thinking and words.startswith(NO_ANSWER)
        undecided = len(self._held) < _LONGEST_OPENING and (NO_ANSWER.startswith(words) or _THINK.startswith(words))
        return "" if self._thinking or self._refused or undecided else self._release()

    def finish(self) -> str:
        """What was held back and turned out to be an answer after all."""
        return "" if self._thinking or self._refused else self._release()

    def _release(self) -> str:
        self._decided = True
        text, self._held = self._held, ""
        return text

    def _words(self) -> int:
        found = _DECORATION.match(self._held)
        return found.end() if found else 0

    def _skip_thought(self) -> None:
        """Drop the blocks of reasoning that some servers leave in front of the answer."""
        while self._thinking or self._held.startswith(_THINK):
            before, found, after = self._held.partition(_THOUGHT)
            self._thinking = not found
            self._held = after.lstrip() if found else before[-len(_THOUGHT) :]
            if self._thinking:
                break
