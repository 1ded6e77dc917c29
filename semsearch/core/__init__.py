"""What every other package may import: errors, settings, ports, types, event loop, child processes.

Imports nothing of ours.
"""
