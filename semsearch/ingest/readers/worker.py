"""One reader child: reads what its parent hands over until stdin ends, under limits of its own. Not for people to run.

`python -m semsearch.ingest.readers.worker SECONDS MEMORY_BYTES`; a request is two frames (type, bytes), an answer one.
"""

import json
import resource
import sys

from ...core.errors import SemsearchError, TooLargeError, UnsupportedMediaError
from ...core.framing import open_child_streams, receive, send
from . import read
from .wire_format import encode_content

_MAX_OPEN_FILES = 64


def main() -> None:
    """Answer every request; an error is an answer too."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    _limit_resources(memory)
    requests, answers = open_child_streams()
    while (media_type := receive(requests)) is not None and (data := receive(requests)) is not None:
        _limit_cpu(seconds)
        send(answers, _handle_request(data, media_type.decode()))
        del data


def _limit_resources(memory_bytes: int) -> None:
    for kind, bound in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))


def _limit_cpu(seconds: float) -> None:
    """Let one document use this much; it matters when the parent, whose clock is stricter, has died."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    bound = int(used.ru_utime + used.ru_stime + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (bound, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _handle_request(data: bytes, media_type: str) -> bytes:
    try:
        return encode_content(read(data, media_type))
    except SemsearchError as exc:
        error: SemsearchError = exc
    except MemoryError:
        error = TooLargeError("reading it takes more memory than a reader may use; split it")
    except Exception as exc:  # a foreign parser on a hostile file may raise anything at all
        error = UnsupportedMediaError(f"it is damaged, or not what its type says ({type(exc).__name__})")
    return json.dumps({"error": type(error).__name__, "message": str(error)}).encode()


if __name__ == "__main__":
    main()
