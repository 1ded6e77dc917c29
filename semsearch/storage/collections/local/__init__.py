"""Collections in local folders: a SQLite catalogue, and index files derived from it."""
