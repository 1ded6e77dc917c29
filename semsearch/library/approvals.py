"""Approve answers of a caller, and remove approved answers."""

from __future__ import annotations

from typing import Protocol

from ..collection import Collection
from ..collection.approvals import approve_record
from ..core.errors import NotFoundError
from ..core.ports import ApprovedAnswers
from ..core.types.access import LOCAL_CALLER, Caller
from ..core.types.approvals import ApprovedAnswer
from ..core.types.sessions import AnswerRecord
from ..core.types.usage import LOCAL_OWNER


class _Library(Protocol):
    """What these operations need of a library."""

    approvals: ApprovedAnswers

    def open(self, name: str, *, caller: Caller = LOCAL_CALLER) -> Collection: ...

    def _get_answer_record(self, answer_id: str, caller: Caller) -> AnswerRecord: ...

    def _is_visible(self, name: str, caller: Caller) -> bool: ...


class ApprovalOperations:
    """Approved answers of a library. A caller needs the scope `admin`."""

    def approve(
        self: _Library,
        answer_id: str,
        *,
        question: str | None = None,
        answer: str | None = None,
        caller: Caller = LOCAL_CALLER,
    ) -> ApprovedAnswer:
        """Return an answer of the caller from now on for its question, as long as its quotes stand in the documents.

        `question` and `answer` replace its question and its text. It replaces what the caller approved for the same
        question before. NotFoundError if there is no such answer, ConflictError if its documents have changed since.

        >>> answer = handbook.ask("How long is parental leave?")
        >>> library.approve(answer.id, answer="Half a year [1].").text
        'Half a year [1].'
        """
        caller.check_scope("admin")
        record = self._get_answer_record(answer_id, caller)
        return approve_record(self.open(record.collection, caller=caller), record, question, answer)

    def remove_approval(self: _Library, answer_id: str, *, caller: Caller = LOCAL_CALLER) -> None:
        """Remove an approved answer of the caller; NotFoundError if there is none.

        The user of this process may remove those of all owners.

        >>> approved = library.approve(handbook.ask("How long is parental leave?").id)
        >>> library.remove_approval(approved.id)
        >>> print(handbook.ask("How long is parental leave?").approved)
        None
        """
        caller.check_scope("admin")
        approved = self.approvals.get_approved(answer_id)
        is_operator = caller.owner == LOCAL_OWNER and caller.key is None
        if (
            approved is None
            or not self._is_visible(approved.collection, caller)
            or not (is_operator or approved.owner == caller.owner)
        ):
            raise NotFoundError(f"there is no approved answer {answer_id[:80]!r}")
        self.approvals.remove_approved(answer_id)
