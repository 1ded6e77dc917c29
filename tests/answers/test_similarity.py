"""The similarity of sentences to a question: by token if the embedder offers it, else by text, else by words."""

import asyncio
from collections.abc import Mapping, Sequence

import numpy as np
from support.passages import make_question, make_text_passage

from semsearch.answers.similarity import score_sentences
from semsearch.core.ports import Embedder
from semsearch.core.types.answers import Passage
from semsearch.core.types.documents import Vectors
from semsearch.core.types.search import Language
from semsearch.core.types.usage import ModelRequest, RequestContext

CASTLE = "The castle was built by the Normans in 1066. It burnt down twice. Sheep graze around it."


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


def rank_texts(question: str, passage: Passage, embedder: Embedder | None) -> list[tuple[str, float]]:
    """Return the sentences with their confidence, best first."""
    scoring = score_sentences(embedder, make_question(question), [passage], RequestContext("answer"))
    return [(candidate.sentence.text, candidate.confidence) for candidate in asyncio.run(scoring)]


def test_token_similarities_are_used_if_available() -> None:
    """No vectors are computed then; without token similarities whole texts are compared."""
    passage, embedder = make_text_passage("p", CASTLE), TokenEmbedder()
    ((best, confidence), *_) = rank_texts("Sheep where?", passage, embedder)
    assert best == "Sheep graze around it."
    ((_, other_confidence), *_) = rank_texts("Volcanoes where?", passage, embedder)
    assert other_confidence < 1.0 <= confidence
    assert not embedder.embedded_texts
    text_embedder = TokenEmbedder(has_token_similarities=False)
    assert rank_texts("Sheep where?", passage, text_embedder)[0][0] == "Sheep graze around it."
    assert text_embedder.embedded_texts


def test_language_unknown_to_the_embedder_is_scored_by_words() -> None:
    """No vectors are computed for it."""
    embedder = FlatEmbedder(0.3)
    passage = make_text_passage("p", "Замок построен давно. Овцы пасутся.")
    ranked = rank_texts("Когда построен замок?", passage, embedder)
    assert ranked[0][0] == "Замок построен давно."
    assert ranked == rank_texts("Когда построен замок?", passage, None)
    assert embedder.embedded_texts == []


def test_title_and_headings_are_embedded_with_each_sentence() -> None:
    """A heading that repeats the title is embedded once."""
    embedder = FlatEmbedder(0.3)
    passage = make_text_passage("p", "It was built in 1066.", title="Castle", heading="Castle › History")
    rank_texts("When was the castle built?", passage, embedder)
    assert embedder.embedded_texts == ["When was the castle built?", "Castle › History\nIt was built in 1066."]
