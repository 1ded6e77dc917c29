"""What an answer without a chat model promises: sentences of the documents as they are stored, each with its place."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.answers.answerers.extractive import MAX_SENTENCES, ExtractiveAnswerer
from semsearch.answers.citations import CitationResolver, skip_support_check
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
    """Finds all texts alike, and knows English at most."""

    name = "flat"
    dim = 2
    batch_size = 256
    concurrency = 1

    def __init__(self, english: float) -> None:
        self.dense_weights: Mapping[Language, float] = {"en": english, "latin": 0.0, "other": 0.0}
        self.embedded: list[str] = []

    def plan_requests(self, texts: Sequence[str]) -> list[ModelRequest]:
        """None."""
        return []

    async def embed(self, texts: Sequence[str], context: RequestContext, *, query: bool = False) -> Vectors:
        """The same vector for each."""
        self.embedded += texts
        return np.tile(np.array([0.6, 0.8], np.float32), (len(texts), 1))


class TellingEmbedder(FlatEmbedder):
    """Finds the tokens of a question where its first word stands, and those of other questions nowhere."""

    def __init__(self, *, tells: bool = True) -> None:
        super().__init__(english=0.3)
        self.tells = tells

    async def token_similarities(self, query: str, texts: Sequence[str]) -> "Vectors | None":
        """Two tokens for each question."""
        first = query.split()[0]
        return np.array([[float(first in text)] * 2 for text in texts], np.float32) if self.tells else None


def passage(name: str, text: str, score: float = 1.0) -> Passage:
    """The passage of a whole text."""
    cut = tuple(Sentence(a, b, text[a:b], tuple(analyze(text[a:b])), 1) for a, b in split_sentences(text))
    return Passage(name, f"{name}.txt", "", "", None, 0, len(text), cut, "", score)


def asked(text: str, weight: float = 1.0) -> AnalyzedQuery:
    """A question all of whose terms are equally rare."""
    wanted = tuple(extract_query_terms(text))
    return AnalyzedQuery(text, wanted, dict.fromkeys(wanted, weight))


def quoted(
    question: AnalyzedQuery, passages: Sequence[Passage], answerer: ExtractiveAnswerer | None = None
) -> list[Quotation]:
    """What the answerer quotes."""
    writer = answerer or ExtractiveAnswerer(LocalEmbedder())

    async def collect() -> list[Quotation]:
        return [piece async for piece in writer.generate(question, passages, RequestContext("answer"))]

    return asyncio.run(collect())


def written(question: AnalyzedQuery, passages: Sequence[Passage], answerer: ExtractiveAnswerer | None = None) -> str:
    """The same as text, each sentence with its passage and its number there."""
    return "\n\n".join(
        f"{one.passage.sentences[one.number - 1].text} [[{one.passage.id}.{one.number}]]"
        for one in quoted(question, passages, answerer)
    )


def test_the_answer_is_the_best_sentence_with_its_marker() -> None:
    """The sentence that answers is copied word for word, and cites itself."""
    answer = written(asked("When was the castle built?"), [passage("p1", LEAVE), passage("p2", CASTLE)])
    assert answer == "The castle was built by the Normans in 1066. [[p2.1]]"


def test_an_embedder_that_tells_tokens_apart_decides_by_them() -> None:
    """It is not asked for vectors; where its model cannot, whole texts are compared after all."""
    given, embedder = asked("Sheep where?"), TellingEmbedder()
    assert written(given, [passage("p", CASTLE)], ExtractiveAnswerer(embedder)) == "Sheep graze around it. [[p.3]]"
    assert not written(asked("Volcanoes where?"), [passage("p", CASTLE)], ExtractiveAnswerer(embedder))
    assert not embedder.embedded
    whole = TellingEmbedder(tells=False)
    assert written(given, [passage("p", CASTLE)], ExtractiveAnswerer(whole)).startswith(
        "Sheep graze around it. [[p.3]]"
    )
    assert whole.embedded


def test_a_question_that_nothing_answers_gets_no_answer() -> None:
    """Where the evidence is weak nothing is written at all."""
    assert written(asked("How do volcanoes erupt under glaciers?"), [passage("p1", LEAVE), passage("p2", CASTLE)]) == ""
    assert written(asked("When was the castle built?"), []) == ""


def test_a_language_that_the_embedder_does_not_know_is_answered_by_words() -> None:
    """Vectors that mean nothing are not even made."""
    embedder = FlatEmbedder(0.3)
    held = [passage("p", "Замок построен давно. Овцы пасутся.")]
    assert (
        written(asked("Когда построен замок?"), held, ExtractiveAnswerer(embedder)) == "Замок построен давно. [[p.1]]"
    )
    assert embedder.embedded == []


def test_the_title_is_read_with_each_sentence() -> None:
    """A sentence that leaves its subject to the title is embedded with it; a heading that repeats it is not."""
    embedder = FlatEmbedder(0.3)
    held = replace(passage("p", "It was built in 1066."), title="Castle", heading="Castle › History")
    written(asked("When was the castle built?"), [held], ExtractiveAnswerer(embedder))
    assert embedder.embedded == ["When was the castle built?", "Castle › History\nIt was built in 1066."]


def test_sentences_as_good_as_the_best_are_given_too() -> None:
    """Several sentences that answer as well make the answer together, and no more than a few."""
    held = [
        passage(f"p{n}", f"The castle stands in {name}.") for n, name in enumerate(["Caen", "Rouen", "Lyon", "Nice"])
    ]
    answer = written(asked("castle stands"), held, ExtractiveAnswerer(FlatEmbedder(0.0)))
    assert answer.count("[[") == MAX_SENTENCES
    assert answer.startswith("The castle stands in Caen. [[p0.1]]\n\nThe castle stands in Rouen. [[p1.1]]")


def test_a_sentence_that_stands_twice_is_given_once() -> None:
    """Copies of a sentence in other passages add nothing to the answer."""
    answer = written(asked("When was the castle built?"), [passage("p1", CASTLE), passage("p2", CASTLE)])
    assert answer.count("Normans") == 1
    assert "[[p1.1]]" in answer


@pytest.mark.parametrize(
    "question", ["When was the castle built?", "How long is parental leave?", "castle sheep leave"]
)
def test_every_citation_resolves_to_its_sentence(question: str) -> None:
    """The checker finds each copied sentence exactly where the marker says."""
    passages = [passage("aaaaaa", LEAVE), passage("bbbbbb", CASTLE)]
    resolver = resolved(quoted(asked(question), passages), passages)
    assert resolver.unresolved_count == 0
    numbered = [f"{citation.quote} [{citation.marker}]" for citation in resolver.citations]
    assert numbered == [one.text for one in resolver.sentences]
    assert numbered


def resolved(quotations: Sequence[Quotation], passages: Sequence[Passage]) -> CitationResolver:
    """What has taken these quotations."""
    resolver = CitationResolver(passages, skip_support_check)
    for quotation in quotations:
        resolver.quote(quotation)
    return resolver


@given(st.lists(st.text(max_size=80).map(lambda text: f"castle built {text}"), min_size=1, max_size=5))
def test_whatever_the_documents_hold_is_copied_only(texts: list[str]) -> None:
    """Between its markers an answer holds sentences of the passages and nothing else."""
    passages = [passage(f"id{n}", text) for n, text in enumerate(texts)]
    answer = quoted(asked("castle built"), passages, ExtractiveAnswerer(FlatEmbedder(0.0)))
    assert all(one.passage in passages and 1 <= one.number <= len(one.passage.sentences) for one in answer)


def test_sentences_without_a_stop_stay_apart() -> None:
    """Rows and items become sentences of their own, and a line that ends inside a sentence still ends there."""
    row = Sentence(0, 20, "castle stands | 1066", tuple(analyze("castle stands 1066")), 1)
    wrapped = Sentence(30, 50, "castle stands\nfirm", tuple(analyze("castle stands firm")), 1)
    held = replace(passage("p", ""), sentences=(row, wrapped))
    resolver = resolved(quoted(asked("castle stands"), [held], ExtractiveAnswerer(FlatEmbedder(0.0))), [held])
    assert [one.text for one in resolver.sentences] == ["castle stands | 1066 [1]", "castle stands\nfirm [2]"]
    assert [one.quote for one in resolver.citations] == [row.text, wrapped.text]
