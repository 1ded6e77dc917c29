"""Measurements of semsearch on real collections: each prints its figures and keeps them as JSON."""
