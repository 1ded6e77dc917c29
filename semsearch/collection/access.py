"""What every operation of a collection needs: its backends, the caller, and the checks of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.errors import ForbiddenError, NotFoundError, Remedy
from ..core.short_repr import format_repr, shorten
from ..core.types.access import LOCAL_CALLER, Caller
from ..core.types.filters import Filter, RawFilter
from ..core.types.usage import Purpose, RequestContext
from ..search.filters import and_filters, parse_filter
from .backends import CollectionBackends

if TYPE_CHECKING:
    from ..answers.answer_log import AnswerLog


@dataclass(frozen=True, slots=True, repr=False)
class CollectionAccess:
    """The backends of one collection, and the caller whose rights bound every operation."""

    name: str
    backends: CollectionBackends
    caller: Caller = LOCAL_CALLER

    def __repr__(self) -> str:
        """Return its name, and the caller if that is not the user of this process."""
        is_local = self.caller is LOCAL_CALLER
        return format_repr(self, shorten(self.name), *([] if is_local else [f"caller={self.caller!r}"]))

    def _answer_log(self) -> AnswerLog:
        from ..answers.answer_log import AnswerLog

        caller = self.caller
        return AnswerLog(self.backends.ledger, self.backends.store, caller.record_owner, self.name, caller.collections)

    def _request_context(
        self, purpose: Purpose = "query", *, session: str | None = None, deadline: float | None = None
    ) -> RequestContext:
        return RequestContext(
            purpose, self.caller.owner, self.caller.key, self.name, session, deadline, self.caller.budget
        )

    def _visible_filter(self, raw_filter: RawFilter | None) -> Filter | None:
        """Return the filter of a request ANDed with that of the caller. Every read passes here."""
        self.backends.loop.check_open()
        requested = None if raw_filter is None else parse_filter(raw_filter)
        return and_filters(requested, self._access_filter())

    def _access_filter(self) -> Filter | None:
        """Return the filter of the caller."""
        return None if self.caller.filter is None else parse_filter(self.caller.filter)

    def _check_writable(self) -> None:
        self.backends.loop.check_open()
        self.caller.check_scope("write")
        if self.caller.filter is not None:
            raise ForbiddenError(f"you may see only a part of the collection {self.name}, so you may not change it")

    def _document_not_found(self, uri: str) -> NotFoundError:
        return NotFoundError(
            f"{self.name} has no document {uri[:200]!r}; list them", remedy=Remedy("list_documents", self.name)
        )
