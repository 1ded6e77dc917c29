"""Turn search hits into an answer with verified citations."""
