"""Evaluate search and answers with judged questions: datasets, metrics, runs, comparisons, charts."""
