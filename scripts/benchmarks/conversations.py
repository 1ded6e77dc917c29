"""Q7 and Q8: follow-up questions, and questions about long documents."""

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
"""Cleaning a text can move an answer forward by up to this many characters."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Three questions about one paragraph; in the last one `it` replaces the names."""

    earlier: tuple[str, str]
    last: str
    relevant: set[str]


def q7(scale: Scale) -> Result:
    """nDCG@10 of follow-up questions without a chat model, against the last turn alone (1 minute)"""
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        collection = ingest_judged(library, scale.data / "squad2_a")
        cases = list(build_conversations(scale))
        last_only = statistics.mean(_measure_ndcg(collection, case.last, (), case.relevant) for case in cases)
        ours = statistics.mean(_measure_ndcg(collection, case.last, case.earlier, case.relevant) for case in cases)
        joined = statistics.mean(
            _measure_ndcg(collection, " ".join([*case.earlier, case.last]), (), case.relevant) for case in cases
        )
    peers = {"last turn only": last_only, "all turns as one": joined}
    figure = Figure("nDCG@10", "", ours, peers, ours / last_only, "of last turn only", Bound(">=", 1.08))
    notes = [
        f"{len(cases)} conversations of squad2_a: three questions on one paragraph; in the last one `it` replaces each"
        " name"
    ]
    return Result("Q7", "Follow-up questions", machine.describe_machine(), [figure], notes, short=scale.short)


def build_conversations(scale: Scale) -> Iterator[Conversation]:
    """Yield the first three questions on each paragraph if the third one contains a name, up to the limit."""
    judged = load_judged(scale.data / "squad2_a")
    count = 0
    for document, group in groupby(judged.answerable_questions(), lambda entry: min(judged.relevant[entry["id"]])):
        first, second, third, *_ = [entry["text"] for entry in group] + ["", "", ""]
        last = _NAME_PATTERN.sub("it", third)
        if last != third and count < (scale.limit or len(judged.questions)):
            count += 1
            yield Conversation((first, second), last, {document})


def _measure_ndcg(collection: Collection, text: str, history: tuple[str, ...], relevant: set[str]) -> float:
    hits = collection.search(text, CHUNKS_PER_QUESTION, history=history)
    return ndcg(list(dict.fromkeys(hit.uri for hit in hits)), relevant)


def q8(scale: Scale) -> Result:
    """Long documents: share of answers inside the passages for the chat model, and their length (1 minute)"""
    folder = scale.data / "squad2_a"
    starts: dict[str, int] = {}
    texts: dict[str, str] = {}
    for entry in read_json_lines(folder / "corpus.jsonl"):
        article_text = texts.get(get_article(entry["id"]), "")
        starts[entry["id"]] = len(article_text)
        texts[get_article(entry["id"])] = f"{article_text}{clean(entry['text']).strip()}\n\n"
    judged = load_judged(folder, scale.limit)
    with tempfile.TemporaryDirectory() as name, Library(name) as library:
        collection = library.create("long")
        collection.ingest(text_source(title, text.rstrip(), title=title) for title, text in texts.items())
        assert all(collection.document(title).text == text.rstrip() for title, text in texts.items())
        is_inside, word_counts = [], []
        for question in judged.answerable_questions():
            paragraph = min(judged.relevant[question["id"]])
            article = get_article(paragraph)
            offset, answer = question["spans"][0]
            start = texts[article].index(answer, starts[paragraph] + max(0, offset - _MAX_SHIFT_CHARACTERS))
            passages = _retrieve_passages(collection, question["text"])
            is_inside.append(any(uri == article and s <= start < e for uri, s, e, _ in passages))
            word_counts.append(sum(count for *_, count in passages))
    figures = [
        Figure("the answer's place is handed over", "", statistics.mean(is_inside), bound=Bound(">=", 0.965)),
        Figure("words handed over", "", statistics.mean(word_counts), bound=Bound("<=", MAX_PASSAGE_WORDS)),
    ]
    notes = [f"{len(texts)} articles of squad2_a, each one document of {len(starts) / len(texts):.0f} paragraphs"]
    return Result("Q8", "Long documents", machine.describe_machine(), figures, notes, short=scale.short)


def _retrieve_passages(collection: Collection, text: str) -> list[tuple[str, int, int, int]]:
    """Return uri, start, end and word count of each passage that a chat model gets for a question."""
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
