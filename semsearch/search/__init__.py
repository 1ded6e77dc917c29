"""Search: from a query to ranked hits, over a read snapshot of a store."""
