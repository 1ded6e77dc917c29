"""Parsing of untrusted replies, without a server."""

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


def make_reply(*rows: object, **changes: object) -> bytes:
    """Return a reply with these embeddings, with indexes from 0."""
    data = [{"index": index, "embedding": embedding} for index, embedding in enumerate(rows)]
    return json.dumps({"data": data, **changes}).encode()


def encode(*numbers: float) -> str:
    """Return numbers as base64 of float32."""
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


BAD_EMBEDDINGS = {
    "too few": make_reply([1.0]),
    "too many": make_reply([1.0], [1.0], [1.0]),
    "no list": b'{"data": 2}',
    "an index twice": b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}',
    "an index too high": b'{"data": [{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]}',
    "an index below 0": b'{"data": [{"index": 0, "embedding": [1]}, {"index": -1, "embedding": [1]}]}',
    "a truth for an index": b'{"data": [{"index": 0, "embedding": [1]}, {"index": true, "embedding": [1]}]}',
    "no index": b'{"data": [{"embedding": [1]}, {"embedding": [1]}]}',
    "no objects": b'{"data": [1, 2]}',
    "two dimensions": make_reply([1.0, 2.0], [1.0]),
    "a huge integer": make_reply([10**400], [1]),
    "bad base64": make_reply("%%%", "%%%"),
    "base64 of five bytes": make_reply(base64.b64encode(b"12345").decode(), encode(1)),
    "strings": make_reply(["1", "2"], ["1", "2"]),
    "truths": make_reply([True], [False]),
    "lists in lists": make_reply([[1.0]], [[1.0]]),
    "ragged lists": make_reply([[1.0], 2], [1.0, 2]),
    "objects": make_reply({"a": 1}, {"a": 1}),
    "nothing": make_reply([], []),
    "null": make_reply(None, None),
    "a list": b"[]",
    "cut short": b'{"data": [{"index": 0, "emb',
    "no JSON": b"<html>hello</html>",
    "no UTF-8": b'{"data": "\xff"}',
    "a deep nest": b"[" * 200_000,
    "an empty body": b"",
}


@pytest.mark.parametrize("kind", BAD_EMBEDDINGS)
def test_invalid_embeddings_are_rejected(kind: str) -> None:
    """Every invalid reply raises an UpstreamError."""
    with pytest.raises(UpstreamError, match="reply"):
        parse_embeddings(parse_json_object(BAD_EMBEDDINGS[kind]), 2)


@pytest.mark.parametrize("row", ["[1e39, 1]", "[null, 1]", "[NaN, 1]", "[1,-Infinity]", f'"{encode(1, np.nan)}"'])
def test_row_with_numbers_that_are_not_finite_becomes_zeros(row: str) -> None:
    """All notations are recognized; other rows are unchanged."""
    body = f'{{"data": [{{"index": 0, "embedding": {row}}}, {{"index": 1, "embedding": [3, 4]}}]}}'
    assert parse_embeddings(parse_json_lenient(body.encode()), 2).vectors.tolist() == [[0, 0], [3, 4]]


@given(st.binary(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(make_reply))
def test_any_reply_gives_vectors_or_an_upstream_error(body: bytes) -> None:
    """No other exception is raised for any bytes."""
    try:
        assert np.isfinite(parse_embeddings(parse_json_object(body), 1).vectors).all()
    except UpstreamError:
        return


@pytest.mark.parametrize(
    "usage",
    [{}, {"usage": None}, *({"usage": {"prompt_tokens": count}} for count in ("many", -1, 1.5, True, 10**9, 10**30))],
)
def test_invalid_token_counts_are_none(usage: dict[str, object]) -> None:
    """Missing, invalid and implausible counts are ignored."""
    assert parse_embeddings(parse_json_object(make_reply([1.0], [2.0], **usage)), 2).tokens is None


@pytest.mark.parametrize(
    "body",
    [{"error": {"message": "no such"}}, {"error": "no such"}, {"message": "no such"}, {"detail": "no such"}],
)
def test_error_message_is_found_in_every_usual_form(body: dict[str, object]) -> None:
    """Compatible servers use other fields for the message."""
    assert parse_error_body(json.dumps(body).encode(), None) == ErrorDetail("no such")


@given(st.text(), st.text(), st.integers(0, 400))
def test_redacted_text_contains_no_key(before: str, after: str, padding: int) -> None:
    """The key is replaced before the text is cut, so that no part of it is left; the result is one short line."""
    redacted = redact(f"{before}{'y' * padding}{KEY}{after}", KEY)
    assert "5ecret" not in redacted
    assert len(redacted) <= 300
    assert redacted.isprintable() or not (before + after).isascii()


EVENTS = st.lists(st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])), max_size=6)


@given(EVENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 200), max_size=12), st.booleans())
def test_events_do_not_depend_on_chunk_boundaries(
    events: list[str], end: str, cuts: list[int], has_final_line_end: bool
) -> None:
    """A boundary may be within a character or a line end."""
    data_lines = [event.replace("\n", f"{end}data: ") for event in events]
    stream = "".join(f": c{end}data: {event}{end}{end}" for event in data_lines).encode()
    stream = stream if has_final_line_end else stream.rstrip(b"\r\n")
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    decoder = SSEDecoder()
    decoded = [data for start, stop in pairwise(bounds) for data in decoder.feed(stream[start:stop])]
    assert [data.decode() for data in [*decoded, *decoder.finish()]] == events


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_event_of_several_lines_is_one_event(end: bytes) -> None:
    """A boundary within a line end does not end the event."""
    stream = end.join([b"data: a", b"data: b", b"", b"data: c", b"", b""])
    decoder = SSEDecoder()
    decoded = [data for byte in stream for data in decoder.feed(bytes([byte]))]
    assert [*decoded, *decoder.finish()] == [b"a\nb", b"c"]


def test_single_cr_ends_a_line_at_once() -> None:
    """The decoder does not wait for the LF that may follow."""
    decoder = SSEDecoder()
    assert list(decoder.feed(b"data: a\r\r")) == [b"a"]
    assert [list(decoder.feed(part)) for part in (b"\ndata: b\r", b"", b"\n\r", b"\n")] == [[], [], [b"b"], []]
    assert [list(decoder.feed(part)) for part in (b"data: c\r", b"\n", b"\n")] == [[], [], [b"c"]]


@given(st.text("sk-ab", max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_secret_is_removed_across_piece_boundaries(text: str, cuts: list[int]) -> None:
    """The output is the text with the secret replaced, for any pieces."""
    redactor = Redactor("sk-ab")
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [redactor.feed(text[start:stop]) for start, stop in pairwise(bounds)]
    assert "".join([*pieces, redactor.finish()]) == text.replace("sk-ab", "[key]")


def test_text_is_not_held_back_without_a_secret() -> None:
    """`feed` returns the text at once."""
    assert Redactor(None).feed("sk-") == "sk-"
