"""The application log on stderr, as text or as JSON: warnings and errors, without the texts of exceptions.

The text of an unexpected exception may hold a question, a document or a key; its type and its frames do not.
"""

import logging
import traceback
from collections.abc import Iterator

from ...core.settings import LogFormat
from ...core.tracing import get_current_trace
from .log_lines import format_json, write_line


class TextFormatter(logging.Formatter):
    """Formats a record as its message, and the types and frames of its exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        exc = record.exc_info[1] if record.exc_info else None
        return "\n".join([_get_message(record), *([] if exc is None else format_exception(exc))])


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON, with the ids of the request that it belongs to."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        trace = get_current_trace()
        exc = record.exc_info[1] if record.exc_info else None
        return format_json(
            record.levelname.lower(),
            _get_message(record),
            logger=record.name,
            request_id=trace and trace.request_id,
            trace_id=trace and trace.trace_id,
            **({} if exc is None else {"exception": list(format_exception(exc))}),
        )


class _StderrHandler(logging.Handler):
    """Writes each record with one system call, so that records of several workers do not mix."""

    def emit(self, record: logging.LogRecord) -> None:
        write_line(self.format(record))


def install_log_handler(log_format: LogFormat) -> None:
    """Send the log of this process, and of the workers that it starts, to stderr."""
    root, handler = logging.getLogger(), _StderrHandler(logging.WARNING)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    for earlier in [other for other in root.handlers if isinstance(other, _StderrHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)


def format_notice(log_format: LogFormat, level: str, message: str) -> str:
    """Return the line of a notice of the command, such as its address."""
    return format_json(level, message) if log_format == "json" else message


def format_exception(exc: BaseException) -> Iterator[str]:
    """Yield the frames and the type of an exception and of those that caused it, the first cause first."""
    cause = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    if cause is not None:
        yield from format_exception(cause)
    for frame in traceback.extract_tb(exc.__traceback__):
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
    yield f"{type(exc).__module__}.{type(exc).__qualname__}"


def _get_message(record: logging.LogRecord) -> str:
    return record.getMessage().rstrip("\n")
