"""What is made of replies that may be hostile, without a server."""

import base64
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.upstream import KEY

from semsearch.core.errors import UpstreamError
from semsearch.models.openai.responses import (
    ErrorDetail,
    parse_embeddings,
    parse_error_body,
    parse_json_lenient,
    parse_json_object,
    redact,
)
from semsearch.models.openai.sse import Redactor, SSEDecoder


def reply(*rows: object, **changes: object) -> bytes:
    """A reply with these embeddings, numbered from 0."""
    data = [{"index": index, "embedding": embedding} for index, embedding in enumerate(rows)]
    return json.dumps({"data": data, **changes}).encode()


def encoded(*numbers: float) -> str:
    """Numbers as base64 of float32."""
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


BAD_EMBEDDINGS = {
    "too few": reply([1.0]),
    "too many": reply([1.0], [1.0], [1.0]),
    "no list": b'{"data": 2}',
    "an index twice": b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}',
    "an index too high": b'{"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]}',
    "an index below 0": b'{"data": [{"index": 0, "embedding": [1]}, {"index": -1, "embedding": [1]}]}',
    "a truth for an index": b'{"data": [{"index": 0, "embedding": [1]}, {"index": true, "embedding": [1]}]}',
    "no index": b'{"data": [{"embedding": [1]}, {"embedding": [1]}]}',
    "no objects": b'{"data": [1, 2]}',
    "two dimensions": reply([1.0, 2.0], [1.0]),
    "a huge integer": reply([10**400], [1]),
    "bad base64": reply("%%%", "%%%"),
    "base64 of five bytes": reply(base64.b64encode(b"12345").decode(), encoded(1)),
    "strings": reply(["1", "2"], ["1", "2"]),
    "truths": reply([True], [False]),
    "lists in lists": reply([[1.0]], [[1.0]]),
    "ragged lists": reply([[1.0], 2], [1.0, 2]),
    "objects": reply({"a": 1}, {"a": 1}),
    "nothing": reply([], []),
    "null": reply(None, None),
    "a list": b"[]",
    "cut short": b'{"data": [{"index": 0, "emb',
    "no JSON": b"<html>hello</html>",
    "no UTF-8": b'{"data": "\xff"}',
    "a deep nest": b"[" * 200_000,
    "an empty body": b"",
}


@pytest.mark.parametrize("kind", BAD_EMBEDDINGS)
def test_embeddings_that_cannot_be_trusted_are_refused(kind: str) -> None:
    """Whatever is wrong with a reply, it is an Upstream error, and nothing of it is used."""
    with pytest.raises(UpstreamError, match="reply"):
        parse_embeddings(parse_json_object(BAD_EMBEDDINGS[kind]), 2)


@pytest.mark.parametrize("row", ["[1e39, 1]", "[null, 1]", "[NaN, 1]", "[1,-Infinity]", f'"{encoded(1, np.nan)}"'])
def test_numbers_that_are_not_finite_make_a_row_of_zeros(row: str) -> None:
    """However they are written; the other rows are as good as ever."""
    body = f'{{"data": [{{"index": 0, "embedding": {row}}}, {{"index": 1, "embedding": [3, 4]}}]}}'
    assert parse_embeddings(parse_json_lenient(body.encode()), 2).vectors.tolist() == [[0, 0], [3, 4]]


@given(st.binary(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(reply))
def test_no_reply_ends_in_another_error(body: bytes) -> None:
    """Bytes of any kind are vectors or an Upstream error."""
    try:
        assert np.isfinite(parse_embeddings(parse_json_object(body), 1).vectors).all()
    except UpstreamError:
        return


@pytest.mark.parametrize(
    "usage",
    [{}, {"usage": None}, *({"usage": {"prompt_tokens": count}} for count in ("many", -1, 1.5, True, 10**9, 10**30))],
)
def test_tokens_that_are_not_counted_are_none(usage: dict[str, object]) -> None:
    """A reply without usage, or with nonsense for it, or with more than any model takes, states no tokens."""
    assert parse_embeddings(parse_json_object(reply([1.0], [2.0], **usage)), 2).tokens is None


@pytest.mark.parametrize(
    "body",
    [{"error": {"message": "no such"}}, {"error": "no such"}, {"message": "no such"}, {"detail": "no such"}],
)
def test_a_problem_is_understood_in_every_usual_form(body: dict[str, object]) -> None:
    """Servers that are not OpenAI put their message elsewhere."""
    assert parse_error_body(json.dumps(body).encode(), None) == ErrorDetail("no such")


@given(st.text(), st.text(), st.integers(0, 400))
def test_no_text_carries_a_key_through(before: str, after: str, padding: int) -> None:
    """Redaction comes before the cut, so that no half of a key is left, and the result is one short line."""
    shown = redact(f"{before}{'y' * padding}{KEY}{after}", KEY)
    assert "5ecret" not in shown
    assert len(shown) <= 300
    assert shown.isprintable() or not (before + after).isascii()


EVENTS = st.lists(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])), max_size=6)


@given(EVENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 200), max_size=12), st.booleans())
def test_events_do_not_depend_on_how_the_bytes_arrive(
    events: list[str], end: str, cuts: list[int], ended: bool
) -> None:
    """However a stream is cut, in the middle of a letter or of a line end, its events are the same."""
    written = [event.replace("\n", f"{end}data: ") for event in events]
    sent = "".join(f": c{end}data: {event}{end}{end}" for event in written).encode()
    sent = sent if ended else sent.rstrip(b"\r\n")
    bounds = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    lines = SSEDecoder()
    got = [data for start, stop in pairwise(bounds) for data in lines.feed(sent[start:stop])]
    assert [data.decode() for data in [*got, *lines.finish()]] == events


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_of_several_lines_is_one(end: bytes) -> None:
    """Half a line end at the end of a packet does not end the event."""
    sent = end.join([b"data: a", b"data: b", b"", b"data: c", b"", b""])
    lines = SSEDecoder()
    got = [data for byte in sent for data in lines.feed(bytes([byte]))]
    assert [*got, *lines.finish()] == [b"a\nb", b"c"]


def test_an_event_ends_with_its_line() -> None:
    """A CR alone ends a line at once: what may follow it, the other half of a CRLF, is not waited for."""
    lines = SSEDecoder()
    assert list(lines.feed(b"data: a\r\r")) == [b"a"]
    assert [list(lines.feed(part)) for part in (b"\ndata: b\r", b"", b"\n\r", b"\n")] == [[], [], [b"b"], []]
    assert [list(lines.feed(part)) for part in (b"data: c\r", b"\n", b"\n")] == [[], [], [b"c"]]


@given(st.text("sk-ab", max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_a_secret_is_taken_out_however_it_is_cut(text: str, cuts: list[int]) -> None:
    """What comes out is the text with the secret replaced, whatever the pieces were; nothing else is lost."""
    redactor = Redactor("sk-ab")
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [redactor.feed(text[start:stop]) for start, stop in pairwise(bounds)]
    assert "".join([*pieces, redactor.finish()]) == text.replace("sk-ab", "[key]")


def test_without_a_secret_text_passes_at_once() -> None:
    """Nothing is held back."""
    assert Redactor(None).feed("sk-") == "sk-"
