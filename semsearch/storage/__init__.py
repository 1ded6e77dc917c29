"""What is on disk or in a database: collections, ledger, embedding cache, file locks. Imported by `library` only."""
