"""Clusters of vectors: deterministic, complete, and near duplicates together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semsearch.learning.question_clusters import cluster_vectors, find_central_row


def make_vectors(angles: list[float]) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Return unit vectors in the plane at these angles."""
    return np.array([[np.cos(angle), np.sin(angle)] for angle in angles], np.float32).reshape(-1, 2)


@given(st.lists(st.floats(0, 6.28), max_size=30), st.floats(0.1, 0.99))
def test_each_row_is_in_one_cluster(angles: list[float], threshold: float) -> None:
    """Also zero vectors, of texts without tokens, which are similar to nothing."""
    vectors = np.concatenate([make_vectors(angles), np.zeros((2, 2), np.float32)])
    clusters = cluster_vectors(vectors, threshold)
    assert sorted(row for rows in clusters for row in rows) == list(range(len(vectors)))
    assert clusters == cluster_vectors(vectors, threshold)
    assert clusters[-2:] == [[len(vectors) - 2], [len(vectors) - 1]]
    assert len(cluster_vectors(make_vectors(angles[:1] * 5), threshold)) == len(angles[:1])


def test_similar_vectors_are_together() -> None:
    """Clusters are in order of their first row."""
    assert cluster_vectors(make_vectors([0, 1.5, 0.1, 1.6, 3]), 0.9) == [[0, 2], [1, 3], [4]]
    assert cluster_vectors(make_vectors([]), 0.9) == []


def test_one_owner_does_not_choose_the_central_question() -> None:
    """A hundred questions of one owner have the weight of one question."""
    vectors = make_vectors([0.5] * 100 + [0.0, -0.1, 0.1])
    owners = ["flood"] * 100 + ["ann", "bob", "eve"]
    assert find_central_row(vectors, list(range(103)), owners) == 102
