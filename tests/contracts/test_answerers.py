"""Contract of every registered answerer."""

import re
from collections.abc import Iterator
from functools import partial

import pytest
from support.fakes import NullEmbeddingCache, RecordingMeter
from support.upstream import KEY, run_upstream

from semsearch.answers.answerers import ANSWERERS, AnswererDeps
from semsearch.answers.profiles import DEFAULT_PROFILE
from semsearch.core.event_loop import EventLoopThread
from semsearch.core.ports import Answerer
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answer_requests import GenerationOptions
from semsearch.core.types.answers import (
    AnalyzedQuery,
    GenerationEnd,
    Passage,
    Quotation,
    RankedEvidence,
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
EVIDENCE = RankedEvidence((PASSAGE,), Quotation(PASSAGE, 1), confidence=1.0, may_answer=True)


class Subject:
    """An answerer and its event loop."""

    def __init__(self, answerer: Answerer, loop: EventLoopThread) -> None:
        self.answerer, self.loop = answerer, loop

    def generate(self, text: str, evidence: RankedEvidence) -> list[str | Quotation | GenerationEnd]:
        """Return everything that the answerer yields."""
        terms = tuple(extract_query_terms(text))
        question = AnalyzedQuery(text, terms, dict.fromkeys(terms, 1.0))
        return list(self.loop.iterate(self.answerer.generate(question, evidence, RequestContext("answer"))))


@pytest.fixture(params=ANSWERERS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """Yield each registered answerer, with a model server if it needs one."""
    with run_upstream() as upstream:
        endpoint = Endpoint(f"{upstream.url.removesuffix('/v1')}/v1", Secret(KEY))
        settings = Settings(chat=endpoint, chat_model="a-model")
        client, loop = OpenAIClient(endpoint.base_url, endpoint.key.read, meter=RecordingMeter()), EventLoopThread()
        local = partial(make_embedder, "local", EmbedderDeps(settings, lambda _: client, NullEmbeddingCache))
        deps = AnswererDeps(settings, local, lambda endpoint: client)
        answerer, warnings = ANSWERERS[request.param](GenerationOptions(), DEFAULT_PROFILE, local(), deps)
        assert warnings == ()
        yield Subject(answerer, loop)
        loop.wait(client.aclose())
        loop.close()


def test_answerer_cites_sentences_of_its_passages(subject: Subject) -> None:
    """Markers and quotations refer to sentences of a passage; only the last piece may be a `GenerationEnd`."""
    pieces = subject.generate("How long is parental leave?", EVIDENCE)
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    markers = re.findall(r"\[\[(\w+)\.(\d+)\]\]", text)
    markers += [(piece.passage.id, str(piece.number)) for piece in pieces if isinstance(piece, Quotation)]
    assert markers
    assert subject.answerer.is_extractive is not bool(text)
    assert all(
        passage_id == PASSAGE.id and 1 <= int(number) <= len(PASSAGE.sentences) for passage_id, number in markers
    )
    assert not any(isinstance(piece, GenerationEnd) for piece in pieces[:-1])


def test_answerer_has_a_name_and_a_reason_for_no_answer(subject: Subject) -> None:
    """The attributes of the port are set."""
    assert subject.answerer.name
    assert subject.answerer.neighbour_chunks >= 0
    assert subject.answerer.no_answer_reason in ("low_score", "unsupported")


def test_condensed_question_is_one_line_or_none(subject: Subject) -> None:
    """An answerer without a model returns None."""
    condensed = subject.loop.wait(
        subject.answerer.condense("And in May?", [Turn("How long is leave?", "Five days.")], RequestContext("condense"))
    )
    assert condensed is None or (condensed.strip() and "\n" not in condensed)
