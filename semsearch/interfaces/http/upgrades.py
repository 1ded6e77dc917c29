"""Refusal of WebSockets, which the service does not have. Other upgrades, such as to HTTP/2, are ignored."""

import logging

from starlette.types import Scope

from ...core.errors import InvalidError

_log = logging.getLogger("semsearch.http")


def validate_no_websocket(scope: Scope) -> None:
    """Raise InvalidError for a request that wants to become a WebSocket, and log it once."""
    for name, value in scope["headers"]:
        if name == b"upgrade" and value.strip().lower() == b"websocket":
            _log.warning("request %s: a WebSocket was refused", scope["state"]["request_id"])
            raise InvalidError(
                "this service has no WebSockets; send a request without the header Upgrade, and for a streamed answer"
                ' POST /v1/collections/NAME/ask with "stream": true'
            )
