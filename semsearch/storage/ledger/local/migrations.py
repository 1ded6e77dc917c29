"""Numbered migrations of the ledger, from an empty file to the current schema. Never change a released one."""

import sqlite3
from importlib.resources import files

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("semsearch.storage.ledger")


@MIGRATIONS()
def m001_tables(db: Database) -> None:
    """Create the tables of schema.sql statement by statement: `executescript` would commit the transaction."""
    statement = ""
    for line in files(__package__).joinpath("schema.sql").read_text(encoding="utf-8").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.conn.execute(statement)
            statement = ""


@MIGRATIONS()
def m002_sessions_of_one_collection(db: Database) -> None:
    """Store when the collection of a session was created, to detect a new collection of the same name."""
    db.conn.execute("ALTER TABLE session ADD COLUMN collection_made TEXT")


@MIGRATIONS()
def m003_feedback(db: Database) -> None:
    """Store what the owner of an answer said about it; NULL where nothing was said."""
    db.conn.execute(
        "CREATE TABLE feedback (owner TEXT NOT NULL, answer_id TEXT NOT NULL, helpful INTEGER, wrong_marker INTEGER,"
        " right_chunk_id INTEGER, comment TEXT, created REAL NOT NULL, PRIMARY KEY (owner, answer_id),"
        " FOREIGN KEY (owner, answer_id) REFERENCES answer (owner, id) ON DELETE CASCADE) WITHOUT ROWID"
    )


@MIGRATIONS()
def m004_answers_of_turns(db: Database) -> None:
    """Store the id of the answer of a turn; NULL in turns of earlier versions."""
    db.conn.execute("ALTER TABLE turn ADD COLUMN answer_id TEXT")


@MIGRATIONS()
def m005_access_keys(db: Database) -> None:
    """Store access keys, with hashes of their secrets; and their version, which grows with each change."""
    db.conn.execute(
        "CREATE TABLE access_key (id TEXT PRIMARY KEY, grants TEXT NOT NULL, secret_hash BLOB NOT NULL,"
        " created REAL NOT NULL, previous_hash BLOB, previous_expires REAL, revoked REAL) WITHOUT ROWID"
    )
    db.conn.execute("CREATE TABLE access_key_version (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)")


@MIGRATIONS()
def m006_idempotency(db: Database) -> None:
    """Store responses for repeated requests; without a status while the request runs."""
    db.conn.execute(
        "CREATE TABLE kept_response (id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, key_hash BLOB NOT NULL,"
        " fingerprint BLOB NOT NULL, created REAL NOT NULL, size INTEGER NOT NULL DEFAULT 0, status INTEGER,"
        " headers TEXT, body BLOB, UNIQUE (owner, key_hash))"
    )
    db.conn.execute("CREATE INDEX kept_response_created ON kept_response (created)")
    db.conn.execute("CREATE INDEX kept_response_running ON kept_response (created) WHERE status IS NULL")
    db.conn.execute("CREATE INDEX kept_response_size ON kept_response (owner, created, size)")


@MIGRATIONS()
def m007_approved_answers(db: Database) -> None:
    """Store approved answers, each as JSON, and the documents that they cite."""
    db.conn.execute(
        "CREATE TABLE approved_answer (id TEXT PRIMARY KEY, owner TEXT NOT NULL, collection TEXT NOT NULL,"
        " question_key TEXT NOT NULL, created REAL NOT NULL, record TEXT NOT NULL) WITHOUT ROWID"
    )
    db.conn.execute("CREATE INDEX approved_answer_question ON approved_answer (collection, question_key)")
    db.conn.execute(
        "CREATE TABLE approved_source (approved_id TEXT NOT NULL REFERENCES approved_answer (id) ON DELETE CASCADE,"
        " uri TEXT NOT NULL, PRIMARY KEY (uri, approved_id)) WITHOUT ROWID"
    )
    db.conn.execute("CREATE INDEX approved_source_answer ON approved_source (approved_id)")


@MIGRATIONS()
def m008_fine_tuning(db: Database) -> None:
    """Store the fine-tuning jobs of each owner, as JSON objects."""
    db.conn.execute(
        "CREATE TABLE fine_tuning_job (owner TEXT NOT NULL, id TEXT NOT NULL, created REAL NOT NULL,"
        " record TEXT NOT NULL, PRIMARY KEY (owner, id)) WITHOUT ROWID"
    )


@MIGRATIONS()
def m009_outbox(db: Database) -> None:
    """Store messages that wait for delivery to a webhook; `failed` is the time at which one was given up."""
    db.conn.execute(
        "CREATE TABLE outbox (id TEXT PRIMARY KEY, owner TEXT NOT NULL, profile TEXT NOT NULL, body BLOB NOT NULL,"
        " created REAL NOT NULL, attempts INTEGER NOT NULL, next_attempt REAL NOT NULL, error TEXT, failed REAL)"
    )
    db.conn.execute("CREATE INDEX outbox_due ON outbox (next_attempt) WHERE failed IS NULL")
