"""Fixtures of the search tests."""

from support.stores import new_store

__all__ = ["new_store"]
