"""What a caller may do with access keys, and who the caller of a request is."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ..access.keys import DEFAULT_OVERLAP_SECONDS, AccessKeys
from ..core.errors import ForbiddenError, InvalidError, NotFoundError, Remedy
from ..core.names import validate_name
from ..core.settings import Settings
from ..core.types.access import LOCAL_CALLER, AccessKey, Caller, KeyGrants
from ..search.filters import parse_filter
from ..storage.ledger.local.ledger import LocalLedger

if TYPE_CHECKING:
    from ..access.proxy_identities import ProxyIdentities


class KeyOperations:
    """The access keys of a library. A caller needs the scope `admin`, and reaches keys of their collections only."""

    access_keys: AccessKeys
    """Verifies the credentials of requests."""
    proxy_identities: ProxyIdentities | None
    """The users whom a trusted proxy names; None without such a proxy."""

    def create_key(self, grants: KeyGrants, *, caller: Caller = LOCAL_CALLER) -> tuple[AccessKey, str]:
        """Create an access key; return it with the secret, which cannot be read again.

        >>> key, secret = library.create_key(semsearch.KeyGrants("intranet search", "intranet"))
        >>> library.authenticate(secret).owner
        'intranet'
        """
        caller.check_scope("admin")
        if grants.filter is not None:
            parse_filter(grants.filter)
        for name in grants.collections or ():
            validate_name(name, "collection")
        if not _is_within(grants, caller):
            raise ForbiddenError("the key would reach collections that you may not see; name some of yours")
        return self.access_keys.create(grants)

    def list_keys(self, *, caller: Caller = LOCAL_CALLER) -> list[AccessKey]:
        """Return the access keys, the oldest first, revoked and expired ones included.

        >>> [key.grants.name for key in library.list_keys()]
        []
        """
        caller.check_scope("admin")
        return [key for key in self.access_keys.list() if _is_within(key.grants, caller)]

    def rotate_key(
        self, key_id: str, *, overlap_seconds: float = DEFAULT_OVERLAP_SECONDS, caller: Caller = LOCAL_CALLER
    ) -> tuple[AccessKey, str]:
        """Give an access key a new secret; the old one stays valid for `overlap_seconds`.

        >>> key, old_secret = library.create_key(semsearch.KeyGrants("intranet search", "intranet"))
        >>> _, secret = library.rotate_key(key.id)
        >>> library.authenticate(secret) == library.authenticate(old_secret)
        True
        """
        self._check_reachable(key_id, caller)
        return self.access_keys.rotate(key_id, overlap_seconds)

    def revoke_key(self, key_id: str, *, caller: Caller = LOCAL_CALLER) -> AccessKey:
        """Refuse an access key from the next request on.

        >>> key, secret = library.create_key(semsearch.KeyGrants("intranet search", "intranet"))
        >>> library.revoke_key(key.id).revoked is None
        False
        """
        self._check_reachable(key_id, caller)
        return self.access_keys.revoke(key_id)

    def has_keys(self) -> bool:
        """Return whether there has been an access key, so that requests over HTTP need one.

        >>> library.has_keys()
        False
        """
        return self.access_keys.exist()

    def may_be_exposed(self) -> bool:
        """Return whether a service may listen for other machines: only if its users can prove who they are.

        >>> library.may_be_exposed()
        False
        """
        return self.proxy_identities is not None or self.has_keys()

    def authenticate(self, key: str) -> Caller:
        """Return the caller of an access key; UnauthorizedError if it is unknown, wrong, expired or revoked.

        >>> _, secret = library.create_key(semsearch.KeyGrants("intranet search", "intranet"))
        >>> sorted(library.authenticate(secret).scopes)
        ['ask', 'search']
        """
        return self.access_keys.authenticate(key)

    def _check_reachable(self, key_id: str, caller: Caller) -> None:
        caller.check_scope("admin")
        if not _is_within(self.access_keys.get(key_id).grants, caller):
            raise NotFoundError(f"there is no key {key_id[:80]!r}; list them", remedy=Remedy("list_keys"))


def make_proxy_identities(settings: Settings) -> ProxyIdentities | None:
    """Return the users of the trusted proxies, None without them; InvalidError if the filter of a group is invalid."""
    if settings.identities is None:
        return None
    from ..access.proxy_identities import ProxyIdentities  # late: few services have such a proxy
    from ..access.trusted_proxies import TrustedProxies

    for group in settings.identities.groups:
        if group.filter is not None:
            try:
                parse_filter(group.filter)
            except InvalidError as exc:
                raise InvalidError(f"access.groups.{group.name}.filter: {exc}") from exc
    return ProxyIdentities(settings.identities, TrustedProxies(settings.access_proxies))


def may_be_exposed(folder: Path, settings: Settings) -> bool:
    """Return whether a service of this data directory may listen for other machines. Starts no thread."""
    if settings.identities is not None:
        return True
    with closing(LocalLedger(folder)) as ledger:
        return AccessKeys(ledger).exist()


def _is_within(grants: KeyGrants, caller: Caller) -> bool:
    """Return whether a key reaches only collections that the caller reaches."""
    return caller.collections is None or (grants.collections is not None and grants.collections <= caller.collections)
