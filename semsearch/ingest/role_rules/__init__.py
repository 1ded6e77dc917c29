"""Rules that recognise kinds of text by their structure. Each returns the indexes of the blocks that it recognises."""
