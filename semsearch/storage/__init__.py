"""Storage on disk or in a database: collections, ledger, embedding cache. Imported by `library` only."""
