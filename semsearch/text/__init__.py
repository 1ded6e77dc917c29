"""Text analysis without I/O: cleaning, analyzer, sentences, entities, answer types, validation of metadata."""
