"""Undo migrations of a catalogue, so that a test has one of an earlier version."""

import sqlite3


def drop_originals(db: sqlite3.Connection) -> None:
    """Undo the migrations that keep originals and the maps of PDF pages."""
    for statement in (
        "DROP TABLE page_map",
        "DROP INDEX document_by_original",
        "ALTER TABLE document DROP COLUMN original",
        "DROP TABLE original",  # with its triggers
        "ALTER TABLE meta DROP COLUMN original_bytes",
    ):
        db.execute(statement)
