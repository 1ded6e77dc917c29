"""What is promised of answers that a chat model writes."""

from collections.abc import Iterator
from contextlib import aclosing
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
from semsearch.answers.citations import CitationResolver, skip_support_check
from semsearch.answers.prompts import NO_ANSWER
from semsearch.core.errors import UpstreamError as UpstreamError
from semsearch.core.ports import Answerer
from semsearch.core.types.answers import AnalyzedQuery, GenerationEnd, Passage, Sentence, Turn
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.models.openai.client import OpenAIClient

EMBEDDER = LocalEmbedder()

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


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    """One server for all tests of this file."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    """The server as if it were new."""
    server.reset()
    return server


def write(
    upstream: Upstream,
    temperature: float | None = None,
    system: str | None = None,
    question: AnalyzedQuery | None = None,
    drafting: bool = False,
    rejected: str = "",
) -> list[str | GenerationEnd]:
    """All that an answerer yields."""
    question = question or QUESTION

    async def collect(client: OpenAIClient) -> list[str | GenerationEnd]:
        answerer = ChatAnswerer(
            client,
            "chatty",
            EMBEDDER,
            max_tokens=50,
            temperature=temperature,
            system=system,
            allow_unsupported=drafting,
        )
        return [
            piece
            async for piece in answerer.generate(question, [PASSAGE], RequestContext("answer"), previous_draft=rejected)
        ]

    return run_with_client(upstream, collect)


def text_of(pieces: list[str | GenerationEnd]) -> str:
    """The answer's text."""
    return "".join(piece for piece in pieces if isinstance(piece, str))


def finish_of(pieces: list[str | GenerationEnd]) -> GenerationEnd:
    """How it ended, which is told last."""
    assert isinstance(pieces[-1], GenerationEnd)
    return pieces[-1]


def test_a_model_cites_a_live_passage(upstream: Upstream) -> None:
    """From the question to a checked citation, with nothing replaced but the model."""
    pieces = write(upstream)
    resolver = CitationResolver([PASSAGE], skip_support_check)
    assert resolver.feed(text_of(pieces)) + resolver.finish() == "Leave lasts five days [1]."
    assert resolver.citations[0].quote == TEXT
    assert len(pieces) > 2


def test_the_call_carries_the_settings(upstream: Upstream) -> None:
    """Model, bounds and the operator's words reach the server."""
    write(upstream, temperature=0.3, system="Be short.")
    body = upstream.calls[0].body
    assert (body["model"], body["max_tokens"], body["temperature"], body["stream"]) == ("chatty", 50, 0.3, True)
    assert body["messages"][0]["content"].endswith("Be short.")
    assert "temperature" not in write_body(upstream)


def write_body(upstream: Upstream) -> dict[str, object]:
    """What is sent when nothing is set."""
    write(upstream)
    return upstream.calls[-1].body


@pytest.mark.parametrize(
    "said",
    [NO_ANSWER, f"{NO_ANSWER}.", f"\n {NO_ANSWER}\n\nThe passages say nothing.", f"**{NO_ANSWER}**", f"`{NO_ANSWER}`"],
)
def test_no_answer_is_no_text(upstream: Upstream, said: str) -> None:
    """The agreed word, however it is dressed and cut, never reaches a reader, nor what comes after it."""
    upstream.answer = lambda messages: said
    pieces = write(upstream)
    assert len(pieces) == 1
    assert finish_of(pieces).complete


@pytest.mark.parametrize("said", ["NO", "No, five.", "NOT so", "", "N", "**Five** days.", "<b", "Say NO_ANSWER"])
def test_what_only_begins_like_no_answer_is_an_answer(upstream: Upstream, said: str) -> None:
    """What was held back comes, once it is clear."""
    upstream.answer = lambda messages: said
    assert text_of(write(upstream)) == said


def test_thoughts_in_front_of_an_answer_are_dropped(upstream: Upstream) -> None:
    """Some local servers leave a model's reasoning in its text."""
    upstream.answer = lambda messages: f"<think>\nHm, {NO_ANSWER}? {'x' * 300}</think>\n\nFive days."
    assert text_of(write(upstream)) == "Five days."
    upstream.answer = lambda messages: f"<think>hm</think>{NO_ANSWER}"
    assert text_of(write(upstream)) == ""
    upstream.answer = lambda messages: "<think>hm"
    assert text_of(write(upstream)) == ""


OPENINGS = ["<think>", "</think>", "NO_", "ANSWER", "NO_ANSWER", "five", " ", "\n", "**", "x" * 120, "<", "`"]


@example("<think>five</think><think>", 9)
@given(st.lists(st.sampled_from(OPENINGS), max_size=8).map("".join), st.integers(1, 9))
def test_an_opening_does_not_depend_on_how_it_is_cut(said: str, size: int) -> None:
    """Whole or in pieces, the same text is an answer, or none."""

    def released(pieces: list[str]) -> str:
        opening = _LeadFilter()
        return "".join([*map(opening.feed, pieces), opening.finish()])

    assert released([said[at : at + size] for at in range(0, len(said), size)]) == released(list(said))


@pytest.mark.parametrize(("reason", "told"), [("length", "cut off at 50 tokens"), ("content_filter", "content filter")])
def test_an_answer_that_was_cut_off_says_so(upstream: Upstream, reason: str, told: str) -> None:
    """The reader is warned; what came stands."""
    upstream.scripted_replies = [stream_reply(delta_event("Half"), delta_event(finish_reason=reason))]
    pieces = write(upstream)
    assert text_of(pieces) == "Half"
    assert told in finish_of(pieces).warnings[0]


def test_the_finish_tells_what_was_left_out(upstream: Upstream) -> None:
    """What was spent and what was left out arrive with the answer."""
    refused = error_reply(400, "no", "unsupported_value", "temperature")
    upstream.scripted_replies = [
        refused,
        stream_reply(delta_event("Yes."), delta_event(finish_reason="stop"), usage_event(9, 2)),
    ]
    finish = finish_of(write(upstream, temperature=0.5))
    assert "0.5 was not sent" in finish.warnings[0]


def test_an_answer_that_breaks_off_is_an_error(upstream: Upstream) -> None:
    """It never passes as a whole one."""
    upstream.scripted_replies = [stream_reply(delta_event("Half of"), done=False)]
    with pytest.raises(UpstreamError, match="ended before the end of the answer"):
        write(upstream)


def test_leaving_an_answer_closes_the_call(upstream: Upstream) -> None:
    """Whoever stops reading stops the model."""

    async def leave(client: OpenAIClient) -> bool:
        async with aclosing(
            ChatAnswerer(client, "m", EMBEDDER, max_tokens=5).generate(QUESTION, [PASSAGE], RequestContext("answer"))
        ) as pieces:
            assert await anext(pieces) == "Five"
        return upstream.hung_up.wait(1.0)

    upstream.scripted_replies = [raw_stream_reply(b'data: {"choices": [{"delta": {"content": "Five"}}]}\n\n', HANG)]
    assert run_with_client(upstream, leave)


def test_it_fills_the_port(upstream: Upstream) -> None:
    """Whoever takes an answerer can take this one."""
    answerer: Answerer = ChatAnswerer(
        OpenAIClient("http://h", lambda: None, meter=RecordingMeter()), "m", EMBEDDER, max_tokens=5
    )
    assert (answerer.name, answerer.is_extractive) == ("m", False)


VOLCANO = AnalyzedQuery(
    "Which volcano erupted in Iceland?", ("volcano", "erupt", "iceland"), {"volcano": 9.0, "erupt": 9.0}
)


def test_what_the_passages_cannot_hold_is_not_asked(upstream: Upstream) -> None:
    """Weak evidence costs nothing, and the reason says so."""
    assert write(upstream, question=VOLCANO) == [GenerationEnd(reason="low_score")]
    assert not upstream.calls


@pytest.mark.parametrize("manner", [{"drafting": True}, {"rejected": "Lava [[k3f9qa.1]]."}])
def test_a_draft_and_a_second_try_are_asked_all_the_same(upstream: Upstream, manner: dict[str, Any]) -> None:
    """A draft needs no evidence, and a second try had some."""
    write(upstream, question=VOLCANO, **manner)
    assert len(upstream.calls) == 1


def test_a_question_in_another_language_is_asked(upstream: Upstream) -> None:
    """The embedded model knows nothing of it, so nothing speaks against it."""
    write(upstream, question=AnalyzedQuery("Wie lange dauert der Urlaub?", ("wie",), {}))
    assert len(upstream.calls) == 1


def worded(upstream: Upstream, said: str | None = None) -> str | None:
    """What a follow-up becomes when the model says this, or what its script says."""
    if said is not None:
        upstream.answer = lambda messages: said

    async def condense(client: OpenAIClient) -> str | None:
        answerer = ChatAnswerer(client, "m", EMBEDDER, max_tokens=5)
        return await answerer.condense(
            "And in May?", [Turn("How long is leave?", "Five days.")], RequestContext("condense")
        )

    return run_with_client(upstream, condense)


@pytest.mark.parametrize(
    "said", ["How long is leave in May?", ' "How long is leave in May?"\n', "Question: How long is leave in May?"]
)
def test_a_follow_up_is_worded(upstream: Upstream, said: str) -> None:
    """In one line, without what models put around it."""
    assert worded(upstream, said) == "How long is leave in May?"


@pytest.mark.parametrize("said", ["", " ", "x" * 1_001, "One.\nTwo.", "NO_ANSWER", "<think>hm"])
def test_a_model_that_rambles_words_nothing(upstream: Upstream, said: str) -> None:
    """Then the search takes what was asked before."""
    assert worded(upstream, said) is None


def test_a_model_may_think_before_it_words_a_follow_up(upstream: Upstream) -> None:
    """Its thoughts count in the bound."""
    worded(upstream, "How long is leave in May?")
    assert upstream.calls[-1].body["max_tokens"] == 2_000


def test_words_that_were_cut_off_are_not_used(upstream: Upstream) -> None:
    """Half a question is another question."""
    upstream.scripted_replies = [stream_reply(delta_event("How long is"), delta_event(finish_reason="length"))]
    assert worded(upstream) is None
