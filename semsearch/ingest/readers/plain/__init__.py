"""Readers of plain text: text and code, mail, subtitles."""
