"""Run a reader process: read the sources that the parent sends until stdin ends, under resource limits.

`python -m semsearch.ingest.readers.worker SECONDS MEMORY_BYTES`, started by `worker_pool` only. A request is four
frames (media type, plugin or nothing, uri and title or nothing, bytes). The response is the content in one frame, or if
there is a uri the chunked document in several; an empty frame ends it.
"""

import json
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from ...core.errors import SemsearchError, TooLargeError, UnsupportedMediaError
from ...core.framing import open_child_streams, receive, send
from ...core.plugins import Plugin
from ..chunked_content import chunk_document, make_document
from . import parse_media_type, read
from .document_frames import encode_document
from .wire_format import decode_plugin, encode_content

_MAX_OPEN_FILES = 64


def main() -> None:
    """Answer every request with content or an error."""
    seconds, memory_bytes = float(sys.argv[1]), int(sys.argv[2])
    _limit_resources(memory_bytes)
    requests, responses = open_child_streams()
    while (
        (media_type := receive(requests)) is not None
        and (plugin := receive(requests)) is not None
        and (head := receive(requests)) is not None
        and (data := receive(requests)) is not None
    ):
        _limit_cpu(seconds)
        request = _Request(media_type.decode(), decode_plugin(plugin), head, data)
        del data
        for frame in _respond(request):
            send(responses, frame)
        send(responses, b"")


@dataclass(slots=True)
class _Request:
    media_type: str
    plugin: Plugin | None
    head: bytes
    data: bytes


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


def _respond(request: _Request) -> Iterator[bytes]:
    """Yield the frames of the response; an error may follow the first of them."""
    try:
        yield from _read(request)
        return
    except SemsearchError as exc:
        error: SemsearchError = exc
    except MemoryError:
        error = TooLargeError("reading it exceeds the memory limit of a reader; split it")
    except Exception as exc:  # a third-party parser may raise anything on a hostile file
        error = UnsupportedMediaError(f"it is damaged, or its media type is wrong ({type(exc).__name__})")
    yield json.dumps({"error": _get_error_name(error), "message": str(error)}).encode()


def _read(request: _Request) -> Iterator[bytes]:
    content = read(request.data, request.media_type, request.plugin)
    request.data = b""  # the parts take its memory
    if request.head:
        uri, title = json.loads(request.head)
        document = make_document(uri, title, parse_media_type(request.media_type)[0], content)
        yield from encode_document(document, chunk_document(document))
    else:
        yield encode_content(content)


def _get_error_name(error: SemsearchError) -> str:
    """Return the name of the class, of ours if it is a plugin's own subclass."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == SemsearchError.__module__)


if __name__ == "__main__":
    main()
