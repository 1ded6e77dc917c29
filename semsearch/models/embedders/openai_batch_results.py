"""Read what the Batch API returns: ids, states and result files. All of it is untrusted input.

Stores nothing and sends nothing except the request for a result file.
"""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from ...core.errors import UnavailableError, UpstreamError
from ...core.types.usage import PendingBatch, RequestContext
from ..openai.client import OpenAIClient
from ..openai.responses import parse_json_lenient, redact

COMPLETION_WINDOW_SECONDS = 25 * 3600
"""The server has 24 hours for a batch; after an hour more it no longer works on it."""

_MAX_ID_CHARACTERS = 200


class CorruptBatchResultError(UpstreamError):
    """A complete result file has content that cannot be used. Fetching it again gives the same."""


async def iter_responses(
    client: OpenAIClient, context: RequestContext, pending: PendingBatch, file_id: object, missing_keys: set[str]
) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    """Yield key and response of each line of a result file, in any order, and remove each key from `missing_keys`."""
    if not isinstance(file_id, str):
        return
    is_truncated = False
    async with aclosing(client.iter_file_lines(file_id, context)) as lines:
        async for line in lines:
            if not line.strip():
                continue
            entry = _parse_line(line)
            if entry is None:
                is_truncated = True
                continue
            if is_truncated:  # a line follows, so the file was not truncated there
                raise CorruptBatchResultError(
                    f"the results of batch {pending.id} contain a line that is not valid JSON"
                )
            key, response = entry.get("custom_id"), entry.get("response")
            if not isinstance(key, str) or key not in missing_keys:
                raise CorruptBatchResultError(
                    f"the results of batch {pending.id} contain a line with an unknown or repeated custom_id"
                )
            missing_keys.discard(key)
            yield key, response if isinstance(response, dict) else {"body": {"error": entry.get("error")}}
    if is_truncated:
        raise (
            CorruptBatchResultError(f"the results of batch {pending.id} are truncated")
            if is_expired(pending)
            else make_incomplete_error(pending)
        )


def read_id(reply: Mapping[str, Any], kind: str) -> str:
    """Return the id in a reply, which becomes part of a URL; UpstreamError if it has unsafe characters."""
    value = reply.get("id")
    if not isinstance(value, str) or not value:
        raise UpstreamError(f"the server returned no id for its {kind}")
    batch_id = value[:_MAX_ID_CHARACTERS]
    if not all(character.isalnum() or character in "-_" for character in batch_id):
        raise UpstreamError(f"the server returned an id for its {kind} with characters that are not allowed")
    return batch_id


def is_expired(pending: PendingBatch) -> bool:
    """Return whether the server no longer works on a batch, by its age."""
    return time.time() > pending.created + COMPLETION_WINDOW_SECONDS


def is_permanent_error(exc: UpstreamError, pending: PendingBatch) -> bool:
    """Return whether another attempt cannot help: the results are corrupt, or an old batch no longer exists."""
    return isinstance(exc, CorruptBatchResultError) or (exc.status == 404 and is_expired(pending))


def make_incomplete_error(pending: PendingBatch) -> UnavailableError:
    """Create the error for results that did not arrive completely."""
    return UnavailableError(
        f"the results of batch {pending.id} are incomplete; run the command again, the batch is not sent again"
    )


def read_completed_count(state: Mapping[str, Any]) -> int | None:
    """Return how many texts of a batch are done, or None if the server does not report it."""
    counts = state.get("request_counts")
    completed = counts.get("completed") if isinstance(counts, dict) else None
    return completed if isinstance(completed, int) else None


def get_first_error(errors: object) -> object:
    """Return the first reason why the server rejected a batch, or None."""
    rows = errors.get("data") if isinstance(errors, dict) else None
    return rows[0] if isinstance(rows, list) and rows else None


def format_progress(state: Mapping[str, Any]) -> str:
    """Return the status of a batch and, if known, how many texts are done."""
    completed = read_completed_count(state)
    return redact(str(state.get("status")), None) + ("" if completed is None else f", {completed} done")


def _parse_line(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line, or None if it is not valid JSON, such as half a line or a page of a proxy."""
    try:
        return parse_json_lenient(line)
    except UpstreamError:
        return None
