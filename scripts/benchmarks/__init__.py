"""Measurements of semsearch on real collections. Each prints its figures and saves them as JSON."""
