"""Ingest files: sources, URIs, readers, chunking, the pipeline and cost estimates."""
