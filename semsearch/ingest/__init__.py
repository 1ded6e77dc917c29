"""From files to chunks: sources, URIs, loading, chunking, pipeline, estimates, readers."""
