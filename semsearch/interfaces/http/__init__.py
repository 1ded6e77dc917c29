"""The HTTP service: routes under `/v1`, described at `/docs`. Calls the library and its collections only."""
