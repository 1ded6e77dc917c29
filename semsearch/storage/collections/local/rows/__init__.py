"""SQL over the catalogue of one collection."""
