-- The ledger. Every row belongs to an owner; days and months are UTC; costs are billionths of a US dollar.

CREATE TABLE call (                     -- one request to a model server
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL CHECK (owner != ''),
    key TEXT,
    purpose TEXT NOT NULL,
    collection TEXT,
    session TEXT,
    kind TEXT NOT NULL,                 -- 'embedding' or 'chat'
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    attempt INTEGER NOT NULL,           -- 0 for the first try
    batch INTEGER NOT NULL,
    started REAL NOT NULL,              -- seconds since 1970
    expires REAL NOT NULL,
    day TEXT NOT NULL,
    state TEXT NOT NULL,                -- 'held', 'expired' or 'settled'
    outcome TEXT,
    input_tokens INTEGER NOT NULL,      -- while 'held': the expected number
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    cost_nano INTEGER,                  -- NULL if the price is unknown
    seconds REAL NOT NULL,
    held_tokens INTEGER NOT NULL,
    held_nano INTEGER NOT NULL
);
CREATE INDEX call_held ON call (expires) WHERE state = 'held';
CREATE INDEX call_by_day ON call (day, owner);

CREATE TABLE spent (                    -- totals of the calls; owner '' is all owners
    owner TEXT NOT NULL,
    period TEXT NOT NULL,               -- '2026-11-23' or '2026-11'
    tokens INTEGER NOT NULL,
    nano INTEGER NOT NULL,
    held_tokens INTEGER NOT NULL,
    held_nano INTEGER NOT NULL,
    PRIMARY KEY (owner, period)
) WITHOUT ROWID;

CREATE TABLE headroom (                 -- rate limits that a server reported last
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    said TEXT NOT NULL,                 -- a JSON object
    PRIMARY KEY (endpoint, model)
) WITHOUT ROWID;

CREATE TABLE ratio (                    -- characters and tokens counted by a model
    model TEXT NOT NULL,
    script TEXT NOT NULL,
    characters REAL NOT NULL,
    tokens REAL NOT NULL,
    PRIMARY KEY (model, script)
) WITHOUT ROWID;

CREATE TABLE answer (
    owner TEXT NOT NULL CHECK (owner != ''),
    id TEXT NOT NULL,
    created REAL NOT NULL,
    record TEXT NOT NULL,               -- a JSON object
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX answer_by_age ON answer (created);

CREATE TABLE session (
    owner TEXT NOT NULL CHECK (owner != ''),
    id TEXT NOT NULL,
    collection TEXT NOT NULL,
    profile TEXT,
    created REAL NOT NULL,
    last_used REAL NOT NULL,
    PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX session_by_age ON session (last_used);

CREATE TABLE turn (
    owner TEXT NOT NULL,
    session_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    question TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (owner, session_id, ordinal),
    FOREIGN KEY (owner, session_id) REFERENCES session (owner, id) ON DELETE CASCADE
) WITHOUT ROWID;
