"""Compute vectors and text: the client of model servers and the embedders."""
