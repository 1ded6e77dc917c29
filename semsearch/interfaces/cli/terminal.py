"""Whether output has colour. Does not print."""

import sys
from typing import TextIO


def uses_color(stream: TextIO | None = None) -> bool:
    """Return whether a stream, by default stdout, is a terminal that may show colour."""
    if not (sys.stdout if stream is None else stream).isatty():
        return False
    from ...core.settings import allows_color  # late: needed on terminals only

    return allows_color()
