"""Pure text analysis without I/O: cleaning, analyzer, sentences, entities, answer types, metadata checks."""
