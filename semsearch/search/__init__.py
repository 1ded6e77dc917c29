"""From a query to ranked hits over a read snapshot."""
