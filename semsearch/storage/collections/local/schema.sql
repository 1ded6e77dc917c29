-- The tables of one collection in its first version; migrations.py has the changes since. The index files in the same
-- folder are derived from them, and may be deleted.

CREATE TABLE space (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,          -- the embedder's name: identifies the vector space for ever, its endpoint included
    dim INTEGER NOT NULL,
    spec TEXT NOT NULL                  -- what the user wrote to choose it
);

CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,               -- raised by every commit that changes documents
    log_start INTEGER NOT NULL,         -- changes up to this seq are no longer in the log
    live_space INTEGER NOT NULL REFERENCES space(id),
    analysis TEXT NOT NULL              -- version of the analyser that made the words
);

CREATE TABLE root (name TEXT PRIMARY KEY, path TEXT NOT NULL);

CREATE TABLE document (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uri TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,               -- of the source's bytes
    text_sha256 TEXT NOT NULL,          -- of the canonical text
    reader TEXT NOT NULL,
    title TEXT NOT NULL,
    media_type TEXT NOT NULL,
    language TEXT NOT NULL,
    metadata TEXT NOT NULL,             -- a JSON object
    characters INTEGER NOT NULL,
    chunks INTEGER NOT NULL
);

-- The canonical text in pieces of equal length, so that reading a span costs the same in a long document as in a short one.
CREATE TABLE segment (
    document_id INTEGER NOT NULL REFERENCES document(id),
    ordinal INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (document_id, ordinal)
) WITHOUT ROWID;

CREATE TABLE block (
    document_id INTEGER NOT NULL REFERENCES document(id),
    ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    kind TEXT NOT NULL,
    locator TEXT NOT NULL,              -- a JSON object
    PRIMARY KEY (document_id, ordinal)
) WITHOUT ROWID;

CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- names one embedded text for ever: never used again
    document_id INTEGER NOT NULL REFERENCES document(id),
    ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL,             -- in characters of the canonical text
    end INTEGER NOT NULL,
    heading TEXT NOT NULL,
    context TEXT NOT NULL,              -- embedded in front of the text; with it the embedding can be made again
    page INTEGER,
    text_hash TEXT NOT NULL,            -- of the embedded text
    sentences TEXT NOT NULL             -- JSON [start, end, start, end, …], counted from the chunk's start
);
CREATE INDEX chunk_by_document ON chunk (document_id, ordinal);
CREATE INDEX chunk_by_hash ON chunk (text_hash);

CREATE TABLE vector (
    space_id INTEGER NOT NULL REFERENCES space(id),
    chunk_id INTEGER NOT NULL REFERENCES chunk(id),
    data BLOB NOT NULL,                 -- float32, little endian
    PRIMARY KEY (space_id, chunk_id)
) WITHOUT ROWID;

-- Terms of the analyser, joined by spaces; in body one line for each sentence.
CREATE TABLE word (chunk_id INTEGER PRIMARY KEY REFERENCES chunk(id), title TEXT NOT NULL, body TEXT NOT NULL);
CREATE VIRTUAL TABLE word_index USING fts5 (
    title, body, content = 'word', content_rowid = 'chunk_id',
    tokenize = "unicode61 remove_diacritics 0 categories 'L* N* Co M*'"
);
CREATE VIRTUAL TABLE word_count USING fts5vocab (word_index, row);

CREATE TABLE change (seq INTEGER NOT NULL, chunk_id INTEGER NOT NULL, op INTEGER NOT NULL);  -- op: 1 added, -1 removed
CREATE INDEX change_by_seq ON change (seq);

CREATE TABLE generation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,                 -- 'vector'
    space_id INTEGER NOT NULL REFERENCES space(id),
    seq INTEGER NOT NULL,               -- the state that it was built from
    last_id INTEGER NOT NULL,           -- it covers the chunks up to this id
    folder TEXT,                        -- NULL where the collection is small enough to be scanned
    files TEXT NOT NULL,                -- JSON {file name: sha256}
    rows INTEGER NOT NULL
);
