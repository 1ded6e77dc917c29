"""State of the processes that the code under test has started."""

import os


def has_exited(pid: int) -> bool:
    """Return whether the process does not exist, not even as a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
