"""Collections in folders on this machine: SQLite holds the truth, FAISS indexes are derived from it."""
