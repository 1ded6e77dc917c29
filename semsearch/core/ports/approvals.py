"""The interface of what keeps approved answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from ..types.approvals import ApprovedAnswer


class ApprovedAnswers(Protocol):
    """Approved answers of all owners, by collection. They are kept until they, or their collections, are removed."""

    def save_approved(self, approved: ApprovedAnswer, question_key: str) -> None:
        """Store an approved answer; it replaces those of its owner to a question of this key in the collection."""

    def update_approved(self, changed: Sequence[ApprovedAnswer]) -> None:
        """Store other citations and lost quotes of approved answers; those that were removed meanwhile stay removed."""

    def list_approved(self, collection: str) -> list[ApprovedAnswer]:
        """Return the approved answers of a collection, the oldest first."""

    def find_approved(self, collection: str, question_key: str) -> list[ApprovedAnswer]:
        """Return the approved answers to questions of this key, the latest first."""

    def find_approved_citing(self, collection: str, uris: Iterable[str]) -> list[ApprovedAnswer]:
        """Return the approved answers that cite one of these documents, the oldest first."""

    def get_approved(self, approved_id: str) -> ApprovedAnswer | None:
        """Return the approved answer of this id; None if there is none."""

    def remove_approved(self, approved_id: str) -> bool:
        """Remove an approved answer; return whether it existed."""

    def remove_approved_of_collection(self, collection: str) -> None:
        """Remove all approved answers of a collection."""
