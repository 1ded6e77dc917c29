"""What every answerer promises; the registry is the list of parameters."""

import re
from collections.abc import Iterator
from functools import partial

import pytest
import support.upstream as double
from support.fakes import CountingMeter, NothingPaid

from semsearch.answers.answerers import ANSWERERS, Parts
from semsearch.answers.profiles import PLAIN
from semsearch.core.event_loop import Loop
from semsearch.core.ports import Answerer
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answers import Finish, Passage, Question, Quotation, Sentence, Turn, Wishes
from semsearch.core.types.usage import Errand
from semsearch.models.embedders import Means, embedder
from semsearch.models.openai.client import OpenAIClient
from semsearch.text.analyzer import question_terms, terms
from semsearch.text.sentences import sentences

TEXT = "Parental leave is 26 weeks at full pay. It is asked for eight weeks before. The lamp is lit at dusk."
PASSAGE = Passage(
    id="abc234",
    uri="leave.md",
    title="Leave",
    heading="",
    page=None,
    start=0,
    end=len(TEXT),
    sentences=tuple(Sentence(s, e, TEXT[s:e], tuple(terms(TEXT[s:e])), 1) for s, e in sentences(TEXT)),
    content_sha256="0",
    score=1.0,
)


class Subject:
    """An answerer, and the loop on which it works."""

    def __init__(self, made: Answerer, loop: Loop) -> None:
        self.answerer, self.loop = made, loop

    def write(self, text: str, passages: list[Passage]) -> list[str | Quotation | Finish]:
        """All that it yields."""
        words = tuple(question_terms(text))
        question = Question(text, words, dict.fromkeys(words, 1.0))
        return list(self.loop.each(self.answerer.write(question, passages, Errand("answer"))))


@pytest.fixture(params=ANSWERERS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """Each registered answerer, with a server if it needs one."""
    with double.serving() as upstream:
        endpoint = Endpoint(f"{upstream.url.removesuffix('/v1')}/v1", Secret(double.KEY))
        settings = Settings(chat=endpoint, chat_model="a-model")
        client, loop = OpenAIClient(endpoint.base_url, endpoint.key.read, meter=CountingMeter()), Loop()
        local = partial(embedder, "local", Means(settings, lambda _: client, NothingPaid))
        answerer, warnings = ANSWERERS[request.param](Parts(settings, local, lambda: client))(Wishes(), PLAIN, local())
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
    assert subject.answerer.copies is not bool(text)
    assert all(name == PASSAGE.id and 1 <= int(number) <= len(PASSAGE.sentences) for name, number in markers)
    assert not any(isinstance(piece, Finish) for piece in pieces[:-1])


def test_what_it_says_of_itself(subject: Subject) -> None:
    """It has a name, and says why there is no answer when it is silent."""
    assert subject.answerer.name
    assert subject.answerer.reach >= 0
    assert subject.answerer.silence in ("low_score", "unsupported")


def test_a_follow_up_stands_alone_or_is_left_to_the_search(subject: Subject) -> None:
    """A worded question is one line of text; None where nobody can word it."""
    worded = subject.loop.wait(
        subject.answerer.condense("And in May?", [Turn("How long is leave?", "Five days.")], Errand("condense"))
    )
    assert worded is None or (worded.strip() and "\n" not in worded)
