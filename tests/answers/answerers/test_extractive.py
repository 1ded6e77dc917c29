"""Answers without a chat model quote sentences of the documents as they are stored."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.answers.answerers.extractive import MAX_SENTENCES, ExtractiveAnswerer
from semsearch.answers.citations import CitationResolver
from semsearch.answers.support import skip_support_check
from semsearch.core.types.answers import AnalyzedQuery, Passage, Quotation, Sentence
from semsearch.core.types.documents import Vectors
from semsearch.core.types.search import Language
from semsearch.core.types.usage import ModelRequest, RequestContext
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.text.analyzer import analyze, extract_query_terms
from semsearch.text.sentences import split_sentences

CASTLE = "The castle was built by the Normans in 1066. It burnt down twice. Sheep graze around it."
LEAVE = "Parental leave is 16 weeks. It must be announced early."


class FlatEmbedder:
    """Returns the same vector for all texts and knows only English."""

    name = "flat"
    dim = 2
    batch_size = 256
    concurrency = 1

    def __init__(self, english: float) -> None:
        self.dense_weights: Mapping[Language, float] = {"en": english, "latin": 0.0, "other": 0.0}
        self.embedded_texts: list[str] = []

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """Return no requests."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """Return the same vector for each text."""
        self.embedded_texts += texts
        return np.tile(np.array([0.6, 0.8], np.float32), (len(texts), 1))


class TokenEmbedder(FlatEmbedder):
    """Matches the tokens of a question with every text that contains its first word."""

    def __init__(self, *, has_token_similarities: bool = True) -> None:
        super().__init__(english=0.3)
        self.has_token_similarities = has_token_similarities

    async def token_similarities(self, query: str, texts: Sequence[str]) -> "Vectors | None":
        """Return the similarities of two tokens for each text."""
        first_word = query.split()[0]
        return (
            np.array([[float(first_word in text)] * 2 for text in texts], np.float32)
            if self.has_token_similarities
            else None
        )


def make_passage(name: str, text: str, score: float = 1.0) -> Passage:
    """Return a passage of a whole text."""
    sentences = tuple(Sentence(a, b, text[a:b], tuple(analyze(text[a:b])), 1) for a, b in split_sentences(text))
    return Passage(name, f"{name}.txt", "", "", None, 0, len(text), sentences, "", score)


def make_question(text: str, idf: float = 1.0) -> AnalyzedQuery:
    """Return a question whose terms all have the same idf."""
    terms = tuple(extract_query_terms(text))
    return AnalyzedQuery(text, terms, dict.fromkeys(terms, idf))


def collect_quotations(
    question: AnalyzedQuery, passages: Sequence[Passage], answerer: ExtractiveAnswerer | None = None
) -> list[Quotation]:
    """Return what the answerer quotes."""
    answerer = answerer or ExtractiveAnswerer(LocalEmbedder())

    async def collect() -> list[Quotation]:
        return [piece async for piece in answerer.generate(question, passages, RequestContext("answer"))]

    return asyncio.run(collect())


def answer_text(
    question: AnalyzedQuery, passages: Sequence[Passage], answerer: ExtractiveAnswerer | None = None
) -> str:
    """Return the quoted sentences, each with its passage and its number in a marker."""
    return "\n\n".join(
        f"{quotation.passage.sentences[quotation.number - 1].text} [[{quotation.passage.id}.{quotation.number}]]"
        for quotation in collect_quotations(question, passages, answerer)
    )


def test_answer_is_the_best_sentence_with_its_marker() -> None:
    """The sentence is copied unchanged and cites itself."""
    answer = answer_text(
        make_question("When was the castle built?"), [make_passage("p1", LEAVE), make_passage("p2", CASTLE)]
    )
    assert answer == "The castle was built by the Normans in 1066. [[p2.1]]"


def test_token_similarities_are_used_if_available() -> None:
    """No vectors are computed then; without token similarities whole texts are compared."""
    question, embedder = make_question("Sheep where?"), TokenEmbedder()
    assert (
        answer_text(question, [make_passage("p", CASTLE)], ExtractiveAnswerer(embedder))
        == "Sheep graze around it. [[p.3]]"
    )
    assert not answer_text(make_question("Volcanoes where?"), [make_passage("p", CASTLE)], ExtractiveAnswerer(embedder))
    assert not embedder.embedded_texts
    text_embedder = TokenEmbedder(has_token_similarities=False)
    assert answer_text(question, [make_passage("p", CASTLE)], ExtractiveAnswerer(text_embedder)).startswith(
        "Sheep graze around it. [[p.3]]"
    )
    assert text_embedder.embedded_texts


def test_weak_evidence_gives_no_answer() -> None:
    """Nothing is quoted if the evidence is weak or if there are no passages."""
    assert (
        answer_text(
            make_question("How do volcanoes erupt under glaciers?"),
            [make_passage("p1", LEAVE), make_passage("p2", CASTLE)],
        )
        == ""
    )
    assert answer_text(make_question("When was the castle built?"), []) == ""


def test_language_unknown_to_the_embedder_is_scored_by_words() -> None:
    """No vectors are computed for it."""
    embedder = FlatEmbedder(0.3)
    passages = [make_passage("p", "Замок построен давно. Овцы пасутся.")]
    assert (
        answer_text(make_question("Когда построен замок?"), passages, ExtractiveAnswerer(embedder))
        == "Замок построен давно. [[p.1]]"
    )
    assert embedder.embedded_texts == []


def test_title_and_headings_are_embedded_with_each_sentence() -> None:
    """A heading that repeats the title is embedded once."""
    embedder = FlatEmbedder(0.3)
    passage = replace(make_passage("p", "It was built in 1066."), title="Castle", heading="Castle › History")
    answer_text(make_question("When was the castle built?"), [passage], ExtractiveAnswerer(embedder))
    assert embedder.embedded_texts == ["When was the castle built?", "Castle › History\nIt was built in 1066."]


def test_equally_good_sentences_are_quoted_too() -> None:
    """An answer has at most `MAX_SENTENCES` sentences."""
    passages = [
        make_passage(f"p{n}", f"The castle stands in {name}.")
        for n, name in enumerate(["Caen", "Rouen", "Lyon", "Nice"])
    ]
    answer = answer_text(make_question("castle stands"), passages, ExtractiveAnswerer(FlatEmbedder(0.0)))
    assert answer.count("[[") == MAX_SENTENCES
    assert answer.startswith("The castle stands in Caen. [[p0.1]]\n\nThe castle stands in Rouen. [[p1.1]]")


def test_repeated_sentence_is_quoted_once() -> None:
    """Copies of a sentence in other passages are not quoted."""
    answer = answer_text(
        make_question("When was the castle built?"), [make_passage("p1", CASTLE), make_passage("p2", CASTLE)]
    )
    assert answer.count("Normans") == 1
    assert "[[p1.1]]" in answer


@pytest.mark.parametrize(
    "question", ["When was the castle built?", "How long is parental leave?", "castle sheep leave"]
)
def test_every_citation_resolves_to_its_sentence(question: str) -> None:
    """Each sentence of the answer is the quote of its citation with its number."""
    passages = [make_passage("aaaaaa", LEAVE), make_passage("bbbbbb", CASTLE)]
    resolver = resolve_quotations(collect_quotations(make_question(question), passages), passages)
    numbered = [f"{citation.quote} [{citation.marker}]" for citation in resolver.citations]
    assert numbered == [sentence.text for sentence in resolver.sentences]
    assert numbered


def resolve_quotations(quotations: Sequence[Quotation], passages: Sequence[Passage]) -> CitationResolver:
    """Return a resolver with these quotations."""
    resolver = CitationResolver(passages, skip_support_check)
    for quotation in quotations:
        resolver.quote(quotation)
    return resolver


@given(st.lists(st.text(max_size=80).map(lambda text: f"castle built {text}"), min_size=1, max_size=5))
def test_answer_contains_only_sentences_of_the_passages(texts: list[str]) -> None:
    """This holds for documents with any text."""
    passages = [make_passage(f"id{n}", text) for n, text in enumerate(texts)]
    quotations = collect_quotations(make_question("castle built"), passages, ExtractiveAnswerer(FlatEmbedder(0.0)))
    assert all(
        quotation.passage in passages and 1 <= quotation.number <= len(quotation.passage.sentences)
        for quotation in quotations
    )


def test_sentences_without_a_full_stop_stay_separate() -> None:
    """A table row is a separate sentence, and a line break inside a sentence is kept."""
    row = Sentence(0, 20, "castle stands | 1066", tuple(analyze("castle stands 1066")), 1)
    wrapped = Sentence(30, 50, "castle stands\nfirm", tuple(analyze("castle stands firm")), 1)
    passage = replace(make_passage("p", ""), sentences=(row, wrapped))
    answerer = ExtractiveAnswerer(FlatEmbedder(0.0))
    resolver = resolve_quotations(collect_quotations(make_question("castle stands"), [passage], answerer), [passage])
    assert [sentence.text for sentence in resolver.sentences] == ["castle stands | 1066 [1]", "castle stands\nfirm [2]"]
    assert [citation.quote for citation in resolver.citations] == [row.text, wrapped.text]
