"""Q8: whether the passages for a chat model contain the answer when documents are long."""

from __future__ import annotations

import statistics
import tempfile

from semsearch import Library, text_source
from semsearch.answers.answerers.chat import ChatAnswerer
from semsearch.answers.passages import MAX_PASSAGE_WORDS
from semsearch.answers.pipeline import retrieve_evidence
from semsearch.answers.profiles import DEFAULT_ANSWER_K
from semsearch.collection import Collection
from semsearch.core.types.usage import RequestContext
from semsearch.search.retrieval import Query, Search, choose_dense_weight
from semsearch.text.cleaning import clean

from . import machine
from .judged_collections import get_article, load_judged, read_json_lines
from .results import Bound, Figure, Result
from .scale import Scale

_MAX_SHIFT_CHARACTERS = 20
"""The cleaning of a text can move an answer this many characters towards its start."""


def q8(scale: Scale) -> Result:
    """Share of questions whose answer is in the passages for a chat model, in long documents (1 minute)"""
    folder = scale.data / "squad2_a"
    starts: dict[str, int] = {}
    texts: dict[str, str] = {}
    for entry in read_json_lines(folder / "corpus.jsonl"):
        article = get_article(entry["id"])
        text = texts.get(article, "")
        starts[entry["id"]] = len(text)
        texts[article] = f"{text}{clean(entry['text']).strip()}\n\n"
    judged = load_judged(folder, scale.limit)
    with tempfile.TemporaryDirectory() as name, Library(name) as library:
        collection = library.create("long")
        collection.ingest(text_source(title, text.rstrip(), title=title) for title, text in texts.items())
        assert all(collection.document(title).text == text.rstrip() for title, text in texts.items())
        contains_answer, word_counts = [], []
        for question in judged.answerable_questions():
            document = min(judged.relevant[question["id"]])
            offset, answer = question["spans"][0]
            min_start = starts[document] + max(0, offset - _MAX_SHIFT_CHARACTERS)
            start = texts[get_article(document)].index(answer, min_start)
            passages = _retrieve_passages(collection, question["text"])
            contains_answer.append(
                any(uri == get_article(document) and first <= start < last for uri, first, last, _ in passages)
            )
            word_counts.append(sum(count for *_, count in passages))
    figures = [
        Figure("answer is in the passages", "", statistics.mean(contains_answer), bound=Bound(">=", 0.965)),
        Figure("words in the passages", "", statistics.mean(word_counts), bound=Bound("<=", MAX_PASSAGE_WORDS)),
    ]
    notes = [f"{len(texts)} articles of squad2_a, each one document of {len(starts) / len(texts):.0f} paragraphs"]
    return Result("Q8", "Long documents", machine.describe_machine(), figures, notes, short=scale.short)


def _retrieve_passages(collection: Collection, text: str) -> list[tuple[str, int, int, int]]:
    """Return uri, start, end and number of words of the passages in the prompt for a question."""
    context, embedder = RequestContext("query"), collection.backends.embedder
    vector = collection.backends.loop.wait(embedder.embed([text], context, query=True))[0]
    query = Query(text, vector, None, "hybrid", choose_dense_weight(embedder, text, "hybrid"))
    evidence = retrieve_evidence(
        collection.backends.store,
        Search([query], DEFAULT_ANSWER_K, collection.backends.result_options),
        ChatAnswerer.neighbour_chunks,
    )
    return [
        (passage.uri, passage.start, passage.end, sum(len(sentence.text.split()) for sentence in passage.sentences))
        for passage in evidence.passages
    ]
