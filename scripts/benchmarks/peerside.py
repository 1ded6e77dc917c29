"""The part of the measurements that runs in the peers' environment: fills them, and measures those without a server.

Prints one line of JSON. Imports nothing of the benchmarks; of semsearch only the embedded model.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

_MODEL: list[Any] = []


def embed(texts: list[str]) -> Any:
    """Embed texts with semsearch's embedded model: the external function that peers are given."""
    if not _MODEL:
        _MODEL.append(importlib.import_module("semsearch.models.embedders.local").LocalEmbedder())
    return _MODEL[0].vectors(list(texts))


def txtai_fill(given: dict[str, Any]) -> dict[str, Any]:
    """Index texts with txtai and save the index; CPU seconds of the indexing."""
    txtai = importlib.import_module("txtai")
    texts = json.loads(Path(given["texts"]).read_text())
    embeddings = txtai.Embeddings(method="external", transform=embed, content=given["content"])
    embed(["warm"])
    began, wall = time.process_time(), time.perf_counter()
    embeddings.index([(row, text, None) for row, text in enumerate(texts)])
    embeddings.save(given["folder"])
    return {"cpu": time.process_time() - began, "wall": time.perf_counter() - wall, "chunks": len(texts)}


def chroma_fill(given: dict[str, Any]) -> dict[str, Any]:
    """Add texts with their vectors to chroma; CPU seconds of adding, without the embedding."""
    chromadb = importlib.import_module("chromadb")
    numpy = importlib.import_module("numpy")
    texts, vectors = json.loads(Path(given["texts"]).read_text()), numpy.load(given["vectors"])
    client = chromadb.PersistentClient(given["folder"])
    collection = client.create_collection("bench", embedding_function=None, metadata={"hnsw:space": "ip"})
    began, wall = time.process_time(), time.perf_counter()
    for at in range(0, len(texts), 2000):
        some = slice(at, at + 2000)
        ids = [str(row) for row in range(len(texts))[some]]
        collection.add(ids=ids, documents=texts[some], embeddings=vectors[some])
    Path(given["folder"], "collection.txt").write_text(str(collection.id))
    return {"cpu": time.process_time() - began, "wall": time.perf_counter() - wall, "chunks": len(texts)}


def hnsw(given: dict[str, Any]) -> dict[str, Any]:
    """Build a graph with hnswlib and search it at each ef, with one thread; CPU of both, memory, and the rows found."""
    hnswlib, numpy = importlib.import_module("hnswlib"), importlib.import_module("numpy")
    vectors, asked = numpy.load(given["vectors"]), numpy.load(given["asked"])
    bare = _private()
    index = hnswlib.Index("ip", vectors.shape[1])
    index.set_num_threads(1)
    index.init_index(len(vectors), M=16, ef_construction=200)
    began = time.process_time()
    index.add_items(vectors)
    found: dict[str, Any] = {"build": time.process_time() - began, "bytes": _private() - bare, "depths": []}
    for ef in given["ef"]:
        index.set_ef(ef)
        rows = [index.knn_query(vector, given["k"])[0][0].tolist() for vector in asked]
        spent = []
        for _ in range(3):
            began = time.process_time()
            for vector in asked:
                index.knn_query(vector, given["k"])
            spent.append(1000 * (time.process_time() - began) / len(asked))
        found["depths"].append({"ef": ef, "ms": sorted(spent)[1], "rows": rows})
    return found


def hnsw_filtered(given: dict[str, Any]) -> dict[str, Any]:
    """Search hnswlib's graph with a function that says which rows count."""
    hnswlib, numpy = importlib.import_module("hnswlib"), importlib.import_module("numpy")
    vectors = numpy.load(given["vectors"])
    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=16, ef_construction=200)
    index.add_items(vectors)
    index.set_num_threads(1)
    index.set_ef(100)

    def search(vector: Any, name: str, rows: Any) -> list[int]:
        there = set(rows.tolist())
        try:
            found: list[int] = index.knn_query(vector, min(given["k"], len(rows)), filter=there.__contains__)[0][0]
        except RuntimeError:  # it found fewer than it was asked for
            return []
        return [int(row) for row in found]

    return _each_filter(given, search)


def lancedb_filtered(given: dict[str, Any]) -> dict[str, Any]:
    """Search a table of lancedb, with a column for each filter."""
    lancedb, numpy = importlib.import_module("lancedb"), importlib.import_module("numpy")
    arrow = importlib.import_module("pyarrow")
    vectors = numpy.load(given["vectors"])
    flat = arrow.array(vectors.reshape(-1))
    columns: dict[str, Any] = {"row": list(range(len(vectors)))}
    columns["vector"] = arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    columns |= {f"f{number}": _mask(rows, len(vectors)) for number, (_, rows) in enumerate(_filters(given))}
    table = lancedb.connect(given["folder"]).create_table("bench", arrow.table(columns), mode="overwrite")
    table.create_index("dot", index_type="IVF_HNSW_SQ")
    numbers = {name: number for number, (name, _) in enumerate(_filters(given))}

    def search(vector: Any, name: str, rows: Any) -> list[int]:
        asked = table.search(vector).distance_type("dot").where(f"f{numbers[name]}", prefilter=True)
        return [hit["row"] for hit in asked.select(["row"]).limit(given["k"]).to_list()]

    return _each_filter(given, search)


def chroma_filtered(given: dict[str, Any]) -> dict[str, Any]:
    """Search a collection of chroma, with a field of metadata for each filter."""
    chromadb, numpy = importlib.import_module("chromadb"), importlib.import_module("numpy")
    vectors = numpy.load(given["vectors"])
    masks = [_mask(rows, len(vectors)) for _, rows in _filters(given)]
    numbers = {name: number for number, (name, _) in enumerate(_filters(given))}
    collection = chromadb.EphemeralClient().create_collection("bench", metadata={"hnsw:space": "ip"})
    for at in range(0, len(vectors), 2000):
        some = range(at, min(at + 2000, len(vectors)))
        fields = [{"row": row, **{f"f{n}": mask[row] for n, mask in enumerate(masks)}} for row in some]
        collection.add(ids=[str(row) for row in some], embeddings=vectors[at : at + 2000], metadatas=fields)

    def search(vector: Any, name: str, rows: Any) -> list[int]:
        found = collection.query(
            query_embeddings=[vector], n_results=given["k"], where={f"f{numbers[name]}": True}, include=[]
        )
        return [int(row) for row in found["ids"][0]]

    return _each_filter(given, search)


def _each_filter(given: dict[str, Any], search: Any) -> dict[str, Any]:
    """CPU milliseconds and the rows found, for each filter."""
    asked, found = importlib.import_module("numpy").load(given["asked"]), {}
    for name, rows in _filters(given):
        search(asked[0], name, rows)
        began = time.process_time()
        hits = [search(vector, name, rows) for vector in asked]
        found[name] = {"ms": 1000 * (time.process_time() - began) / len(asked), "rows": hits}
    return found


def _filters(given: dict[str, Any]) -> list[tuple[str, Any]]:
    with importlib.import_module("numpy").load(given["filters"]) as files:
        return [(name, files[name]) for name in files.files]


def _mask(rows: Any, count: int) -> list[bool]:
    there = set(rows.tolist())
    return [row in there for row in range(count)]


def _private() -> int:
    """Bytes that only this process holds."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](json.loads(sys.argv[2]))))
