"""Answers of a chat model."""

from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.fakes import RecordingMeter
from support.upstream import (
    HANG,
    Upstream,
    delta_event,
    error_reply,
    raw_stream_reply,
    run_upstream,
    run_with_client,
    stream_reply,
    usage_event,
)

from semsearch.answers.answerers.chat import ChatAnswerer, _LeadFilter
from semsearch.answers.citations import CitationResolver
from semsearch.answers.prompts import NO_ANSWER
from semsearch.answers.reply_habits import LeadPatterns
from semsearch.answers.support import skip_support_check
from semsearch.core.errors import UpstreamError
from semsearch.core.ports import Answerer
from semsearch.core.types.answers import AnalyzedQuery, GenerationEnd, Passage, RankedEvidence, Sentence, Turn
from semsearch.core.types.usage import RequestContext
from semsearch.models.openai.client import OpenAIClient

QUESTION = AnalyzedQuery("How long is leave?", (), {})
TEXT = "Leave lasts five days."
PASSAGE = Passage(
    id="k3f9qa",
    uri="a.txt",
    title="Guide",
    heading="",
    page=None,
    start=0,
    end=len(TEXT),
    sentences=(Sentence(0, len(TEXT), TEXT, (), 7),),
    content_sha256="0" * 64,
    score=1.0,
)
EVIDENCE = RankedEvidence((PASSAGE,), may_answer=True)
WEAK_EVIDENCE = RankedEvidence((PASSAGE,), may_answer=False)


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    """Run one server for all tests of this module."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    """Return the server, reset."""
    server.reset()
    return server


def generate(
    upstream: Upstream,
    temperature: float | None = None,
    system: str | None = None,
    evidence: RankedEvidence = EVIDENCE,
    allow_unsupported: bool = False,
    previous_draft: str = "",
    question: AnalyzedQuery = QUESTION,
) -> list[str | GenerationEnd]:
    """Return everything that an answerer yields."""

    async def collect(client: OpenAIClient) -> list[str | GenerationEnd]:
        answerer = ChatAnswerer(
            client,
            "chatty",
            max_tokens=50,
            temperature=temperature,
            system=system,
            allow_unsupported=allow_unsupported,
        )
        pieces = answerer.generate(question, evidence, RequestContext("answer"), previous_draft=previous_draft)
        return [piece async for piece in pieces]

    return run_with_client(upstream, collect)


def join_text(pieces: list[str | GenerationEnd]) -> str:
    """Return the text of the answer."""
    return "".join(piece for piece in pieces if isinstance(piece, str))


def get_end(pieces: list[str | GenerationEnd]) -> GenerationEnd:
    """Return the last piece, which says how the generation ended."""
    assert isinstance(pieces[-1], GenerationEnd)
    return pieces[-1]


def test_model_cites_a_passage(upstream: Upstream) -> None:
    """The citation of the model resolves to a quote; only the model server is a fake."""
    pieces = generate(upstream)
    resolver = CitationResolver([PASSAGE], skip_support_check)
    assert resolver.feed(join_text(pieces)) + resolver.finish() == "Leave lasts five days [1]."
    assert resolver.citations[0].quote == TEXT
    assert len(pieces) > 2


def test_request_has_the_settings(upstream: Upstream) -> None:
    """Model, token limit, temperature and the operator's instructions are sent."""
    generate(upstream, temperature=0.3, system="Be short.")
    body = upstream.calls[0].body
    assert (body["model"], body["max_tokens"], body["temperature"], body["stream"]) == ("chatty", 50, 0.3, True)
    assert body["messages"][0]["content"].endswith("Be short.")
    assert "temperature" not in default_body(upstream)


def default_body(upstream: Upstream) -> dict[str, object]:
    """Return the request body without options."""
    generate(upstream)
    return upstream.calls[-1].body


@pytest.mark.parametrize(
    "reply",
    [NO_ANSWER, f"{NO_ANSWER}.", f"\n {NO_ANSWER}\n\nThe passages say nothing.", f"**{NO_ANSWER}**", f"`{NO_ANSWER}`"],
)
def test_refusal_of_the_model_yields_no_text(upstream: Upstream, reply: str) -> None:
    """The refusal word is not released with any markup or split, nor is the text after it."""
    upstream.answer = lambda messages: reply
    pieces = generate(upstream)
    assert len(pieces) == 1
    assert get_end(pieces).complete


@pytest.mark.parametrize("reply", ["NO", "No, five.", "NOT so", "", "N", "**Five** days.", "<b", "Say NO_ANSWER"])
def test_text_that_only_begins_like_a_refusal_is_an_answer(upstream: Upstream, reply: str) -> None:
    """The buffered text is released as soon as it is clear."""
    upstream.answer = lambda messages: reply
    assert join_text(generate(upstream)) == reply


def test_reasoning_before_an_answer_is_dropped(upstream: Upstream) -> None:
    """Some local servers leave the reasoning of a model in its text."""
    upstream.answer = lambda messages: f"<think>\nHm, {NO_ANSWER}? {'x' * 300}</think>\n\nFive days."
    assert join_text(generate(upstream)) == "Five days."
    upstream.answer = lambda messages: f"<think>hm</think>{NO_ANSWER}"
    assert join_text(generate(upstream)) == ""
    upstream.answer = lambda messages: "<think>hm"
    assert join_text(generate(upstream)) == ""


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Sure! Here is the answer:\n\nFive days.", "Five days."),
        ("**Answer:** Five days.", "Five days."),
        ("Based on the provided passages, leave lasts five days.", "Leave lasts five days."),
        ("How long is leave?\n\nFive days.", "Five days."),
        ("**Question:** How long is leave? The answer: Five days.", "Five days."),
        (f"Certainly!\nAnswer: {NO_ANSWER}", ""),
        # Content stays.
        ("How long is leave is a matter of law.", "How long is leave is a matter of law."),
        ("Based on the age of a child, leave lasts five days.", "Based on the age of a child, leave lasts five days."),
        ("Sure days are five.", "Sure days are five."),
        ("Here is Oslo.", "Here is Oslo."),
        ("The answer is five days.", "The answer is five days."),
        ("Certainly.", "Certainly."),
        ("Answer:", "Answer:"),
    ],
)
def test_preface_and_repeated_question_are_dropped(upstream: Upstream, reply: str, expected: str) -> None:
    """Only text without content is dropped, and never the whole reply."""
    upstream.answer = lambda messages: reply
    assert join_text(generate(upstream)) == expected


LEAD_PIECES = ["<think>", "</think>", "NO_", "ANSWER", "NO_ANSWER", "five", " ", "\n", "**", "x" * 120, "<", "`"]
LEAD_PIECES += ["Sure! ", "Here is it:", "How long is leave?", "How long ", "Answer: ", "Based on the text, ", "is"]


@example("<think>five</think><think>", 9)
@given(st.lists(st.sampled_from(LEAD_PIECES), max_size=8).map("".join), st.integers(1, 9))
def test_lead_filter_does_not_depend_on_the_split(text: str, size: int) -> None:
    """The same text in any pieces gives the same result."""

    def filter_pieces(pieces: list[str]) -> str:
        lead_filter = _LeadFilter(LeadPatterns("How long is leave?"))
        return "".join([*map(lead_filter.feed, pieces), lead_filter.finish()])

    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert filter_pieces(pieces) == filter_pieces(list(text))


@pytest.mark.parametrize(
    ("reason", "warning"), [("length", "cut off at 50 tokens"), ("content_filter", "content filter")]
)
def test_cut_off_answer_has_a_warning(upstream: Upstream, reason: str, warning: str) -> None:
    """The text up to the cut is kept."""
    upstream.scripted_replies = [stream_reply(delta_event("Half"), delta_event(finish_reason=reason))]
    pieces = generate(upstream)
    assert join_text(pieces) == "Half"
    assert warning in get_end(pieces).warnings[0]


def test_end_has_the_warnings_of_the_client(upstream: Upstream) -> None:
    """A parameter that the server refused is named."""
    refusal = error_reply(400, "no", "unsupported_value", "temperature")
    upstream.scripted_replies = [
        refusal,
        stream_reply(delta_event("Yes."), delta_event(finish_reason="stop"), usage_event(9, 2)),
    ]
    end = get_end(generate(upstream, temperature=0.5))
    assert "0.5 was not sent" in end.warnings[0]


def test_broken_stream_is_an_error(upstream: Upstream) -> None:
    """It is never taken for a complete answer."""
    upstream.scripted_replies = [stream_reply(delta_event("Half of"), done=False)]
    with pytest.raises(UpstreamError, match="ended before the end of the answer"):
        generate(upstream)


def test_closing_the_generator_closes_the_request(upstream: Upstream) -> None:
    """If the caller stops reading, the model server is disconnected."""

    async def read_one_piece(client: OpenAIClient) -> bool:
        answerer = ChatAnswerer(client, "m", max_tokens=5)
        async with aclosing(answerer.generate(QUESTION, EVIDENCE, RequestContext("answer"))) as pieces:
            assert await anext(pieces) == "Five"
        return upstream.hung_up.wait(1.0)

    upstream.scripted_replies = [raw_stream_reply(b'data: {"choices": [{"delta": {"content": "Five"}}]}\n\n', HANG)]
    assert run_with_client(upstream, read_one_piece)


def test_chat_answerer_implements_the_port() -> None:
    """A `ChatAnswerer` is an `Answerer`."""
    answerer: Answerer = ChatAnswerer(OpenAIClient("http://h", lambda: None, meter=RecordingMeter()), "m", max_tokens=5)
    assert (answerer.name, answerer.is_extractive) == ("m", False)


def test_model_is_not_called_with_weak_evidence(upstream: Upstream) -> None:
    """The reason is "low_score"."""
    assert generate(upstream, evidence=WEAK_EVIDENCE) == [GenerationEnd(reason="low_score")]
    assert not upstream.calls


@pytest.mark.parametrize("options", [{"allow_unsupported": True}, {"previous_draft": "Lava [[k3f9qa.1]]."}])
def test_draft_and_repair_call_the_model_anyway(upstream: Upstream, options: dict[str, Any]) -> None:
    """A draft needs no evidence, and a repair had enough in its first attempt."""
    generate(upstream, evidence=WEAK_EVIDENCE, **options)
    assert len(upstream.calls) == 1


def test_model_gets_the_instructions_of_the_question(upstream: Upstream) -> None:
    """Only search and scoring use the question without them."""
    question = replace(QUESTION, full_text="How long is leave? Answer in German.")
    generate(upstream, question=question)
    assert "How long is leave? Answer in German." in upstream.calls[-1].body["messages"][-1]["content"]


def condense_follow_up(upstream: Upstream, reply: str | None = None) -> str | None:
    """Return the condensed follow-up for this reply of the model, else for its scripted replies."""
    if reply is not None:
        upstream.answer = lambda messages: reply

    async def condense(client: OpenAIClient) -> str | None:
        answerer = ChatAnswerer(client, "m", max_tokens=5)
        return await answerer.condense(
            "And in May?", [Turn("How long is leave?", "Five days.")], RequestContext("condense")
        )

    return run_with_client(upstream, condense)


@pytest.mark.parametrize(
    "reply", ["How long is leave in May?", ' "How long is leave in May?"\n', "Question: How long is leave in May?"]
)
def test_follow_up_is_condensed(upstream: Upstream, reply: str) -> None:
    """Quotes, white space and prefixes that models add are removed."""
    assert condense_follow_up(upstream, reply) == "How long is leave in May?"


@pytest.mark.parametrize("reply", ["", " ", "x" * 1_001, "One.\nTwo.", "NO_ANSWER", "<think>hm"])
def test_reply_that_is_not_one_short_line_is_not_used(upstream: Upstream, reply: str) -> None:
    """The search then uses the earlier questions."""
    assert condense_follow_up(upstream, reply) is None


def test_token_limit_for_condensing_allows_reasoning(upstream: Upstream) -> None:
    """Reasoning tokens count in the limit."""
    condense_follow_up(upstream, "How long is leave in May?")
    assert upstream.calls[-1].body["max_tokens"] == 2_000


def test_cut_off_follow_up_is_not_used(upstream: Upstream) -> None:
    """A part of a question is a different question."""
    upstream.scripted_replies = [stream_reply(delta_event("How long is"), delta_event(finish_reason="length"))]
    assert condense_follow_up(upstream) is None
