"""Types of questions, passages, answers, citations and profiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..short_repr import count, format_repr, format_span, shorten
from .documents import HEADING_SEPARATOR
from .search import Hit
from .stored_documents import TextBlock
from .usage import Usage

AnswerKind = Literal["generated", "excerpt", "passages"]
"""Text of a chat model, a copied span of a document, or only the closest passages because nothing clearly answers."""
SupportVerdict = Literal["verbatim", "supported", "partial", "unsupported", "contradicted", "not_checked"]
NoAnswerReason = Literal[
    "no_match", "low_score", "unsupported", "empty_collection", "not_cited", "forbidden_topic", "person_requested"
]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a passage: a span of its document's canonical text."""

    start: int
    end: int
    text: str
    terms: tuple[str, ...]
    chunk_id: int


@dataclass(frozen=True, slots=True)
class Passage:
    """Consecutive chunks of one document in a prompt, under a random id that is valid for one request."""

    id: str
    uri: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    sentences: tuple[Sentence, ...]
    content_sha256: str
    score: float
    """Score of its best chunk."""
    role: str = ""
    """`SourceRole` of its chunks, or empty."""
    blocks: tuple[TextBlock, ...] = ()
    """The blocks of its document from a little before it to a little after it."""

    @property
    def heading_path(self) -> str:
        """Return the title and the headings, each once; without them "It was built in 1066." is about nothing."""
        return HEADING_SEPARATOR.join(dict.fromkeys(filter(None, [self.title, *self.heading.split(HEADING_SEPARATOR)])))


@dataclass(frozen=True, slots=True)
class QuotedSpan:
    """A span of a document to quote: `document.text[start:end] == text`."""

    passage: Passage
    """The passage of its document, which names the source."""
    start: int
    end: int
    text: str
    chunk_id: int


@dataclass(frozen=True, slots=True)
class Quotation:
    """A verbatim quotation: one sentence of a passage, or the span around it that it needs to be understood."""

    passage: Passage
    number: int
    """Number of the sentence in its passage, from 1; of a longer span, its best sentence."""
    spans: tuple[QuotedSpan, ...] = ()
    """The span to quote, then the same text in other documents; empty for the sentence alone."""
    context: str = ""
    """Header of the table that the span is a row of."""

    @property
    def sentence(self) -> Sentence:
        """Return the best sentence."""
        return self.passage.sentences[self.number - 1]

    @property
    def sources(self) -> tuple[QuotedSpan, ...]:
        """Return the spans to cite, the quoted one first."""
        sentence = self.sentence
        own = QuotedSpan(self.passage, sentence.start, sentence.end, sentence.text, sentence.chunk_id)
        return self.spans or (own,)


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A span of the canonical text of a document."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ClosestPassage:
    """A passage that is shown to the reader, with the part of it that fits the question best.

    >>> handbook.ask("How long is parental leave?").passages[0]
    ClosestPassage('docs/leave.md' 7–46, 'Parental leave is 26 weeks at full pay.')
    """

    uri: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    text: str
    best: TextSpan
    url: str | None = None
    """As in `Hit`."""

    def __repr__(self) -> str:
        """Return a short description."""
        return format_repr(self, format_span(self.uri, self.start, self.end), shorten(self.text))


@dataclass(frozen=True, slots=True)
class RankedEvidence:
    """The passages for an answer, with what the ranking of their sentences says about the question."""

    passages: tuple[Passage, ...]
    quotation: Quotation | None = None
    """The best excerpt; None if nothing can be quoted."""
    confidence: float = 0.0
    """Estimated probability that the excerpt answers the question."""
    may_answer: bool = False
    """Whether a chat model might find the answer in the passages."""
    closest: tuple[ClosestPassage, ...] = ()
    """The passages to show to the reader, best first."""
    disagreements: tuple[str, ...] = ()
    """A warning for each document that gives another value for what is asked."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a conversation and its answer without markers; empty if there was none."""

    question: str
    answer: str
    answer_id: str | None = None
    """Of the recorded answer; None if it is not recorded any more, or the turn is of an earlier version."""


@dataclass(frozen=True, slots=True)
class AnalyzedQuery:
    """A question with its analysed terms and their inverse document frequencies in the collection."""

    text: str
    terms: tuple[str, ...]
    idf: Mapping[str, float]
    identifier_terms: tuple[tuple[str, ...], ...] = ()
    """Terms of each identifier of letters and digits in the question."""
    history: tuple[Turn, ...] = ()
    """Previous turns that still matter, oldest first."""
    query_with_history: "AnalyzedQuery | None" = None
    """The query joined with previous questions, for a follow-up that no model has rewritten."""
    full_text: str = ""
    """The question with what it says about the form of its answer, for a chat model; empty if `text` is all."""


@dataclass(frozen=True, slots=True)
class GenerationEnd:
    """Metadata that an answerer may yield as its last item."""

    warnings: tuple[str, ...] = ()
    complete: bool = True
    """False if the text was cut off before its end."""
    reason: NoAnswerReason | None = None
    """Why there is no text, if not for the answerer's usual reason."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A verified quote: the document's `text[start:end] == quote`.

    >>> citation = handbook.ask("How long is parental leave?").citations[0]
    >>> handbook.document(citation.uri).text[citation.start : citation.end] == citation.quote
    True
    """

    marker: int
    chunk_id: int
    uri: str
    title: str
    heading: str
    page: int | None
    start: int
    end: int
    quote: str
    content_sha256: str
    url: str | None = None
    """As in `Hit`."""

    def __repr__(self) -> str:
        """Return a short description."""
        return format_repr(self, f"[{self.marker}] {format_span(self.uri, self.start, self.end)}", shorten(self.quote))


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """One sentence of an answer, with the markers of its citations."""

    text: str
    support: SupportVerdict
    citations: tuple[int, ...]
    context: str = ""
    """Header of the table that a copied row belongs to."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Which reviewed answer was returned, and the day on which it was approved.

    >>> answer = handbook.ask("How long is parental leave?")
    >>> _ = library.approve(answer.id)
    >>> handbook.ask("How long is parental leave?").approved.id == answer.id
    True
    """

    id: str
    date: str
    """ISO 8601, in UTC."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its verified citations, or the reason why there is none.

    >>> handbook.ask("How long is parental leave?")
    Answer('Parental leave is 26 weeks at full pay. [1]', excerpt, 1 citation)
    >>> handbook.ask("Who painted the Mona Lisa?").reason
    'low_score'
    """

    id: str
    text: str = field(metadata={"alias": "answer"})
    """With citation numbers such as `[1]`; empty if there is no answer. Named `answer` in JSON."""
    answered: bool
    reason: NoAnswerReason | None
    sentences: tuple[AnswerSentence, ...]
    citations: tuple[Citation, ...]
    hits: tuple[Hit, ...]
    usage: Usage
    model: str
    kind: AnswerKind = "passages"
    confidence: float = 0.0
    """Estimated probability, from 0 to 1, that the best excerpt of the documents answers the question."""
    passages: tuple[ClosestPassage, ...] = ()
    """The closest passages, best first; behind an excerpt, the first is the one that it stands in."""
    warnings: tuple[str, ...] = ()
    session_id: str | None = None
    complete: bool = True
    """False if the model was cut off before its end."""
    escalated: bool = False
    """Whether a person should take over, because the profile says so; its webhook, if it has one, gets a message."""
    approved: Approval | None = None
    """Set if this is a reviewed answer; its kind is that of the answer which was approved."""

    def __repr__(self) -> str:
        """Return the beginning of the text, or why there is none."""
        if not self.answered:
            return format_repr(self, f"not answered: {self.reason}", count(len(self.passages), "passage"))
        return format_repr(self, shorten(self.text), self.kind, count(len(self.citations), "citation"))


def encode_fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, such as an Answer, by their names in JSON; their values are not encoded.

    `url` is left out if it is None: without a service there is no page.
    """
    return {
        field.metadata.get("alias", field.name): getattr(value, field.name)
        for field in fields(value)
        if field.name != "url" or value.url is not None
    }


@dataclass(frozen=True, slots=True)
class SourcesEvent:
    """The first event of a streamed answer: the hits of the search.

    >>> next(handbook.stream("How long is parental leave?"))
    SourcesEvent(1 hit)
    """

    hits: tuple[Hit, ...]

    def __repr__(self) -> str:
        """Return a short description."""
        return format_repr(self, count(len(self.hits), "hit"))


@dataclass(frozen=True, slots=True)
class PassagesEvent:
    """The second event of a streamed answer: the closest passages.

    >>> list(handbook.stream("How long is parental leave?"))[1]
    PassagesEvent(1 passage)
    """

    passages: tuple[ClosestPassage, ...]

    def __repr__(self) -> str:
        """Return a short description."""
        return format_repr(self, count(len(self.passages), "passage"))


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streamed answer; the joined pieces are the answer's text.

    >>> events = handbook.stream("How long is parental leave?")
    >>> "".join(event.text for event in events if isinstance(event, semsearch.Delta))
    'Parental leave is 26 weeks at full pay. [1]'
    """

    text: str


AnswerEvent = SourcesEvent | PassagesEvent | Delta | Answer
"""A streamed answer consists of one SourcesEvent, one PassagesEvent, any number of Delta, and one Answer."""
