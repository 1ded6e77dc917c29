"""Where collections are kept: one entry for each kind of store."""
