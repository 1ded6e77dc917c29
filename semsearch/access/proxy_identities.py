"""Users whom a trusted proxy names in headers: who they are, and what they may do by their group."""

from collections.abc import Iterable, Sequence

from ..core.errors import ForbiddenError
from ..core.types.access import Caller
from ..core.types.identities import EVERYBODY_ELSE, GroupGrants, IdentitySettings
from ..core.types.usage import LOCAL_OWNER
from .keys import MAX_NAME_CHARACTERS
from .trusted_proxies import TrustedProxies


class ProxyIdentities:
    """The users of the trusted proxies. The owner of a user's answers, sessions and usage is the user's name."""

    def __init__(self, settings: IdentitySettings, proxies: TrustedProxies) -> None:
        self._proxies = proxies
        self._user_header = settings.user_header.encode()
        self._groups_header = settings.groups_header and settings.groups_header.encode()
        self._groups = [group for group in settings.groups if group.name != EVERYBODY_ELSE]
        self._everybody_else = next((group for group in settings.groups if group.name == EVERYBODY_ELSE), None)

    def find_caller(self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]) -> Caller | None:
        """Return the caller that the headers name, whose names are in lower case; None if nobody is named.

        `peer` is the address of the connection: headers that do not come from a trusted proxy count for nothing. Nor do
        several headers of the user or of the groups, as a client may have sent one of them. ForbiddenError if the user
        has no group of the settings, or a name that cannot be an owner.
        """
        if not self._proxies.contains(peer):
            return None
        pairs = list(headers)
        users = [value for name, value in pairs if name == self._user_header]
        groups = [value for name, value in pairs if name == self._groups_header]
        if len(users) != 1 or not users[0].strip() or len(groups) > 1:
            return None
        user = _read_user(users[0])
        group = self._find_group(_read_groups(groups))
        if group is None:
            raise ForbiddenError(
                f"the user {user!r} is in no group that may use this service; its operator can add one of the user's"
                ' groups, or everybody, to the settings: [access.groups.NAME], [access.groups."*"]'
            )
        return Caller(user, group.collections, group.filter, scopes=group.scopes)

    def _find_group(self, names: frozenset[str]) -> GroupGrants | None:
        """Return the first group of the settings that is among these names, else that of everybody else."""
        return next((group for group in self._groups if group.name in names), self._everybody_else)


def _read_user(value: bytes) -> str:
    user = value.decode(errors="replace").strip()
    if len(user) > MAX_NAME_CHARACTERS or not user.isprintable() or "\N{REPLACEMENT CHARACTER}" in user:
        raise ForbiddenError(
            f"the proxy names a user whose name is not valid: it has 1 to {MAX_NAME_CHARACTERS} printable characters"
        )
    if user == LOCAL_OWNER:
        raise ForbiddenError(
            f"the proxy names the user {user!r}, which is the name of the local user, whose answers they would see;"
            " let the proxy send another name, such as the address for mail"
        )
    return user


def _read_groups(values: Sequence[bytes]) -> frozenset[str]:
    return frozenset(name.strip() for value in values for name in value.decode(errors="replace").split(","))
