"""Answers written by a chat model from the passages alone. Does not resolve or check what the model cites."""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ..accounts import Errand
from ..openai_api import OpenAIClient
from ..openai_replies import Ending
from ..prompts import NO_ANSWER, messages
from ..types import Finish, Passage, Question, Reason, Support, Turn

_THINK, _THOUGHT = "<think>", "</think>"
_LONGEST_OPENING = 100
_CUT_OFF = ("length", "content_filter")
_DECORATION = re.compile(r"[\s*_`\"'“]*")


class ChatAnswerer:
    """A model behind an OpenAI-compatible server."""

    reach = 1
    support: Support = "not_checked"
    silence: Reason = "unsupported"

    def __init__(
        self,
        client: OpenAIClient,
        model: str,
        *,
        max_tokens: int,
        temperature: float | None = None,
        system: str | None = None,
    ) -> None:
        self.name = model
        self._client = client
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._system = system

    async def write(
        self, question: Question, passages: Sequence[Passage], errand: Errand, *, rejected: str = ""
    ) -> AsyncGenerator[str | Finish, None]:
        """Yield the answer piece by piece, nothing if the model says that there is none, and last how it finished."""
        prompt = messages(question.text, passages, system=self._system)
        opening = _Opening()
        chat = self._client.chat(self.name, prompt, errand, max_tokens=self._max_tokens, temperature=self._temperature)
        async with aclosing(chat) as pieces:
            async for piece in pieces:
                text = opening.feed(piece) if isinstance(piece, str) else opening.finish()
                if text:
                    yield text
                if isinstance(piece, Ending):
                    yield Finish((*piece.warnings, *self._cut_off(piece.reason)), piece.reason not in _CUT_OFF)

    async def condense(self, question: str, history: Sequence[Turn], errand: Errand) -> str | None:
        """The question with everything in it that it takes from what was said before."""
        return None

    def _cut_off(self, reason: str) -> list[str]:
        """A warning if the model did not end of its own accord."""
        if reason == "length":
            return [f"the answer was cut off at {self._max_tokens} tokens"]
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
        """Drop a block of reasoning that some servers leave in front of the answer."""
        if self._held.startswith(_THINK):
            self._thinking = True
        if self._thinking:
            before, found, after = self._held.partition(_THOUGHT)
            self._thinking = not found
            self._held = after.lstrip() if found else before[-len(_THOUGHT) :]
