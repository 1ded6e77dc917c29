"""Passages become ranked evidence: the excerpt to quote, the confidence, and the passages to show."""

import asyncio
from dataclasses import replace

import pytest
from support.passages import make_block_passage, make_question, make_text_passage

from semsearch.answers.evidence_ranking import MAX_CLOSEST_PASSAGES, EvidenceRanker
from semsearch.core.types.answers import Passage, RankedEvidence
from semsearch.core.types.documents import BLOCK_SEPARATOR
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders.local import LocalEmbedder

CASTLE = "The castle was built by the Normans in 1066. It burnt down twice. Sheep graze around it."
LEAVE = "Parental leave is 16 weeks. It must be announced early."
LOCAL = LocalEmbedder()


def rank(question: str, *passages: Passage, ranker: EvidenceRanker | None = None) -> RankedEvidence:
    """Return the evidence, ranked with the built-in embedder."""
    ranker = ranker or EvidenceRanker(LOCAL, LOCAL)
    return asyncio.run(ranker.rank(make_question(question), passages, RequestContext("answer")))


@pytest.mark.parametrize("ranker", [EvidenceRanker(LOCAL, LOCAL), EvidenceRanker(LOCAL), EvidenceRanker()])
def test_best_excerpt_is_quoted_and_its_passage_is_the_first(ranker: EvidenceRanker) -> None:
    """With vectors of sentences and words, and by terms alone."""
    leave, castle = make_text_passage("leave", LEAVE), make_text_passage("castle", CASTLE, score=0.9)
    ranked = rank("When was the castle built?", leave, castle, ranker=ranker)
    assert ranked.quotation is not None
    (span,) = ranked.quotation.sources
    assert (span.passage, span.text) == (castle, CASTLE[span.start : span.end])
    assert [passage.uri for passage in ranked.closest] == ["castle.txt", "leave.txt"]
    best = ranked.closest[0].best
    assert CASTLE[best.start : best.end] == ranked.quotation.sentence.text == CASTLE[: CASTLE.index(" It burnt")]
    assert ranked.passages == (leave, castle)


def test_weak_evidence_has_a_low_confidence() -> None:
    """The closest passages are shown all the same, and a chat model is not worth calling."""
    passages = make_text_passage("leave", LEAVE), make_text_passage("castle", CASTLE)
    weak, strong = (
        rank("How do volcanoes erupt under glaciers?", *passages),
        rank("How long is parental leave?", *passages),
    )
    assert weak.confidence < 0.3 < strong.confidence
    assert (weak.may_answer, strong.may_answer) == (False, True)
    assert len(weak.closest) == 2


def test_chat_model_may_answer_in_another_language() -> None:
    """The embedded model cannot judge the evidence in a language that it does not know."""
    assert rank("Wie lange dauert der Urlaub für die Mitarbeiter?", make_text_passage("p", CASTLE)).may_answer


def test_without_passages_there_is_nothing() -> None:
    """Neither a quotation nor a passage, and the confidence is 0."""
    ranked = rank("When was the castle built?")
    assert (ranked.quotation, ranked.confidence, ranked.closest, ranked.may_answer) == (None, 0.0, (), False)


def test_passage_without_sentences_is_shown_whole() -> None:
    """Its best part is all of it."""
    whole = make_text_passage("p", LEAVE)
    (shown,) = rank("When was the castle built?", replace(whole, sentences=())).closest
    assert (shown.text, shown.best.start, shown.best.end) == (LEAVE, 0, len(LEAVE))


def test_closest_passages_are_few_and_whole() -> None:
    """Their text is that of the document, also where the blocks begin before the passage."""
    blocks = [("paragraph", "Sheep graze around it."), ("paragraph", CASTLE), ("paragraph", LEAVE)]
    whole = make_block_passage(*blocks, name="long")  # type: ignore[arg-type]
    start = len(blocks[0][1]) + len(BLOCK_SEPARATOR)
    sentences = tuple(s for s in whole.sentences if start <= s.start < start + len(CASTLE))
    inner = Passage("in", "long.txt", "T", "H", 3, start, start + len(CASTLE), sentences, "", 1.0, blocks=whole.blocks)
    others = [make_text_passage(f"p{n}", LEAVE, score=0.5) for n in range(MAX_CLOSEST_PASSAGES + 2)]
    closest = rank("When was the castle built?", inner, *others).closest
    assert len(closest) == MAX_CLOSEST_PASSAGES
    assert (closest[0].text, closest[0].start, closest[0].title, closest[0].heading, closest[0].page) == (
        CASTLE,
        start,
        "T",
        "H",
        3,
    )
    assert len({passage.uri for passage in closest}) == MAX_CLOSEST_PASSAGES
