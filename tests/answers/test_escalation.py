"""The body of a message to a support desk."""

import json
from typing import Any

import pytest

from semsearch.answers.escalation import MAX_BODY_BYTES, Escalation
from semsearch.core.types.answers import Answer, ClosestPassage, TextSpan, Turn
from semsearch.core.types.sessions import AnswerRecord
from semsearch.core.types.usage import Usage


def build(turns: list[Turn], text: str = "Text.", public_url: str | None = None) -> tuple[bytes, dict[str, Any]]:
    """Return the body of a message, and its data."""
    passage = ClosestPassage("docs/a b.md", text, text, 3, 5, 9, text, TextSpan(5, 9))
    answer = Answer("ans_1", "Wait.", False, "low_score", (), (), (), Usage(), "extractive", passages=(passage,) * 9)
    record = AnswerRecord(answer, "ann", "hb", text[:4_000], text, "1", 1_796_000_000.0)
    message = Escalation("desk", turns, public_url).build_message(record)
    assert (message.id, message.owner, message.profile, message.created) == ("msg_1", "ann", "desk", record.created)
    return message.body, json.loads(message.body)


@pytest.mark.parametrize("text", ["a", "字", "😀", '"'])
def test_long_conversation_is_cut_at_its_beginning(text: str) -> None:
    """The body keeps its bound, with the last turns in order."""
    turns = [Turn(f"{number}: {1_000 * text}", 9_000 * text, f"ans_{number}") for number in range(200)]
    body, message = build(turns, 9_000 * text)
    transcript = message["data"]["transcript"]
    assert len(body) <= MAX_BODY_BYTES
    assert not message["data"]["transcript_complete"]
    numbers = [int(turn["question"].split(":")[0]) for turn in transcript]
    assert numbers == list(range(200 - len(numbers), 200))
    assert len(message["data"]["passages"]) == 5


def test_short_conversation_is_complete() -> None:
    """A turn without an answer has null; the address of a passage needs the public one of the service."""
    _, message = build([Turn("How?", "So.", "ans_0"), Turn("Why?", "")], public_url="https://x.example")
    data = message["data"]
    assert data["transcript"] == [
        {"question": "How?", "answer": "So.", "answer_id": "ans_0"},
        {"question": "Why?", "answer": None, "answer_id": None},
    ]
    assert data["transcript_complete"]
    assert data["passages"][0]["url"] == "https://x.example/view/hb/docs%2Fa%20b.md?start=5&end=9"
    assert message["timestamp"] == "2026-11-30T00:53:20.000Z"
    assert build([])[1]["data"]["passages"][0]["url"] is None
