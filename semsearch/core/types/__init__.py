"""Data types that the packages share, one module for each subject."""
