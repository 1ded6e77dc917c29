"""What a caller may do with their sessions."""

from ..core.errors import InvalidError, NotFoundError, Remedy
from ..core.ports import Ledger
from ..core.types.access import LOCAL_CALLER, Caller
from ..core.types.sessions import Session, SessionInfo, SessionPosition

MAX_SESSION_PAGE = 1_000


class SessionOperations:
    """The sessions of a library. A caller reaches their own, with collections that they may see."""

    ledger: Ledger

    def get_session(self, session_id: str, *, caller: Caller = LOCAL_CALLER) -> Session:
        """Return a session of the caller with all its turns; NotFoundError if there is none.

        >>> library.get_session(handbook.create_session().id).turns
        ()
        """
        session = self.ledger.get_session(caller.record_owner, session_id)
        if session is None or not self._is_visible(session.collection, caller):
            raise _session_not_found(session_id)
        return session

    def sessions(
        self,
        collection: str | None = None,
        *,
        limit: int = 100,
        after: SessionPosition | None = None,
        caller: Caller = LOCAL_CALLER,
    ) -> list[SessionInfo]:
        """Return the sessions of the caller, the last used one first, without their turns.

        `collection` leaves out those with other collections. `after` is the `position` of the last session of the page
        before.

        >>> session = handbook.create_session()
        >>> library.sessions("handbook", limit=1)[0].id == session.id
        True
        """
        if not 1 <= limit <= MAX_SESSION_PAGE:
            raise InvalidError(f"limit is between 1 and {MAX_SESSION_PAGE}, not {limit}")
        names = caller.collections
        if collection is not None:
            names = frozenset([collection] if self._is_visible(collection, caller) else [])
        return self.ledger.list_sessions(caller.record_owner, limit, after, collections=names)

    def delete_session(self, session_id: str, *, caller: Caller = LOCAL_CALLER) -> None:
        """Delete a session of the caller; NotFoundError if there is none.

        >>> library.delete_session(handbook.create_session().id)
        """
        self.get_session(session_id, caller=caller)
        if not self.ledger.delete_session(caller.record_owner, session_id):
            raise _session_not_found(session_id)

    def _is_visible(self, name: str, caller: Caller) -> bool:
        return caller.collections is None or name in caller.collections


def _session_not_found(session_id: str) -> NotFoundError:
    return NotFoundError(f"there is no session {session_id[:80]!r}; begin one", remedy=Remedy("create_session"))
