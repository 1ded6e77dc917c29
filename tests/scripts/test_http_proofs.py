"""Short runs of the proofs that send requests of any kind to the service."""

import asyncio
from pathlib import Path

import pytest
from proofs import fuzz, schema
from proofs.raw_http.cases import make_case
from proofs.raw_http.responses import ResponseError, read_response

pytestmark = pytest.mark.slow


def test_no_bytes_over_a_connection_make_the_service_fail(tmp_path: Path) -> None:
    """Invalid and unusual requests get no 5xx, every valid one its response, and the log has no traceback."""
    (tmp_path / "indexes").mkdir()
    run = fuzz.prove(tmp_path / "indexes", 800, seed=1, rounds=2)
    assert run.errors == []
    assert {kind.split(":")[0] for kind in run.counts.outcomes} >= {"valid", "pipeline", "two lengths", "half"}


def test_operations_conform_to_their_schema(tmp_path: Path) -> None:
    """The examples and sequences of requests that Schemathesis makes get what the OpenAPI document describes."""
    (tmp_path / "indexes").mkdir()
    errors, output = schema.prove(tmp_path, examples=1, phases="examples,stateful", seed=1)
    assert errors == [], output


def test_case_depends_on_seed_and_number_alone() -> None:
    """A case of a long run can be made again."""
    assert [make_case(5, number) for number in range(200)] == [make_case(5, number) for number in range(200)]
    assert make_case(5, 1) != make_case(6, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-Request-Id: a\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 404 Not Found\r\nX-Request-Id: a\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-Request-Id: a\r\nX-Content-Type-Options: nosniff\r\n\r\n{}",
        b"<html>\r\n\r\n",
    ],
)
def test_reader_refuses_responses_that_are_not_of_the_service(data: bytes) -> None:
    """No request id, a body that ends early, an error that is no problem, a body without an end, no HTTP."""

    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        await read_response(reader)

    with pytest.raises(ResponseError):
        asyncio.run(read())
