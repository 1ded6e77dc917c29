"""The approved answers of a collection: approve, list and verify them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.errors import ForbiddenError
from ..core.types.approvals import ApprovedAnswer
from ..core.types.sessions import AnswerRecord
from .access import CollectionAccess

if TYPE_CHECKING:
    from ..answers.approved_evidence import ApprovedEvidence


class ApprovalOperations(CollectionAccess):
    """What a caller with the scope `admin` may do with the approved answers of a collection."""

    __slots__ = ()

    def approved_answers(self) -> list[ApprovedAnswer]:
        """Return the approved answers of all owners, the oldest first; only those whose documents the caller may see.

        >>> _ = library.approve(handbook.ask("How long is parental leave?").id)
        >>> [approved.question for approved in handbook.approved_answers()]
        ['How long is parental leave?']
        """
        self.caller.check_scope("admin")
        visible_filter = self._visible_filter(None)
        approved_answers = self.backends.approvals.list_approved(self.name)
        if visible_filter is None:
            return approved_answers
        store = self.backends.store
        return [
            approved
            for approved in approved_answers
            if all(store.document(citation.uri, visible_filter) for citation in approved.citations)
        ]

    def verify_answers(self) -> list[ApprovedAnswer]:
        """Check every approved answer against the documents, and return them; `lost` has the quotes that are lost.

        >>> _ = library.approve(handbook.ask("How long is parental leave?").id)
        >>> _ = handbook.ingest(semsearch.text_source("docs/leave.md", "Parental leave is 30 weeks at full pay."))
        >>> handbook.verify_answers()[0].lost[0].lost_words
        ('26',)
        """
        self.caller.check_scope("admin")
        if self._visible_filter(None) is not None:
            raise ForbiddenError(f"you may see only a part of the collection {self.name}, so you may not verify it")
        return self._approved_evidence().check_all()

    def _approved_evidence(self) -> ApprovedEvidence:
        from ..answers.approved_evidence import ApprovedEvidence

        return ApprovedEvidence(self.backends.approvals, self.backends.store, self.name)


def approve_record(
    collection: ApprovalOperations, record: AnswerRecord, question: str | None, text: str | None
) -> ApprovedAnswer:
    """Store a recorded answer of the caller as approved, with another question or text if these are given."""
    from ..answers.approved_answers import make_approved_answer
    from ..text.question_forms import make_question_key

    evidence, visible_filter = collection._approved_evidence(), collection._visible_filter(None)
    approved = make_approved_answer(record, question, text, evidence, visible_filter)
    collection.backends.approvals.save_approved(approved, make_question_key(approved.question))
    return approved
