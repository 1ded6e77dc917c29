"""SQL statements on the catalogue of one collection."""
