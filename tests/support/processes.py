"""What tests ask of the processes that the code under test has started."""

import os


def has_exited(pid: int) -> bool:
    """Whether there is no such process, not even a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
