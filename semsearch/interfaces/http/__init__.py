"""The HTTP service: routes under `/v1`, described at `/docs`. Knows HTTP, and of the rest only the front door."""
