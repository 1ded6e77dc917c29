"""Measurements that run in the peers' environment: fill the peers, and measure those without a server.

`python peer_process.py FUNCTION PARAMETERS` calls a function by name and prints one line of JSON. This module imports
nothing of the benchmarks, and of semsearch only the built-in model.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

_MODEL_CACHE: list[Any] = []


def embed(texts: list[str]) -> Any:
    """Embed texts with semsearch's built-in model. Peers call this as their external embedding function."""
    if not _MODEL_CACHE:
        _MODEL_CACHE.append(importlib.import_module("semsearch.models.embedders.local").LocalEmbedder())
    return _MODEL_CACHE[0].embed_sync(list(texts))


def txtai_fill(parameters: dict[str, Any]) -> dict[str, Any]:
    """Index texts with txtai and save the index; return CPU and wall seconds."""
    txtai = importlib.import_module("txtai")
    texts = json.loads(Path(parameters["texts"]).read_text())
    embeddings = txtai.Embeddings(method="external", transform=embed, content=parameters["content"])
    embed(["warm"])
    cpu_start, wall_start = time.process_time(), time.perf_counter()
    embeddings.index([(row, text, None) for row, text in enumerate(texts)])
    embeddings.save(parameters["folder"])
    return {"cpu": time.process_time() - cpu_start, "wall": time.perf_counter() - wall_start, "chunks": len(texts)}


def chroma_fill(parameters: dict[str, Any]) -> dict[str, Any]:
    """Add texts with their vectors to chroma; return CPU and wall seconds, without embedding."""
    chromadb = importlib.import_module("chromadb")
    numpy = importlib.import_module("numpy")
    texts, vectors = json.loads(Path(parameters["texts"]).read_text()), numpy.load(parameters["vectors"])
    client = chromadb.PersistentClient(parameters["folder"])
    collection = client.create_collection("bench", embedding_function=None, metadata={"hnsw:space": "ip"})
    cpu_start, wall_start = time.process_time(), time.perf_counter()
    for first in range(0, len(texts), 2000):
        batch = slice(first, first + 2000)
        ids = [str(row) for row in range(len(texts))[batch]]
        collection.add(ids=ids, documents=texts[batch], embeddings=vectors[batch])
    Path(parameters["folder"], "collection.txt").write_text(str(collection.id))
    return {"cpu": time.process_time() - cpu_start, "wall": time.perf_counter() - wall_start, "chunks": len(texts)}


def hnsw(parameters: dict[str, Any]) -> dict[str, Any]:
    """Build an hnswlib graph and search it at each ef with one thread; return CPU of both, memory and the rows."""
    hnswlib, numpy = importlib.import_module("hnswlib"), importlib.import_module("numpy")
    vectors, queries = numpy.load(parameters["vectors"]), numpy.load(parameters["queries"])
    bytes_before = _private_bytes()
    index = hnswlib.Index("ip", vectors.shape[1])
    index.set_num_threads(1)
    index.init_index(len(vectors), M=16, ef_construction=200)
    start = time.process_time()
    index.add_items(vectors)
    figures: dict[str, Any] = {
        "build": time.process_time() - start,
        "bytes": _private_bytes() - bytes_before,
        "depths": [],
    }
    for ef in parameters["ef"]:
        index.set_ef(ef)
        rows = [index.knn_query(vector, parameters["k"])[0][0].tolist() for vector in queries]
        milliseconds = []
        for _ in range(3):
            start = time.process_time()
            for vector in queries:
                index.knn_query(vector, parameters["k"])
            milliseconds.append(1000 * (time.process_time() - start) / len(queries))
        figures["depths"].append({"ef": ef, "ms": sorted(milliseconds)[1], "rows": rows})
    return figures


def hnsw_filtered(parameters: dict[str, Any]) -> dict[str, Any]:
    """Search an hnswlib graph with a filter function for the allowed rows."""
    hnswlib, numpy = importlib.import_module("hnswlib"), importlib.import_module("numpy")
    vectors = numpy.load(parameters["vectors"])
    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=16, ef_construction=200)
    index.add_items(vectors)
    index.set_num_threads(1)
    index.set_ef(100)

    def search(vector: Any, name: str, rows: Any) -> list[int]:
        allowed = set(rows.tolist())
        try:
            count = min(parameters["k"], len(rows))
            labels: list[int] = index.knn_query(vector, count, filter=allowed.__contains__)[0][0]
        except RuntimeError:  # hnswlib raises when it finds fewer than k rows
            return []
        return [int(row) for row in labels]

    return _measure_filters(parameters, search)


def lancedb_filtered(parameters: dict[str, Any]) -> dict[str, Any]:
    """Search a lancedb table that has a Boolean column for each filter."""
    lancedb, numpy = importlib.import_module("lancedb"), importlib.import_module("numpy")
    arrow = importlib.import_module("pyarrow")
    vectors = numpy.load(parameters["vectors"])
    flat = arrow.array(vectors.reshape(-1))
    columns: dict[str, Any] = {"row": list(range(len(vectors)))}
    columns["vector"] = arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    columns |= {
        f"f{number}": _make_mask(rows, len(vectors)) for number, (_, rows) in enumerate(_load_filters(parameters))
    }
    table = lancedb.connect(parameters["folder"]).create_table("bench", arrow.table(columns), mode="overwrite")
    table.create_index("dot", index_type="IVF_HNSW_SQ")
    numbers = {name: number for number, (name, _) in enumerate(_load_filters(parameters))}

    def search(vector: Any, name: str, rows: Any) -> list[int]:
        query = table.search(vector).distance_type("dot").where(f"f{numbers[name]}", prefilter=True)
        return [hit["row"] for hit in query.select(["row"]).limit(parameters["k"]).to_list()]

    return _measure_filters(parameters, search)


def chroma_filtered(parameters: dict[str, Any]) -> dict[str, Any]:
    """Search a chroma collection that has a metadata field for each filter."""
    chromadb, numpy = importlib.import_module("chromadb"), importlib.import_module("numpy")
    vectors = numpy.load(parameters["vectors"])
    masks = [_make_mask(rows, len(vectors)) for _, rows in _load_filters(parameters)]
    numbers = {name: number for number, (name, _) in enumerate(_load_filters(parameters))}
    collection = chromadb.EphemeralClient().create_collection("bench", metadata={"hnsw:space": "ip"})
    for first in range(0, len(vectors), 2000):
        batch = range(first, min(first + 2000, len(vectors)))
        fields = [{"row": row, **{f"f{n}": mask[row] for n, mask in enumerate(masks)}} for row in batch]
        collection.add(ids=[str(row) for row in batch], embeddings=vectors[first : first + 2000], metadatas=fields)

    def search(vector: Any, name: str, rows: Any) -> list[int]:
        reply = collection.query(
            query_embeddings=[vector], n_results=parameters["k"], where={f"f{numbers[name]}": True}, include=[]
        )
        return [int(row) for row in reply["ids"][0]]

    return _measure_filters(parameters, search)


def _measure_filters(parameters: dict[str, Any], search: Any) -> dict[str, Any]:
    """Return the CPU milliseconds per query and the rows of each query, by filter."""
    queries, figures = importlib.import_module("numpy").load(parameters["queries"]), {}
    for name, rows in _load_filters(parameters):
        search(queries[0], name, rows)
        start = time.process_time()
        rows_by_query = [search(vector, name, rows) for vector in queries]
        figures[name] = {"ms": 1000 * (time.process_time() - start) / len(queries), "rows": rows_by_query}
    return figures


def _load_filters(parameters: dict[str, Any]) -> list[tuple[str, Any]]:
    with importlib.import_module("numpy").load(parameters["filters"]) as archive:
        return [(name, archive[name]) for name in archive.files]


def _make_mask(rows: Any, count: int) -> list[bool]:
    allowed = set(rows.tolist())
    return [row in allowed for row in range(count)]


def _private_bytes() -> int:
    """Return the private dirty memory of this process."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](json.loads(sys.argv[2]))))
