"""Where collections are kept: one folder for each kind of store."""
