"""Check feedback on an answer before it is stored."""

from collections.abc import Callable
from dataclasses import replace

from ..core.errors import InvalidError
from ..core.types.answers import Answer
from ..core.types.feedback import MAX_COMMENT_CHARACTERS, Feedback
from ..text.cleaning import clean


def validate_feedback(feedback: Feedback, answer: Answer, has_chunk: Callable[[int], bool]) -> Feedback:
    """Return the feedback with a clean comment; InvalidError if it is empty or names what the answer does not have.

    `has_chunk` tells whether a chunk exists and may be seen.
    """
    if feedback.comment is not None:
        feedback = replace(feedback, comment=_validate_comment(feedback.comment))
    fields = (feedback.helpful, feedback.wrong_marker, feedback.right_chunk_id, feedback.comment)
    if all(field is None for field in fields):
        raise InvalidError(
            "the feedback is empty; say whether the answer helped, which citation is wrong, which passage is right, or"
            " what else there is to say"
        )
    if feedback.wrong_marker is not None:
        _validate_marker(feedback.wrong_marker, answer)
    if feedback.right_chunk_id is not None and not has_chunk(feedback.right_chunk_id):
        raise InvalidError(
            f"the collection of the answer has no chunk {feedback.right_chunk_id}; take the chunk_id of"
            " a hit or a citation"
        )
    return feedback


def _validate_comment(comment: str) -> str:
    cleaned = clean(comment).strip()
    if not cleaned:
        raise InvalidError("the comment is empty")
    if len(cleaned) > MAX_COMMENT_CHARACTERS:
        raise InvalidError(f"the comment has {len(cleaned):,} characters; the limit is {MAX_COMMENT_CHARACTERS:,}")
    return cleaned


def _validate_marker(marker: int, answer: Answer) -> None:
    markers = [citation.marker for citation in answer.citations]
    if marker not in markers:
        known = f"its markers are {', '.join(map(str, markers))}" if markers else "it cites nothing"
        raise InvalidError(f"the answer has no citation {marker}; {known}")
