"""Cluster similar questions by the vectors of the built-in embedder, deterministically. Knows no answers."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..collection import Collection
from ..core.types.documents import Vectors
from ..core.types.usage import RequestContext

SIMILAR = 0.45
"""Least cosine of questions on one topic. Of pairs of SQuAD questions this similar, 86 of 100 are of one article."""

NEAR_IDENTICAL = 0.9
"""Least cosine of questions that ask the same in other words."""

_MIN_NORM = 1e-9


def embed_questions(collection: Collection, questions: Sequence[str]) -> Vectors:
    """Return unit vectors of the built-in embedder, shape (len(questions), dim).

    Of every collection: the thresholds hold for this model only, and it costs nothing.
    """
    embedder = collection.backends.answerer_deps.get_local_embedder()
    context = RequestContext("query", collection.caller.owner)
    return collection.backends.loop.wait(embedder.embed(list(questions), context, query=True))


def cluster_vectors(vectors: Vectors, threshold: float) -> list[list[int]]:
    """Return the row numbers of each cluster, in order of its first row.

    Each row joins the cluster with the nearest centroid, if their cosine reaches the threshold; then clusters with
    near centroids are merged in the same way.
    """
    clusters, centroids = _join_nearest(vectors, threshold)
    merged, _ = _join_nearest(centroids, threshold)
    return [sorted(row for number in numbers for row in clusters[number]) for numbers in merged]


def find_central_row(vectors: Vectors, rows: Sequence[int], owners: Sequence[str]) -> int:
    """Return the row that is most similar to all rows of its cluster; each owner has the same weight in total."""
    counts = Counter(owners[row] for row in rows)
    weights = np.array([1 / counts[owners[row]] for row in rows], dtype=vectors.dtype)
    members = vectors[list(rows)]
    return rows[int(np.argmax(members @ (weights @ members)))]


def _join_nearest(vectors: Vectors, threshold: float) -> tuple[list[list[int]], Vectors]:
    """Return clusters of rows and the unit vectors of their centroids, shape (len(clusters), dim)."""
    sums, norms = np.zeros_like(vectors), np.zeros(len(vectors), vectors.dtype)
    clusters: list[list[int]] = []
    for row, vector in enumerate(vectors):
        size = len(clusters)
        cosines = sums[:size] @ vector / norms[:size]
        nearest = int(np.argmax(cosines)) if size else 0
        if size and cosines[nearest] >= threshold:
            clusters[nearest].append(row)
        else:
            nearest = size
            clusters.append([row])
        sums[nearest] += vector
        norms[nearest] = max(float(np.linalg.norm(sums[nearest])), _MIN_NORM)
    return clusters, sums[: len(clusters)] / norms[: len(clusters), None]
