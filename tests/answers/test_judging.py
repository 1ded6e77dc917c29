"""The judge of sentences that the rules leave open: its replies, its failures, and what it costs."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import support.upstream as double
from hypothesis import given
from hypothesis import strategies as st

from semsearch import Answer, Library, text_source
from semsearch.answers.judging import CheckedClaim, ReleaseSteps, VerdictReview, accept_verdicts, parse_verdict
from semsearch.core.errors import BudgetError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answer_requests import SupportPolicy
from semsearch.core.types.answers import Delta, Passage, SupportVerdict
from semsearch.core.types.usage import Budget, BudgetLimits, Price, RequestContext

TEXT = (
    "The depot lends bicycles to employees for up to three days. Bicycles are returned to the depot by noon."
    " The depot is closed in August."
)
QUESTION = "Who lends bicycles to employees?"
OPEN_CLAIM = "Staff may borrow a bicycle from the depot for three days or fewer [[{id}.1]]."
"""A free paraphrase of the first sentence."""


@dataclass(slots=True)
class ScriptedJudge:
    """A judge that gives the same verdict on everything, or raises an error."""

    verdict: SupportVerdict | None = None
    error: BudgetError | None = None
    claims: list[str] = field(default_factory=list)
    purposes: list[str] = field(default_factory=list)

    async def judge(
        self, question: str, claim: str, cited: Sequence[tuple[Passage, int]], context: RequestContext
    ) -> SupportVerdict | None:
        """Record the claim."""
        self.claims.append(claim)
        self.purposes.append(context.purpose)
        if self.error:
            raise self.error
        return self.verdict


def release(verdicts: Sequence[SupportVerdict], final: list[SupportVerdict]) -> ReleaseSteps:
    """Yield a claim for each verdict and record the verdict that comes back."""
    for number, verdict in enumerate(verdicts):
        final.append((yield CheckedClaim(f"claim {number}", (), verdict)))
    return "released"


def review(judge: ScriptedJudge, *verdicts: SupportVerdict) -> tuple[list[SupportVerdict], tuple[str, ...]]:
    """Return the final verdicts and the warnings."""
    final: list[SupportVerdict] = []
    verdict_review = VerdictReview(judge, QUESTION)
    steps = release(verdicts, final)
    assert asyncio.run(verdict_review.run(steps, RequestContext("answer"))) == "released"
    return final, verdict_review.warnings


@given(st.lists(st.sampled_from(("supported", "partial", "unsupported", "contradicted", "not_checked"))))
def test_judge_decides_about_partial_sentences_only(verdicts: list[SupportVerdict]) -> None:
    """Every other verdict of the rules is final, and costs no call."""
    judge = ScriptedJudge("contradicted")
    final, warnings = review(judge, *verdicts)
    assert final == ["contradicted" if verdict == "partial" else verdict for verdict in verdicts]
    assert len(judge.claims) == verdicts.count("partial")
    assert set(judge.purposes) <= {"check"}
    assert warnings == ()
    unchanged: list[SupportVerdict] = []
    accept_verdicts(release(verdicts, unchanged))
    assert unchanged == verdicts


def test_failed_judge_is_not_asked_again() -> None:
    """The sentences stay partial, and one warning has the reason."""
    judge = ScriptedJudge(error=BudgetError("the budget is used up"))
    final, warnings = review(judge, "partial", "supported", "partial")
    assert final == ["partial", "supported", "partial"]
    assert len(judge.claims) == 1
    assert len(warnings) == 1
    assert "the budget is used up" in warnings[0]


def test_unclear_replies_are_counted() -> None:
    """A judge that gives no verdict is asked again; the warning counts the sentences."""
    final, warnings = review(ScriptedJudge(None), "partial", "partial")
    assert final == ["partial", "partial"]
    assert "no clear verdict on 2 sentences" in warnings[0]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("SUPPORTED", "supported"),
        ("**Supported.**\n", "supported"),
        ('{"verdict": "CONTRADICTED"}', "contradicted"),
        ("Verdict: NOT_ENOUGH", "unsupported"),
        ("not enough", "unsupported"),
        ("<think>SUPPORTED? No.</think>\n\nCONTRADICTED", "contradicted"),
        ("<think>SUPPORTED", None),
        ("UNSUPPORTED", None),
        ("NOT SUPPORTED", None),
        ("SUPPORTED or CONTRADICTED", None),
        ("The claim is SUPPORTED by the first sentence.", None),
        ("", None),
    ],
)
def test_only_the_three_words_are_verdicts(reply: str, verdict: SupportVerdict | None) -> None:
    """Marks, a label and finished reasoning are dropped; anything else is no verdict."""
    assert parse_verdict(reply) == verdict


@pytest.fixture
def open_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rules leave every sentence open, whatever they can decide in this version."""
    monkeypatch.setattr("semsearch.answers.pipeline.SupportChecker", lambda *_: lambda *_: "partial")


@pytest.fixture
def upstream() -> Iterator[double.Upstream]:
    """A model server that answers with the open claim, and says that it is supported."""
    with double.run_upstream() as server:
        set_verdict(server, "SUPPORTED")
        yield server


def is_check(messages: list[dict[str, str]]) -> bool:
    """Return whether the messages ask for a verdict."""
    return "NOT_ENOUGH" in messages[0]["content"]


def set_verdict(server: double.Upstream, reply: str, claim: str = OPEN_CLAIM) -> None:
    """Let the server answer with the claim, and judge it with the reply."""

    def answer(messages: list[dict[str, str]]) -> str:
        passage_id = messages[-1]["content"].partition("id: ")[2].partition(" ")[0]
        return reply if is_check(messages) else claim.format(id=passage_id)

    server.answer = answer


def make_settings(
    server: double.Upstream, policy: SupportPolicy = "flag", timeout: float = 5.0, day_tokens: int = 0
) -> Settings:
    """Return settings with a chat model and a check model on the server."""
    return Settings(
        chat=Endpoint(server.url, Secret(double.KEY)),
        chat_model="m",
        check=Endpoint(server.url, Secret(double.KEY), timeout=timeout),
        check_model="judge",
        policy=policy,
        prices=(Price("m", "2020-01-01", 1.0, 1.0), Price("judge", "2020-01-01", 1.0, 1.0)),
        budget=Budget(BudgetLimits(day_tokens=day_tokens or None)),
    )


def ask(
    folder: Path, server: double.Upstream, *, policy: SupportPolicy = "flag", timeout: float = 5.0, day_tokens: int = 0
) -> tuple[Answer, dict[str, tuple[int, int, int]]]:
    """Return the answer, and requests, input tokens and output tokens by purpose."""
    with Library(folder, settings=make_settings(server, policy, timeout, day_tokens)) as library:
        depot = library.create("depot")
        depot.ingest([text_source("depot.txt", TEXT)])
        answer = depot.ask(QUESTION)
        rows = library.usage("purpose").rows
        return answer, {row.name: (row.requests, row.input_tokens, row.output_tokens) for row in rows}


@pytest.mark.usefixtures("open_rules")
@pytest.mark.parametrize(
    ("reply", "support"), [("SUPPORTED", "supported"), ("CONTRADICTED", "contradicted"), ("NOT_ENOUGH", "unsupported")]
)
def test_verdict_of_the_judge_is_that_of_the_sentence(
    tmp_path: Path, upstream: double.Upstream, reply: str, support: SupportVerdict
) -> None:
    """Under `strict` a sentence without support is left out, and with it the answer."""
    set_verdict(upstream, reply)
    policy: SupportPolicy = "flag" if support == "supported" else "strict"
    answer, usage = ask(tmp_path, upstream, policy=policy)
    checks = [call.body for call in upstream.calls if is_check(call.body["messages"])]
    assert checks[0]["temperature"] == 0
    data = json.loads(checks[0]["messages"][1]["content"])
    assert data["question"] == QUESTION
    assert data["claim"] == "Staff may borrow a bicycle from the depot for three days or fewer."
    assert data["sentences"] == [{"source": "depot.txt", "sentence": TEXT.partition(". ")[0] + "."}]
    assert (answer.answered, len(answer.sentences)) == ((True, 1) if support == "supported" else (False, 0))
    assert answer.warnings == () or support != "supported"
    assert [sentence.support for sentence in answer.sentences] == ["supported"][: len(answer.sentences)]
    billed = [tokens for path, *tokens in upstream.billed]
    assert usage["check"][0] == len(checks) == (1 if support == "supported" else 2)
    assert sum(row[1] + row[2] for row in usage.values()) == sum(map(sum, billed))
    assert answer.usage.prompt_tokens == sum(prompt for prompt, _ in billed)


@pytest.mark.usefixtures("open_rules")
def test_strict_stream_waits_for_the_judge(tmp_path: Path, upstream: double.Upstream) -> None:
    """What the judge calls contradicted is in no piece of the stream, and the citations are numbered without it."""
    set_verdict(upstream, "", "Staff may keep bicycles [[{id}.1]]. Bikes are due by noon [[{id}.2]]. Stay well.")
    write_answer = upstream.answer
    upstream.answer = lambda messages: (
        ("CONTRADICTED" if "keep bicycles" in messages[-1]["content"] else "SUPPORTED")
        if is_check(messages)
        else write_answer(messages)
    )
    with Library(tmp_path, settings=make_settings(upstream, "strict")) as library:
        depot = library.create("depot")
        depot.ingest([text_source("depot.txt", TEXT)])
        events = list(depot.stream(QUESTION))
    text = "".join(event.text for event in events if isinstance(event, Delta))
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert text == answer.text
    assert text.startswith("Bikes are due by noon [1].")
    assert "keep" not in text


def test_sentence_that_the_rules_decide_is_not_judged(tmp_path: Path, upstream: double.Upstream) -> None:
    """A copied sentence costs no call to the judge."""
    set_verdict(upstream, "CONTRADICTED", "The depot lends bicycles to employees for up to three days [[{id}.1]].")
    answer, usage = ask(tmp_path, upstream)
    assert answer.sentences[0].support == "supported"
    assert "check" not in usage


@pytest.mark.slow
@pytest.mark.usefixtures("open_rules")
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (double.error_reply(429, "slow down"), "429"),
        (double.error_reply(500, "out of order"), "500"),
        (double.error_reply(404, "no such model", "model_not_found"), "SEMSEARCH_CHECK__MODEL"),
        (double.raw_stream_reply(double.HANG), "did not finish in the time allowed"),
    ],
)
def test_failing_judge_leaves_the_sentence_partial(
    tmp_path: Path, upstream: double.Upstream, failure: double.ScriptedReply, reason: str
) -> None:
    """The answer comes in time, with a warning."""
    upstream.reply_rule = lambda call: failure if is_check(call.body.get("messages", [{"content": ""}])) else None
    start = time.monotonic()
    answer, _ = ask(tmp_path, upstream, timeout=1.0)
    assert time.monotonic() - start < 5
    assert [sentence.support for sentence in answer.sentences] == ["partial"]
    assert len(answer.warnings) == 1
    assert "so sentences stay partial" in answer.warnings[0]
    assert reason in answer.warnings[0]


@pytest.mark.usefixtures("open_rules")
def test_budget_that_the_answer_holds_does_not_delay_it(tmp_path: Path, upstream: double.Upstream) -> None:
    """A check that does not fit beside the reservation of its own answer, which is still written, is left out."""
    set_verdict(upstream, "SUPPORTED", f"{OPEN_CLAIM} Bikes are due by noon [[{{id}}.2]].")
    ask(tmp_path / "first", upstream)
    body = next(call.body for call in upstream.calls if not is_check(call.body["messages"]))
    reserved = sum(len(message["content"].encode()) + 8 for message in body["messages"]) + body["max_tokens"]
    start = time.monotonic()
    answer, usage = ask(tmp_path / "second", upstream, day_tokens=reserved + 50)
    assert time.monotonic() - start < 5
    assert [sentence.support for sentence in answer.sentences] == ["partial", "partial"]
    assert "budget" in answer.warnings[0]
    assert "check" not in usage
