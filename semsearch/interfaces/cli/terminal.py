"""Whether output has colour and hyperlinks. Does not print."""

import sys
from typing import TextIO


def uses_color(stream: TextIO | None = None) -> bool:
    """Return whether a stream, by default stdout, is a terminal that may show colour."""
    if not (sys.stdout if stream is None else stream).isatty():
        return False
    from ...core.settings import allows_color  # late: needed on terminals only

    return allows_color()


def uses_links() -> bool:
    """Return whether stdout is a terminal that may show hyperlinks."""
    if not sys.stdout.isatty():
        return False
    from ...core.settings import allows_links  # late, as above

    return allows_links()


def format_link(text: str, url: str | None) -> str:
    """Return a text as a hyperlink (OSC 8); unchanged without an address."""
    return f"\x1b]8;;{url}\x1b\\{text}\x1b]8;;\x1b\\" if url else text
