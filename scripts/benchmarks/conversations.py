"""Q7 and Q8: questions that follow others, and answers in long documents."""

from __future__ import annotations

import re
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

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
from .judged_data import get_article, ingest_judged, load_judged, ndcg, read_json_lines
from .ranking_quality import CHUNKS_PER_QUESTION
from .results import Bound, Figure, Result
from .scale import Scale

_NAME_PATTERN = re.compile(r"(?<=\w )(?:the )?[A-Z]\w*(?:[ -](?:of |the )?[A-Z]\w*)*(?:['’]s)?")
"""Capitalised words inside a question."""
_MAX_SHIFT_CHARACTERS = 20
"""Characters by which an answer may stand earlier where a text was cleaned."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Three questions about one paragraph, the last of which does not say any more what it is about."""

    earlier: tuple[str, str]
    last: str
    relevant: set[str]


def q7(scale: Scale) -> Result:
    """Follow-up questions without a chat model, against the last turn alone (1 minute)"""
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        collection = ingest_judged(library, scale.data / "squad2_a")
        cases = list(build_conversations(scale))
        alone = statistics.mean(_measure_ndcg(collection, one.last, (), one.relevant) for one in cases)
        ours = statistics.mean(_measure_ndcg(collection, one.last, one.earlier, one.relevant) for one in cases)
        whole = statistics.mean(
            _measure_ndcg(collection, " ".join([*one.earlier, one.last]), (), one.relevant) for one in cases
        )
    peers = {"last turn only": alone, "all turns as one": whole}
    figure = Figure("nDCG@10", "", ours, peers, ours / alone, "of last turn only", Bound(">=", 1.08))
    notes = [
        f"{len(cases)} conversations of squad2_a: three questions on one paragraph, in whose last one each name is `it`"
    ]
    return Result("Q7", "Follow-up questions", machine.describe_machine(), [figure], notes, short=scale.short)


def build_conversations(scale: Scale) -> Iterator[Conversation]:
    """Each three successive questions on one paragraph, where the last one names something."""
    judged = load_judged(scale.data / "squad2_a")
    count = 0
    for document, group in groupby(judged.answerable_questions(), lambda entry: min(judged.relevant[entry["id"]])):
        first, second, *later = [entry["text"] for entry in group] + ["", ""]
        for text in filter(None, later[:1]):
            last = _NAME_PATTERN.sub("it", text)
            if last != text and count < (scale.limit or len(judged.questions)):
                count += 1
                yield Conversation((first, second), last, {document})


def _measure_ndcg(collection: Collection, text: str, history: tuple[str, ...], relevant: set[str]) -> float:
    hits = collection.search(text, CHUNKS_PER_QUESTION, history=history)
    return ndcg(list(dict.fromkeys(hit.uri for hit in hits)), relevant)


def q8(scale: Scale) -> Result:
    """Long documents: whether the answer is inside what a chat model is handed (1 minute)"""
    folder = scale.data / "squad2_a"
    starts: dict[str, int] = {}
    texts: dict[str, str] = {}
    for entry in read_json_lines(folder / "corpus.jsonl"):
        whole = texts.get(get_article(entry["id"]), "")
        starts[entry["id"]] = len(whole)
        texts[get_article(entry["id"])] = f"{whole}{clean(entry['text']).strip()}\n\n"
    judged = load_judged(folder, scale.limit)
    with tempfile.TemporaryDirectory() as name, Library(name) as library:
        collection = library.create("long")
        collection.ingest(text_source(title, text.rstrip(), title=title) for title, text in texts.items())
        assert all(collection.document(title).text == text.rstrip() for title, text in texts.items())
        inside, words = [], []
        for question in judged.answerable_questions():
            document = min(judged.relevant[question["id"]])
            at, answer = question["spans"][0]
            start = texts[get_article(document)].index(answer, starts[document] + max(0, at - _MAX_SHIFT_CHARACTERS))
            read = _retrieve_passages(collection, question["text"])
            inside.append(any(uri == get_article(document) and s <= start < e for uri, s, e, _ in read))
            words.append(sum(count for *_, count in read))
    figures = [
        Figure("the answer's place is handed over", "", statistics.mean(inside), bound=Bound(">=", 0.965)),
        Figure("words handed over", "", statistics.mean(words), bound=Bound("<=", MAX_PASSAGE_WORDS)),
    ]
    notes = [f"{len(texts)} articles of squad2_a, each one document of {len(starts) / len(texts):.0f} paragraphs"]
    return Result("Q8", "Long documents", machine.describe_machine(), figures, notes, short=scale.short)


def _retrieve_passages(collection: Collection, text: str) -> list[tuple[str, int, int, int]]:
    """The passages that a chat model is handed for a question: uri, start, end and words."""
    context, embedder = RequestContext("query"), collection.embedder
    vector = collection.loop.wait(embedder.embed([text], context, query=True))[0]
    query = Query(text, vector, None, "hybrid", choose_dense_weight(embedder, text, "hybrid"))
    evidence = retrieve_evidence(
        collection.store, Search([query], DEFAULT_ANSWER_K, collection.result_options), ChatAnswerer.neighbour_chunks
    )
    return [
        (one.uri, one.start, one.end, sum(len(sentence.text.split()) for sentence in one.sentences))
        for one in evidence.passages
    ]
