"""The service's own truth beside the collections: what was spent, said and answered."""
