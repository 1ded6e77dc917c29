"""The measurements that run in the peers' environment: fill the peers, and search those without a server.

Usage: peer_worker.py FUNCTION PARAMETERS, the parameters as JSON; prints the figures as one line of JSON. Imports no
other module of the benchmarks, and of semsearch only the embedded model.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

_MODEL_CACHE: list[Any] = []


def embed(texts: list[str]) -> Any:
    """Embed texts with semsearch's embedded model: the external embedding function of the peers."""
    if not _MODEL_CACHE:
        _MODEL_CACHE.append(importlib.import_module("semsearch.models.embedders.local").LocalEmbedder())
    return _MODEL_CACHE[0].vectors(list(texts))


def fill_txtai(parameters: dict[str, Any]) -> dict[str, Any]:
    """Index texts with txtai and save the index; return CPU and wall seconds."""
    txtai = importlib.import_module("txtai")
    texts = json.loads(Path(parameters["texts"]).read_text())
    embeddings = txtai.Embeddings(method="external", transform=embed, content=parameters["content"])
    embed(["warm-up"])
    cpu_start, wall_start = time.process_time(), time.perf_counter()
    embeddings.index([(row, text, None) for row, text in enumerate(texts)])
    embeddings.save(parameters["folder"])
    return {"cpu": time.process_time() - cpu_start, "wall": time.perf_counter() - wall_start, "chunks": len(texts)}


def fill_chroma(parameters: dict[str, Any]) -> dict[str, Any]:
    """Add texts with their vectors to chroma; return CPU and wall seconds, without the embedding."""
    chromadb = importlib.import_module("chromadb")
    numpy = importlib.import_module("numpy")
    texts, vectors = json.loads(Path(parameters["texts"]).read_text()), numpy.load(parameters["vectors"])
    client = chromadb.PersistentClient(parameters["folder"])
    collection = client.create_collection("bench", embedding_function=None, metadata={"hnsw:space": "ip"})
    cpu_start, wall_start = time.process_time(), time.perf_counter()
    for start in range(0, len(texts), 2000):
        batch = slice(start, start + 2000)
        ids = [str(row) for row in range(len(texts))[batch]]
        collection.add(ids=ids, documents=texts[batch], embeddings=vectors[batch])
    Path(parameters["folder"], "collection.txt").write_text(str(collection.id))
    return {"cpu": time.process_time() - cpu_start, "wall": time.perf_counter() - wall_start, "chunks": len(texts)}


def search_hnsw(parameters: dict[str, Any]) -> dict[str, Any]:
    """Build a graph with hnswlib and search it at each ef, with one thread; return CPU of both, memory and rows."""
    hnswlib, numpy = importlib.import_module("hnswlib"), importlib.import_module("numpy")
    vectors, queries = numpy.load(parameters["vectors"]), numpy.load(parameters["queries"])
    initial_bytes = _private_bytes()
    index = hnswlib.Index("ip", vectors.shape[1])
    index.set_num_threads(1)
    index.init_index(len(vectors), M=16, ef_construction=200)
    start = time.process_time()
    index.add_items(vectors)
    build_seconds, added_bytes = time.process_time() - start, _private_bytes() - initial_bytes
    figures: dict[str, Any] = {"build": build_seconds, "bytes": added_bytes, "depths": []}
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


def search_hnsw_filtered(parameters: dict[str, Any]) -> dict[str, Any]:
    """Search hnswlib's graph with a filter function."""
    hnswlib, numpy = importlib.import_module("hnswlib"), importlib.import_module("numpy")
    vectors = numpy.load(parameters["vectors"])
    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=16, ef_construction=200)
    index.add_items(vectors)
    index.set_num_threads(1)
    index.set_ef(100)

    def search(vector: Any, name: str, rows: Any) -> list[int]:
        allowed = set(rows.tolist())
        k = min(parameters["k"], len(rows))
        try:
            labels: list[int] = index.knn_query(vector, k, filter=allowed.__contains__)[0][0]
        except RuntimeError:  # it found fewer than k rows
            return []
        return [int(row) for row in labels]

    return _measure_filters(parameters, search)


def search_lancedb_filtered(parameters: dict[str, Any]) -> dict[str, Any]:
    """Search a table of lancedb that has a column for each filter."""
    lancedb, numpy = importlib.import_module("lancedb"), importlib.import_module("numpy")
    arrow = importlib.import_module("pyarrow")
    vectors = numpy.load(parameters["vectors"])
    values = arrow.array(vectors.reshape(-1))
    columns: dict[str, Any] = {"row": list(range(len(vectors)))}
    columns["vector"] = arrow.FixedSizeListArray.from_arrays(values, vectors.shape[1])
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


def search_chroma_filtered(parameters: dict[str, Any]) -> dict[str, Any]:
    """Search a collection of chroma that has a metadata field for each filter."""
    chromadb, numpy = importlib.import_module("chromadb"), importlib.import_module("numpy")
    vectors = numpy.load(parameters["vectors"])
    masks = [_make_mask(rows, len(vectors)) for _, rows in _load_filters(parameters)]
    numbers = {name: number for number, (name, _) in enumerate(_load_filters(parameters))}
    collection = chromadb.EphemeralClient().create_collection("bench", metadata={"hnsw:space": "ip"})
    for start in range(0, len(vectors), 2000):
        batch = range(start, min(start + 2000, len(vectors)))
        metadata = [{"row": row, **{f"f{n}": mask[row] for n, mask in enumerate(masks)}} for row in batch]
        collection.add(ids=[str(row) for row in batch], embeddings=vectors[start : start + 2000], metadatas=metadata)

    def search(vector: Any, name: str, rows: Any) -> list[int]:
        reply = collection.query(
            query_embeddings=[vector], n_results=parameters["k"], where={f"f{numbers[name]}": True}, include=[]
        )
        return [int(row) for row in reply["ids"][0]]

    return _measure_filters(parameters, search)


def _measure_filters(parameters: dict[str, Any], search: Any) -> dict[str, Any]:
    """Return the CPU milliseconds of a query and the rows of all queries, for each filter."""
    queries, figures = importlib.import_module("numpy").load(parameters["queries"]), {}
    for name, rows in _load_filters(parameters):
        search(queries[0], name, rows)
        start = time.process_time()
        result_rows = [search(vector, name, rows) for vector in queries]
        figures[name] = {"ms": 1000 * (time.process_time() - start) / len(queries), "rows": result_rows}
    return figures


def _load_filters(parameters: dict[str, Any]) -> list[tuple[str, Any]]:
    with importlib.import_module("numpy").load(parameters["filters"]) as files:
        return [(name, files[name]) for name in files.files]


def _make_mask(rows: Any, count: int) -> list[bool]:
    allowed = set(rows.tolist())
    return [row in allowed for row in range(count)]


def _private_bytes() -> int:
    """Return the private dirty bytes of this process."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](json.loads(sys.argv[2]))))
