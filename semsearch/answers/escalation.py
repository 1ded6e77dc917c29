"""The message to a support desk about an answer that a person should take over."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..core.types.access import find_owner
from ..core.types.answers import Answer, ClosestPassage, Turn
from ..core.types.escalations import OutboxMessage
from ..core.types.sessions import AnswerRecord
from ..core.view_urls import make_view_url

EVENT_TYPE = "answer.escalated"
MAX_BODY_BYTES = 64 << 10
MAX_PASSAGES = 5
MAX_PASSAGE_CHARACTERS = 1_000
MAX_TITLE_CHARACTERS = 200
"""Of the title and of the heading of a passage."""

MAX_TURN_CHARACTERS = 4_000
"""Of the question and of the answer of each turn of the transcript."""

_ID_PREFIX = "msg"


def make_message_id(answer_id: str) -> str:
    """Return the id of the message about an answer.

    >>> make_message_id("ans_7c9e66")
    'msg_7c9e66'
    """
    return f"{_ID_PREFIX}_{answer_id.partition('_')[2]}"


@dataclass(frozen=True, slots=True)
class Escalation:
    """What a message needs besides the recorded answer."""

    profile: str
    turns: Sequence[Turn]
    """Of the session, without this answer, oldest first."""
    public_url: str | None

    def build_message(self, record: AnswerRecord) -> OutboxMessage:
        """Return the message about an answer; of a long conversation it has the last turns that fit."""
        data = _build_data(record, self.profile, self.public_url)
        envelope = {"type": EVENT_TYPE, "timestamp": _format_time(record.created), "data": data}
        entries = _build_transcript(self.turns, MAX_BODY_BYTES - len(_encode(envelope)))
        data["transcript"], data["transcript_complete"] = entries, len(entries) == len(self.turns)
        message_id = make_message_id(record.answer.id)
        return OutboxMessage(message_id, find_owner(record.owner), self.profile, _encode(envelope), record.created)


def _build_data(record: AnswerRecord, profile: str, public_url: str | None) -> dict[str, Any]:
    answer = record.answer
    return {
        "answer_id": answer.id,
        "session_id": answer.session_id,
        "collection": record.collection,
        "profile": profile,
        "owner": find_owner(record.owner),
        "question": record.question,
        "reason": answer.reason,
        "answer": answer.text,
        "transcript": [],
        "transcript_complete": False,
        "passages": _build_passages(answer, record.collection, public_url),
    }


def _build_passages(answer: Answer, collection: str, public_url: str | None) -> list[dict[str, Any]]:
    return [_build_passage(passage, collection, public_url) for passage in answer.passages[:MAX_PASSAGES]]


def _build_passage(passage: ClosestPassage, collection: str, public_url: str | None) -> dict[str, Any]:
    url = make_view_url(public_url, collection, passage.uri, passage.start, passage.end) if public_url else None
    return {
        "uri": passage.uri,
        "title": passage.title[:MAX_TITLE_CHARACTERS],
        "heading": passage.heading[:MAX_TITLE_CHARACTERS],
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text[:MAX_PASSAGE_CHARACTERS],
        "url": url,
    }


def _build_transcript(turns: Sequence[Turn], space: int) -> list[dict[str, Any]]:
    """Return the last turns that fit into `space` bytes, oldest first."""
    entries: list[dict[str, Any]] = []
    for turn in reversed(turns):
        entry = _build_turn(turn)
        space -= len(_encode(entry)) + 1
        if space < 0:
            break
        entries.append(entry)
    return entries[::-1]


def _build_turn(turn: Turn) -> dict[str, Any]:
    """Return a turn of the transcript; its answer is null if there was none."""
    question, answer = turn.question[:MAX_TURN_CHARACTERS], turn.answer[:MAX_TURN_CHARACTERS]
    return {"question": question, "answer": answer or None, "answer_id": turn.answer_id}


def _encode(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
