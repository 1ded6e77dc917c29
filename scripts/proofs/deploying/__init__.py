"""Parts of the proof `deployment`."""
