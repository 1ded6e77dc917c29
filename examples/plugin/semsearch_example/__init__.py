"""A plugin of semsearch: a reader of calendars and an embedder. docs/extending.md describes both."""
