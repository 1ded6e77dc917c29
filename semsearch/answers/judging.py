"""Let a chat model decide about the sentences of an answer whose support the rules leave open.

The rules check each sentence first, without a model. The judge is asked about a sentence that they call `partial`, one
sentence of an answer at a time, before it is released. Without a usable reply the sentence stays `partial`: a judge
never fails or holds back an answer.
"""

import re
import time
from collections.abc import Generator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..core.errors import SemsearchError
from ..core.ports import SupportJudge
from ..core.types.answers import Passage, SupportVerdict
from ..core.types.usage import RequestContext
from .prompts import build_check_messages

if TYPE_CHECKING:
    from ..models.openai.client import OpenAIClient
    from .answerers import AnswererDeps

WITHHELD_VERDICTS = ("unsupported", "contradicted")
"""Verdicts on sentences that the policy `strict` leaves out."""

_MAX_VERDICT_TOKENS = 400
"""The verdict is one word; the rest is for the reasoning that some models write before it."""

_REASONING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_LABEL = re.compile(r"\A(?:VERDICT|ANSWER) ")
_VERDICTS: dict[str, SupportVerdict] = {
    "SUPPORTED": "supported",
    "CONTRADICTED": "contradicted",
    "NOT ENOUGH": "unsupported",
}


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """A sentence of an answer without its markers, the sentences that it cites, and the verdict of the rules."""

    text: str
    cited: Sequence[tuple[Passage, int]]
    verdict: SupportVerdict


ReleaseSteps = Generator[CheckedClaim, SupportVerdict, str]
"""Yields each checked sentence, receives its final verdict, and returns the text that is released."""


def accept_verdicts(steps: ReleaseSteps) -> str:
    """Return the released text, with the verdicts of the rules as the final ones."""
    try:
        claim = next(steps)
        while True:
            claim = steps.send(claim.verdict)
    except StopIteration as end:
        return str(end.value)


class VerdictReview:
    """The final verdicts of one answer: those of the rules, and the judge's for what the rules leave open."""

    def __init__(self, judge: SupportJudge | None, question: str) -> None:
        self._judge = judge
        self._question = question
        self._failure = ""
        self._unclear_count = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What kept the judge from deciding, for the answer."""
        count = self._unclear_count
        sentences = "1 sentence, which stays" if count == 1 else f"{count} sentences, which stay"
        unclear = f"the check model gave no clear verdict on {sentences} partial"
        failure = f"the check model was not asked again after an error, so sentences stay partial: {self._failure}"
        return (*((unclear,) if self._unclear_count else ()), *((failure,) if self._failure else ()))

    async def run(self, steps: ReleaseSteps, context: RequestContext) -> str:
        """Return the released text; it may only be shown now, as each verdict is final."""
        try:
            claim = next(steps)
            while True:
                claim = steps.send(await self._decide(claim, context.with_purpose("check")))
        except StopIteration as end:
            return str(end.value)

    async def _decide(self, claim: CheckedClaim, context: RequestContext) -> SupportVerdict:
        if claim.verdict != "partial" or self._judge is None or self._failure:
            return claim.verdict
        try:
            verdict = await self._judge.judge(self._question, claim.text, claim.cited, context)
        except SemsearchError as exc:  # a rate limit, a budget, a timeout, a server that is down
            self._failure = str(exc)
            return claim.verdict
        self._unclear_count += verdict is None
        return verdict or claim.verdict


@dataclass(frozen=True, slots=True)
class ChatJudge:
    """A chat model that is asked for one word about each claim; implements `SupportJudge`."""

    client: "OpenAIClient"
    model: str
    timeout: float
    """Seconds for one claim, with all waits and retries: the answer waits for it."""

    async def judge(
        self, question: str, claim: str, cited: Sequence[tuple[Passage, int]], context: RequestContext
    ) -> SupportVerdict | None:
        """Return the model's verdict; None if its reply is anything but one of the three words."""
        reply, deadline = "", time.monotonic() + self.timeout
        if context.deadline is not None:
            deadline = min(deadline, context.deadline)
        chat = self.client.stream_chat(
            self.model,
            build_check_messages(question, claim, cited),
            replace(context, deadline=deadline),
            max_tokens=_MAX_VERDICT_TOKENS,
            temperature=0.0,
        )
        async with aclosing(chat) as pieces:
            async for piece in pieces:
                reply += piece if isinstance(piece, str) else ""
        return parse_verdict(reply)


def parse_verdict(reply: str) -> SupportVerdict | None:
    """Return the verdict that is all of a reply but reasoning, marks and a label; None for other words.

    >>> parse_verdict("<think>They differ.</think> **NOT_ENOUGH**"), parse_verdict("not supported")
    ('unsupported', None)
    """
    words = " ".join(re.findall(r"[^\W_]+", _REASONING.sub("", reply))).upper()
    return _VERDICTS.get(_LABEL.sub("", words))


def make_judge(deps: "AnswererDeps") -> SupportJudge | None:
    """Return the judge of the settings; None if no check model is set."""
    endpoint, model = deps.settings.check, deps.settings.check_model
    return ChatJudge(deps.get_client(endpoint), model, endpoint.timeout) if model else None
