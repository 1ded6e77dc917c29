"""Q7: nDCG@10 of follow-up questions that refer to names of earlier questions."""

from __future__ import annotations

import re
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from semsearch import Library
from semsearch.collection import Collection

from . import machine
from .judged_collections import ingest_judged, load_judged, ndcg
from .ranking_quality import CHUNKS_PER_QUESTION
from .results import Bound, Figure, Result
from .scale import Scale

_NAME_PATTERN = re.compile(r"(?<=\w )(?:the )?[A-Z]\w*(?:[ -](?:of |the )?[A-Z]\w*)*(?:['’]s)?")
"""Capitalised words after the first word of a question."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Three questions about one paragraph; in the last one each name is replaced by "it"."""

    earlier: tuple[str, str]
    last: str
    relevant: set[str]


def q7(scale: Scale) -> Result:
    """nDCG@10 of follow-up questions without a chat model, beside the last turn alone (1 minute)"""
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        collection = ingest_judged(library, scale.data / "squad2_a")
        cases = list(build_conversations(scale))
        last_turn = statistics.mean(_measure_ndcg(collection, case.last, (), case.relevant) for case in cases)
        ours = statistics.mean(_measure_ndcg(collection, case.last, case.earlier, case.relevant) for case in cases)
        all_turns = statistics.mean(
            _measure_ndcg(collection, " ".join([*case.earlier, case.last]), (), case.relevant) for case in cases
        )
    peers = {"last turn only": last_turn, "all turns joined": all_turns}
    figure = Figure("nDCG@10", "", ours, peers, ours / last_turn, "of last turn only", Bound(">=", 1.08))
    notes = [
        f"{len(cases)} conversations of squad2_a: three questions on a paragraph; in the last, `it` replaces each name"
    ]
    return Result("Q7", "Follow-up questions", machine.describe_machine(), [figure], notes, short=scale.short)


def build_conversations(scale: Scale) -> Iterator[Conversation]:
    """Yield conversations of three successive questions on one paragraph whose last question contains a name."""
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
