"""What every answerer promises; the registry is the list of parameters."""

import re
from collections.abc import Iterator
from functools import partial

import pytest
import support.upstream as double
from support.fakes import NullEmbeddingCache, RecordingMeter

from semsearch.answers.answerers import ANSWERERS, AnswererDeps
from semsearch.answers.profiles import DEFAULT_PROFILE
from semsearch.core.event_loop import EventLoopThread
from semsearch.core.ports import Answerer
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answers import (
    AnalyzedQuery,
    GenerationEnd,
    GenerationOptions,
    Passage,
    Quotation,
    Sentence,
    Turn,
)
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders import EmbedderDeps, make_embedder
from semsearch.models.openai.client import OpenAIClient
from semsearch.text.analyzer import analyze, extract_query_terms
from semsearch.text.sentences import split_sentences

TEXT = "Parental leave is 26 weeks at full pay. It is asked for eight weeks before. The lamp is lit at dusk."
PASSAGE = Passage(
    id="abc234",
    uri="leave.md",
    title="Leave",
    heading="",
    page=None,
    start=0,
    end=len(TEXT),
    sentences=tuple(Sentence(s, e, TEXT[s:e], tuple(analyze(TEXT[s:e])), 1) for s, e in split_sentences(TEXT)),
    content_sha256="0",
    score=1.0,
)


class Subject:
    """An answerer, and the loop on which it works."""

    def __init__(self, made: Answerer, loop: EventLoopThread) -> None:
        self.answerer, self.loop = made, loop

    def write(self, text: str, passages: list[Passage]) -> list[str | Quotation | GenerationEnd]:
        """All that it yields."""
        words = tuple(extract_query_terms(text))
        question = AnalyzedQuery(text, words, dict.fromkeys(words, 1.0))
        return list(self.loop.iterate(self.answerer.generate(question, passages, RequestContext("answer"))))


@pytest.fixture(params=ANSWERERS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """Each registered answerer, with a server if it needs one."""
    with double.run_upstream() as upstream:
        endpoint = Endpoint(f"{upstream.url.removesuffix('/v1')}/v1", Secret(double.KEY))
        settings = Settings(chat=endpoint, chat_model="a-model")
        client, loop = OpenAIClient(endpoint.base_url, endpoint.key.read, meter=RecordingMeter()), EventLoopThread()
        local = partial(make_embedder, "local", EmbedderDeps(settings, lambda _: client, NullEmbeddingCache))
        deps = AnswererDeps(settings, local, lambda endpoint: client)
        answerer, warnings = ANSWERERS[request.param](GenerationOptions(), DEFAULT_PROFILE, local(), deps)
        assert warnings == ()
        yield Subject(answerer, loop)
        loop.wait(client.aclose())
        loop.close()


def test_it_cites_sentences_of_the_passages_it_was_given(subject: Subject) -> None:
    """Its markers and quotations lead to sentences of a passage; a Finish comes last if at all."""
    pieces = subject.write("How long is parental leave?", [PASSAGE])
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    markers = re.findall(r"\[\[(\w+)\.(\d+)\]\]", text)
    markers += [(piece.passage.id, str(piece.number)) for piece in pieces if isinstance(piece, Quotation)]
    assert markers
    assert subject.answerer.is_extractive is not bool(text)
    assert all(name == PASSAGE.id and 1 <= int(number) <= len(PASSAGE.sentences) for name, number in markers)
    assert not any(isinstance(piece, GenerationEnd) for piece in pieces[:-1])


def test_what_it_says_of_itself(subject: Subject) -> None:
    """It has a name, and says why there is no answer when it is silent."""
    assert subject.answerer.name
    assert subject.answerer.neighbour_chunks >= 0
    assert subject.answerer.no_answer_reason in ("low_score", "unsupported")


def test_a_follow_up_stands_alone_or_is_left_to_the_search(subject: Subject) -> None:
    """A worded question is one line of text; None where nobody can word it."""
    worded = subject.loop.wait(
        subject.answerer.condense("And in May?", [Turn("How long is leave?", "Five days.")], RequestContext("condense"))
    )
    assert worded is None or (worded.strip() and "\n" not in worded)
