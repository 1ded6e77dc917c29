"""Derived index files: postings, product codes, sign codes, sentence terms, generations."""
