"""Readers of markup: HTML, Markdown, reStructuredText, AsciiDoc, EPUB."""
