"""The ways in: each parses, calls the library and prints."""
