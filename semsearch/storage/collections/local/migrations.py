"""The numbered migrations of a collection. A merged migration is never changed again."""

import sqlite3
from importlib.resources import files

from sqlite_utils import Database, Migrations

from .backfill import add_checksums, add_role_to_checksums

MIGRATIONS = Migrations("semsearch.collection")


@MIGRATIONS()
def m001_tables(db: Database) -> None:
    """Create the tables of schema.sql, statement by statement: `executescript` would end the transaction."""
    statement = ""
    for line in files(__package__).joinpath("schema.sql").read_text(encoding="utf-8").splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.conn.execute(statement)
            statement = ""


@MIGRATIONS()
def m002_words_as_files(db: Database) -> None:
    """Replace the full-text index by derived files, and count documents and chunks in `meta`."""
    for statement in (
        "DROP TABLE word_count",
        "DROP TABLE word_index",
        "DELETE FROM generation",
        "DELETE FROM change",
        "ALTER TABLE meta ADD COLUMN documents INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE meta ADD COLUMN chunks INTEGER NOT NULL DEFAULT 0",
        "UPDATE meta SET log_start = seq, documents = (SELECT count(*) FROM document),"
        " chunks = (SELECT count(*) FROM chunk)",
    ):
        db.conn.execute(statement)


@MIGRATIONS()
def m003_vectors_by_chunk(db: Database) -> None:
    """Index vectors by chunk: removing a chunk scanned all of them."""
    db.conn.execute("CREATE INDEX vector_by_chunk ON vector (chunk_id)")


@MIGRATIONS()
def m004_wide_rows_under_row_ids(db: Database) -> None:
    """Move vectors and texts to tables with row ids, which store rows in leaf pages only.

    A table without row ids stores its rows in inner pages too: each of these wide rows took a page of its own, and a
    lookup read seven. The tables shrink from 56 to 23 MB, and a text is read in half of the time.
    """
    for statement in (
        "CREATE TABLE vectors ("
        " space_id INTEGER NOT NULL REFERENCES space(id),"
        " chunk_id INTEGER NOT NULL REFERENCES chunk(id),"
        " data BLOB NOT NULL,"  # float32, little endian
        " PRIMARY KEY (chunk_id, space_id))",
        "INSERT INTO vectors SELECT space_id, chunk_id, data FROM vector ORDER BY chunk_id, space_id",
        "DROP TABLE vector",
        "ALTER TABLE vectors RENAME TO vector",
        "CREATE TABLE segments ("
        " document_id INTEGER NOT NULL REFERENCES document(id),"
        " ordinal INTEGER NOT NULL,"
        " text TEXT NOT NULL,"
        " PRIMARY KEY (document_id, ordinal))",
        "INSERT INTO segments SELECT document_id, ordinal, text FROM segment ORDER BY document_id, ordinal",
        "DROP TABLE segment",
        "ALTER TABLE segments RENAME TO segment",
    ):
        db.conn.execute(statement)


@MIGRATIONS()
def m005_other_codes(db: Database) -> None:
    """Discard the index files, whose codes and bits have another layout now."""
    _discard_generations(db)


@MIGRATIONS()
def m006_lists_in_a_file(db: Database) -> None:
    """Discard the index files: the lists of codes are in a file of their own now."""
    _discard_generations(db)


@MIGRATIONS()
def m007_folders_of_documents(db: Database) -> None:
    """Store the root of each document; earlier documents get the one whose name begins their uri."""
    for statement in (
        "ALTER TABLE document ADD COLUMN root TEXT REFERENCES root(name)",
        "UPDATE document SET root ="
        " (SELECT root.name FROM root WHERE substr(uri, 1, length(root.name) + 1) = root.name || '/')",
    ):
        db.conn.execute(statement)


@MIGRATIONS()
def m008_checksums(db: Database) -> None:
    """Add checksums to the rows, so that damage is detected when they are read."""
    db.conn.execute("ALTER TABLE segment ADD COLUMN sha256 BLOB")
    for table in ("document", "chunk", "word", "vector", "space", "generation", "meta"):
        db.conn.execute(f"ALTER TABLE {table} ADD COLUMN checksum INTEGER")
    add_checksums(db.conn)


@MIGRATIONS()
def m009_roles(db: Database) -> None:
    """Store the role of each chunk; earlier documents get theirs when their files are read again."""
    db.conn.execute("ALTER TABLE chunk ADD COLUMN role TEXT NOT NULL DEFAULT ''")
    add_role_to_checksums(db.conn)


@MIGRATIONS()
def m010_originals(db: Database) -> None:
    """List the originals that are kept, count their bytes, and store whether that of a document is kept.

    Triggers keep the count: a sum over 100,000 originals takes 7 ms.
    """
    for statement in (
        "CREATE TABLE original (sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL)",
        "ALTER TABLE document ADD COLUMN original TEXT",
        "CREATE INDEX document_by_original ON document (sha256) WHERE original = 'kept'",
        "ALTER TABLE meta ADD COLUMN original_bytes INTEGER NOT NULL DEFAULT 0",
        "CREATE TRIGGER original_added AFTER INSERT ON original"
        " BEGIN UPDATE meta SET original_bytes = original_bytes + new.bytes; END",
        "CREATE TRIGGER original_deleted AFTER DELETE ON original"
        " BEGIN UPDATE meta SET original_bytes = original_bytes - old.bytes; END",
    ):
        db.conn.execute(statement)


@MIGRATIONS()
def m011_page_maps(db: Database) -> None:
    """Store where the text of a PDF is on its pages; earlier documents get theirs when their files are read again."""
    db.conn.execute(
        "CREATE TABLE IF NOT EXISTS page_map ("
        " document_id INTEGER PRIMARY KEY REFERENCES document(id),"
        " data BLOB NOT NULL,"
        " checksum INTEGER NOT NULL)"
    )


def _discard_generations(db: Database) -> None:
    for statement in ("DELETE FROM generation", "DELETE FROM change", "UPDATE meta SET log_start = seq"):
        db.conn.execute(statement)
