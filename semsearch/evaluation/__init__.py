"""Judged questions, metrics, runs, comparisons, reports."""
