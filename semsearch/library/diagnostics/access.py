"""Check the access keys, and whether the settings let other machines in without one."""

import time
from collections.abc import Collection, Iterator, Sequence

from ...core.allowed_hosts import ANY_HOST
from ...core.settings import Settings
from ...core.types.access import AccessKey
from ...core.types.diagnostics import Finding

SOON_SECONDS = 14 * 86_400
_NEW_KEY = "create another key, with --expires, and give it to its user: semsearch keys create NAME"


def check_keys(keys: Sequence[AccessKey], collections: Collection[str], now: float) -> list[Finding]:
    """Check the access keys: which are expired or expire soon, and which reach a collection that does not exist."""
    if not keys:
        what = "there are none: serve accepts requests of this machine only, and of every program on it"
        return [Finding("ok", "access keys", what)]
    current = [key for key in keys if key.revoked is None]
    active = [key for key in current if key.is_active(now)]
    findings = [finding for key in current for finding in _check_key(key, collections, now)]
    if not active:
        what, why = "no key is valid any more", "the HTTP service refuses every request"
        findings.append(Finding("problem", "access keys", what, why, _NEW_KEY))
    return findings or [Finding("ok", "access keys", f"{len(active):,} valid, none expires within 14 days")]


def check_access(settings: Settings, *, has_keys: bool) -> list[Finding]:
    """Check the settings that let other machines reach the HTTP service."""
    check, findings = "access", []
    if ANY_HOST in settings.allowed_hosts:
        why = "a web page of another site can reach the service through the browser of a user (DNS rebinding)"
        remedy = "name the hosts: SEMSEARCH_HTTP__ALLOWED_HOSTS=search.example.org"
        findings.append(Finding("warning", check, "the service accepts every host name (*)", why, remedy))
    if not has_keys and (settings.allowed_hosts or settings.public_url):
        what = "the settings name a host for other machines, and there is no access key"
        why = "everybody who reaches the proxy may read and change the documents, unless the proxy asks who they are"
        findings.append(Finding("warning", check, what, why, "semsearch keys create NAME"))
    if settings.public_url and settings.public_url.startswith("http://") and has_keys:
        what, why = "SEMSEARCH_PUBLIC_URL is http, not https", "access keys can be read on the network"
        remedy = "put a proxy with TLS in front, and set the https address"
        findings.append(Finding("warning", check, what, why, remedy))
    return findings


def _check_key(key: AccessKey, collections: Collection[str], now: float) -> Iterator[Finding]:
    name, expires = f"{key.id} ({key.grants.name})", key.grants.expires
    if expires is not None and expires - now <= SOON_SECONDS:
        is_over = expires <= now
        day = time.strftime("%Y-%m-%d", time.gmtime(expires))
        what = f"{name} {'expired' if is_over else 'expires'} on {day}"
        why = "requests with it are refused" if is_over else "requests with it are refused from then on"
        remedy = f"{_NEW_KEY}; then semsearch keys revoke {key.id}"
        yield Finding("warning", "access keys", what, why, remedy)
    missing = sorted((key.grants.collections or frozenset()) - set(collections))
    if missing:
        what = f"{name} is for {', '.join(missing)}, which does not exist"
        remedy = f"make it: semsearch ingest PATH -c {missing[0]}; or revoke the key: semsearch keys revoke {key.id}"
        yield Finding("warning", "access keys", what, "requests to it are answered with not found", remedy)
