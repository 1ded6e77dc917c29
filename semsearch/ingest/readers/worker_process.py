"""What all worker processes have in common: limits on their resources, and a loop that answers requests or errors."""

import json
import resource
import sys
from collections.abc import Callable, Iterable, Iterator

from ...core.errors import SemsearchError, TooLargeError, UnsupportedMediaError
from ...core.framing import open_child_streams, receive, send

_MAX_OPEN_FILES = 64


Handler = Callable[[list[bytes]], Iterable[bytes]]
"""Returns the frames of the response to the frames of a request, which it may remove from the list."""


def serve_requests(frame_count: int, handle: Handler) -> None:
    """Answer requests of `frame_count` frames with several frames and an empty one, until stdin ends.

    The arguments of the process are the seconds of CPU time for each request, and the bytes of memory.
    """
    seconds, memory_bytes = float(sys.argv[1]), int(sys.argv[2])
    _limit_resources(memory_bytes)
    requests, responses = open_child_streams()
    while True:
        frames: list[bytes] = []
        while len(frames) < frame_count and (frame := receive(requests)) is not None:
            frames.append(frame)
        if len(frames) < frame_count:
            return
        _limit_cpu(seconds)
        for frame in _handle_safely(handle, frames):
            send(responses, frame)
        send(responses, b"")


def _limit_resources(memory_bytes: int) -> None:
    for limit, soft_limit in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
    ):
        hard_limit = resource.getrlimit(limit)[1]
        soft_limit = soft_limit if hard_limit == resource.RLIM_INFINITY else min(soft_limit, hard_limit)
        resource.setrlimit(limit, (soft_limit, soft_limit))


def _limit_cpu(seconds: float) -> None:
    """Limit the CPU time of the next document; needed if the parent, whose timeout is stricter, has died."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _handle_safely(handle: Handler, frames: list[bytes]) -> Iterator[bytes]:
    """Yield the response to a request, or its error as JSON, which may follow a part of the response."""
    try:
        yield from handle(frames)
        return
    except SemsearchError as exc:
        error: SemsearchError = exc
    except MemoryError:
        error = TooLargeError("reading it exceeds the memory limit of a reader; split it")
    except Exception as exc:  # a third-party parser may raise anything on a hostile file
        error = UnsupportedMediaError(f"it is damaged, or its media type is wrong ({type(exc).__name__})")
    yield json.dumps({"error": _get_error_name(error), "message": str(error)}).encode()


def _get_error_name(error: SemsearchError) -> str:
    """Return the name of the class, of ours if it is a plugin's own subclass."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == SemsearchError.__module__)
