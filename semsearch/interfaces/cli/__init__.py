"""The command line. Results go to stdout, progress and messages to stderr."""
