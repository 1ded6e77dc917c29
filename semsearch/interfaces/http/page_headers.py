"""Headers of what browsers show: the content security policy, and what may be guessed or told to others."""

import base64
import hashlib
import re

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)

_POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data: blob:",  # the icon is in the document; images of pages are fetched by the script
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


def _make_headers(policy: dict[str, str]) -> dict[str, str]:
    return {
        "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }


PAGE_HEADERS = _make_headers(_POLICY)
"""Of the page and its files: no inline script or style, nothing from another origin, in no frame."""


def make_headers_for(html: str) -> dict[str, str]:
    """Return the headers of a document whose inline scripts are ours: the policy allows these by their hashes."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _INLINE_SCRIPT.findall(html))
    hashes = (f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return _make_headers({**_POLICY, "script-src": " ".join(("'self'", *hashes))})
