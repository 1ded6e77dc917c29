"""nDCG@10 of each leg and of both, and what the extractive answers hold (squad2_a, cranfield; 2 minutes)"""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from semsearch import Library
from semsearch.collection import Collection
from semsearch.types import Mode

from .judged import Judged, ingest, lines, load, ndcg

MODES: tuple[Mode, ...] = ("hybrid", "lexical", "dense")
ENOUGH_CHUNKS = 100
"""So many chunks that ten different documents are among them."""


def measure(data: Path, limit: int | None) -> dict[str, Any]:
    """Print and return the figures."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        for name in ("squad2_a", "cranfield"):
            judged, collection = load(data / name, limit), ingest(library, data / name)
            figures[name] = {"chunks": collection.info().chunks, "ndcg@10": ranking(judged, collection, MODES)}
            print(
                f"{name}: nDCG@10 per document "
                + ", ".join(f"{k} {v:.4f}" for k, v in figures[name]["ndcg@10"].items())
            )
        squad, cranfield = load(data / "squad2_a", limit), load(data / "cranfield", limit)
        figures["answers"] = answers(squad, library.open("squad2_a"))
        strangers = [question["text"] for question in cranfield.questions]
        figures["refused"] = {
            "unrelated": _refused(strangers, library.open("squad2_a")),
            "adversarial": _refused(_texts(data / "squad2_a" / "unanswerable.jsonl", limit), library.open("squad2_a")),
            "squad2_a questions to cranfield": _refused(
                [q["text"] for q in squad.questions[:300]], library.open("cranfield")
            ),
        }
        print("refused: " + ", ".join(f"{k} {v:.3f}" for k, v in figures["refused"].items()))
    return figures


def _texts(path: Path, limit: int | None) -> list[str]:
    return [entry["text"] for entry in lines(path)[: min(limit or 300, 300)]]


def ranking(judged: Judged, collection: Collection, modes: Sequence[Mode]) -> dict[str, float]:
    """Mean nDCG@10 of each mode, a document counting by its best chunk."""
    found: dict[str, list[float]] = {mode: [] for mode in modes}
    for question in judged.answerable():
        for mode in modes:
            hits = collection.search(question["text"], ENOUGH_CHUNKS, mode=mode)
            documents = list(dict.fromkeys(hit.uri for hit in hits))
            found[mode].append(ndcg(documents, judged.relevant[question["id"]]))
    return {mode: statistics.mean(values) for mode, values in found.items()}


def answers(judged: Judged, collection: Collection) -> dict[str, float]:
    """How often the gold string stands in the first sentence, in the answer; how often it refuses; how long it is."""
    first, whole, refused, words, wrong = [], [], [], [], 0
    for question in judged.answerable():
        answer = collection.ask(question["text"])
        sentences = [sentence.text for sentence in answer.sentences]
        gold = [text.casefold() for text in question["answers"]]
        first.append(any(text in " ".join(sentences[:1]).casefold() for text in gold))
        whole.append(any(text in " ".join(sentences).casefold() for text in gold))
        refused.append(not answer.answered)
        words += [len(answer.answer.split())] if answer.answered else []
        for citation in answer.citations:
            wrong += collection.document(citation.uri).text[citation.start : citation.end] != citation.quote
    figures = {
        "first sentence": statistics.mean(first),
        "whole answer": statistics.mean(whole),
        "refused": statistics.mean(refused),
        "mean words": statistics.mean(words),
        "citations that are not in the text": wrong,
    }
    print("extractive answers: " + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
    return figures


def _refused(questions: list[str], collection: Collection) -> float:
    return statistics.mean(not collection.ask(question).answered for question in questions)
