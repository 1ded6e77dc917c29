"""Find out why a connection to a server failed, for the error message. Repeats nothing that the server sent."""

import errno
import socket
import ssl

import httpx

_CAUSES: dict[type[BaseException], str] = {
    httpx.ConnectTimeout: "timeout",
    ssl.SSLCertVerificationError: "its certificate is not trusted",
    ssl.SSLError: "TLS failed",
    socket.gaierror: "its name is not known",
    ConnectionRefusedError: "connection refused",
}
"""The first that matches is the cause: a subclass stands before its base."""


def describe_cause(error: BaseException) -> str:
    """Return why a connection failed, in parentheses; empty if it is not known."""
    cause: BaseException | None = error
    while cause is not None:
        for cause_type, text in _CAUSES.items():
            if isinstance(cause, cause_type):
                return f" ({text})"
        if isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return " (no route to the host)"
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__ or cause.__context__
    return ""
