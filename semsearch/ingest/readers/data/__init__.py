"""Readers of data formats: JSON, XML, delimited text, notebooks."""
