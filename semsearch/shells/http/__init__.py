"""The HTTP service: routes under `/v1`, described at `/docs`. Knows HTTP, and of the rest only the front door."""

from .app import create_app
from .serving import serve

__all__ = ["create_app", "serve"]
