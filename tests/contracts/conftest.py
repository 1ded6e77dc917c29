"""Fixtures of the stores."""

from support.stores import new_store

__all__ = ["new_store"]
