"""From hits to an answer with verified citations."""
