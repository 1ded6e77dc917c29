"""Trace ids of requests: which `traceparent` headers are valid, and what is sent on."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.tracing import begin_trace, get_current_trace

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE_ID}-{PARENT_ID}-01"


@pytest.mark.parametrize(
    ("traceparent", "is_sampled"),
    [
        (VALID, True),
        (VALID[:-2] + "00", False),
        (VALID[:-2] + "fe", False),
        ("cc" + VALID[2:], True),
        ("cc" + VALID[2:] + "-later=1", True),
    ],
)
def test_valid_traces_are_continued(traceparent: str, is_sampled: bool) -> None:
    """A later version may append fields; of the flags only the sampled one counts."""
    trace = begin_trace([traceparent.encode()], "r1")
    assert (trace.trace_id, trace.is_sampled, trace.request_id) == (TRACE_ID, is_sampled, "r1")
    assert get_current_trace() == trace


@pytest.mark.parametrize(
    "traceparents",
    [
        [],
        [VALID, VALID],
        [""],
        [VALID.upper()],
        [f" {VALID}"],
        [f"{VALID}\n"],
        [f"{VALID}-later"],
        [f"{VALID}0"],
        ["ff" + VALID[2:]],
        [f"cc{VALID[2:]}later"],
        [f"00-{'0' * 32}-{PARENT_ID}-01"],
        [f"00-{TRACE_ID}-{'0' * 16}-01"],
        [VALID.replace("-", "_")],
        [VALID[:-1]],
    ],
)
def test_invalid_headers_begin_a_new_trace(traceparents: list[str]) -> None:
    """Also more than one header, as W3C Trace Context says."""
    first, second = (begin_trace([value.encode() for value in traceparents], "r") for _ in range(2))
    assert TRACE_ID not in (first.trace_id, second.trace_id)
    assert first.trace_id != second.trace_id
    assert not first.is_sampled


@given(st.lists(st.binary(max_size=80), max_size=2))
def test_every_header_gives_a_valid_child(values: list[bytes]) -> None:
    """The `traceparent` of a child is valid, has the trace's id, and another span id each time."""
    trace = begin_trace(values, "r")
    first, second = trace.make_child_header(), trace.make_child_header()
    assert re.fullmatch(rf"00-{trace.trace_id}-[0-9a-f]{{16}}-0[01]", first)
    assert first != second
    assert begin_trace([first.encode()], "r").trace_id == trace.trace_id
