-- The service's own truth. Every row belongs to an owner; periods and days are UTC; costs are billionths of a dollar.

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
    input_tokens INTEGER NOT NULL,      -- while it is held: as many as are likely
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    cost_nano INTEGER,                  -- NULL where the price is not known
    seconds REAL NOT NULL,
    held_tokens INTEGER NOT NULL,
    held_nano INTEGER NOT NULL
);
CREATE INDEX call_held ON call (expires) WHERE state = 'held';
CREATE INDEX call_by_day ON call (day, owner);

CREATE TABLE spent (                    -- what the calls add up to; owner '' is everyone
    owner TEXT NOT NULL,
    period TEXT NOT NULL,               -- '2026-11-23' or '2026-11'
    tokens INTEGER NOT NULL,
    nano INTEGER NOT NULL,
    held_tokens INTEGER NOT NULL,
    held_nano INTEGER NOT NULL,
    PRIMARY KEY (owner, period)
) WITHOUT ROWID;

CREATE TABLE headroom (                 -- what a server last said of its limits
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    said TEXT NOT NULL,                 -- a JSON object
    PRIMARY KEY (endpoint, model)
) WITHOUT ROWID;

CREATE TABLE ratio (                    -- what was learned of a model's tokenizer
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
