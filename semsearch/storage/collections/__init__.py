"""Backends of the Store port, one folder each."""
