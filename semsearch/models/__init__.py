"""Whatever computes vectors or text: the client of model servers, and the embedders."""
