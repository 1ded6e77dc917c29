"""Answers without a chat model quote one excerpt of the documents as it is stored."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.passages import make_question, make_text_passage

from semsearch.answers.answerers.extractive import ExtractiveAnswerer
from semsearch.answers.citations import CitationResolver
from semsearch.answers.evidence_ranking import EvidenceRanker
from semsearch.answers.support import skip_support_check
from semsearch.core.types.answers import GenerationEnd, Passage, Quotation, RankedEvidence
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders.local import LocalEmbedder

CASTLE = "The castle was built by the Normans in 1066. It burnt down twice. Sheep graze around it."
LEAVE = "Parental leave is 16 weeks. It must be announced early."
LOCAL = LocalEmbedder()


def collect_pieces(evidence: RankedEvidence, threshold: float = 0.5) -> list[Quotation | GenerationEnd]:
    """Return what the answerer yields."""

    async def collect() -> list[Quotation | GenerationEnd]:
        pieces = ExtractiveAnswerer(threshold).generate(make_question("?"), evidence, RequestContext("answer"))
        return [piece async for piece in pieces]

    return asyncio.run(collect())


def rank(question: str, *passages: Passage) -> RankedEvidence:
    """Return the evidence as the built-in embedder ranks it."""
    ranker = EvidenceRanker(LOCAL, LOCAL)
    return asyncio.run(ranker.rank(make_question(question), passages, RequestContext("answer")))


def quote_all(evidence: RankedEvidence) -> CitationResolver:
    """Return a resolver with what the answerer quotes at the lowest threshold."""
    resolver = CitationResolver(evidence.passages, skip_support_check)
    for piece in collect_pieces(evidence, threshold=0.0):
        assert isinstance(piece, Quotation)
        resolver.quote(piece)
    return resolver


@pytest.mark.parametrize(("confidence", "is_quoted"), [(0.5, True), (0.7, True), (0.4999, False), (0.0, False)])
def test_excerpt_is_quoted_from_the_threshold_on(confidence: float, is_quoted: bool) -> None:
    """Below it, and without an excerpt, nothing is yielded."""
    passage = make_text_passage("p", CASTLE)
    quotation = Quotation(passage, 1)
    pieces = collect_pieces(RankedEvidence((passage,), quotation, confidence))
    assert pieces == ([quotation] if is_quoted else [])
    assert collect_pieces(RankedEvidence((passage,), None, 1.0)) == []


def test_answer_is_one_contiguous_excerpt_with_its_best_sentence() -> None:
    """It is copied unchanged, with one citation, and its best sentence is known."""
    evidence = rank("When was the castle built?", make_text_passage("p1", LEAVE), make_text_passage("p2", CASTLE))
    (quotation,) = collect_pieces(evidence, threshold=0.0)
    assert isinstance(quotation, Quotation)
    assert quotation.sentence.text == "The castle was built by the Normans in 1066."
    resolver = quote_all(evidence)
    assert [sentence.support for sentence in resolver.sentences] == ["verbatim"]
    (citation,) = resolver.citations
    assert (citation.uri, citation.quote) == ("p2.txt", CASTLE[citation.start : citation.end])
    assert quotation.sentence.text in citation.quote


@pytest.mark.parametrize(
    "question", ["When was the castle built?", "How long is parental leave?", "castle sheep leave"]
)
def test_every_citation_resolves_to_its_excerpt(question: str) -> None:
    """The text of the answer is the quote of its citation with its number."""
    resolver = quote_all(rank(question, make_text_passage("aaaaaa", LEAVE), make_text_passage("bbbbbb", CASTLE)))
    numbered = [f"{citation.quote} [{citation.marker}]" for citation in resolver.citations]
    assert numbered == [sentence.text for sentence in resolver.sentences]
    assert numbered


@given(st.lists(st.text(max_size=80).map(lambda text: f"castle built {text}"), min_size=1, max_size=5))
def test_answer_contains_only_text_of_the_passages(texts: list[str]) -> None:
    """This holds for documents with any text."""
    passages = [make_text_passage(f"id{n}", text) for n, text in enumerate(texts)]
    evidence = asyncio.run(EvidenceRanker().rank(make_question("castle built"), passages, RequestContext("answer")))
    text_by_uri = {f"id{n}.txt": text for n, text in enumerate(texts)}
    for citation in quote_all(evidence).citations:
        assert citation.quote == text_by_uri[citation.uri][citation.start : citation.end]
