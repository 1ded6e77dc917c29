"""Proofs that take long: each runs short in the suite, and as long as you like from the command line."""
