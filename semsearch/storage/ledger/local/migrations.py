"""The numbered steps from nothing to today's schema of the ledger. A step that has landed is never changed again."""

import sqlite3
from importlib.resources import files

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("semsearch.storage.ledger")


@MIGRATIONS()
def m001_tables(db: Database) -> None:
    """Make the tables of schema.sql, statement by statement: `executescript` would end the transaction."""
    statement = ""
    for line in files(__package__).joinpath("schema.sql").read_text(encoding="utf-8").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.conn.execute(statement)
            statement = ""


@MIGRATIONS()
def m002_sessions_of_one_collection(db: Database) -> None:
    """A session knows when its collection was made, and so does not go on with another of the same name."""
    db.conn.execute("ALTER TABLE session ADD COLUMN collection_made TEXT")
