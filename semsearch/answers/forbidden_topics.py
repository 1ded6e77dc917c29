"""Decide whether a question belongs to a topic that a profile does not answer, by its words and by vectors."""

from collections.abc import Iterable, Sequence

from ..core.ports import Embedder
from ..core.types.escalations import ForbiddenTopic
from ..core.types.usage import RequestContext
from ..text.analyzer import analyze, detect_language
from ..text.sentences import split_sentences

MIN_SIMILARITY = 0.6
"""Cosine of the built-in model from which a sentence belongs to a topic. Of 2,828 questions of an encyclopedia that are
about none of ten topics with three or four examples each, 4 reach it (.14 %), with .55 it would be 9, with .5 23; of 49
other wordings of questions that belong to a topic, 27 do (55 %), with .55 29, with .5 37."""

_MAX_SENTENCES = 20


async def find_forbidden_topic(
    question: str, topics: Sequence[ForbiddenTopic], embedder: Embedder, context: RequestContext
) -> ForbiddenTopic | None:
    """Return the topic that the question, or one of its sentences, belongs to.

    `embedder` is the built-in one: it costs nothing, and the threshold is its. In languages that it does not know,
    only words count.
    """
    if not topics:
        return None
    by_words = next((topic for topic in topics if contains_phrase(question, topic.examples)), None)
    if by_words is not None or not embedder.dense_weights[detect_language(question)]:
        return by_words
    sentences = [question[start:end] for start, end in split_sentences(question, break_at_newlines=True)]
    texts = [(topic, text) for topic in topics for text in (topic.description, *topic.examples)]
    vectors = await embedder.embed([text for _, text in texts], context, query=True)
    question_vectors = await embedder.embed([question, *sentences[:_MAX_SENTENCES]], context, query=True)
    similarities = (vectors @ question_vectors.T).max(axis=1)
    best = int(similarities.argmax())
    return texts[best][0] if similarities[best] >= MIN_SIMILARITY else None


def contains_phrase(text: str, phrases: Iterable[str]) -> bool:
    """Return whether the words of a phrase follow each other in a text, in any inflection.

    >>> contains_phrase("Could I be talking to a human, please?", ["talk to a human"])
    True
    >>> contains_phrase("Can a human talk to dolphins?", ["talk to a human"])
    False
    """
    terms = f" {' '.join(analyze(text))} "
    return any(phrase and f" {phrase} " in terms for phrase in (" ".join(analyze(phrase)) for phrase in phrases))
