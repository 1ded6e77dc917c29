"""Modules that every other package may import: errors, settings, ports, types, event loop, child processes.

Imports no other package of semsearch.
"""
