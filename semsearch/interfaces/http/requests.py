"""The bodies and parameters of requests. Unknown fields are refused; the code behind does not check types again.

Every text is cleaned here, except a uri, which names a file exactly.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ...answers.profiles import DEFAULT_ANSWER_K
from ...collection.facets import MAX_FACET_FIELDS
from ...collection.recommendations import MAX_EXAMPLES, MAX_EXCLUDED_URIS
from ...core.names import NAME_PATTERN
from ...core.types.answer_requests import AnswerRequest, GenerationOptions, SupportPolicy
from ...core.types.feedback import MAX_COMMENT_CHARACTERS
from ...core.types.pages import DEFAULT_WIDTH_PIXELS, MAX_SPAN_CHARACTERS, MAX_WIDTH_PIXELS, MIN_WIDTH_PIXELS
from ...core.types.recommendations import (
    DEFAULT_RECOMMENDATION_DIVERSITY,
    Example,
    RecommendationRequest,
    RecommendationStrategy,
)
from ...core.types.search import DEFAULT_K, SearchMode, SearchRequest
from ...text.cleaning import clean
from ..strict_json import parse_json
from . import limits
from .problems import truncate

_SCALAR_SCHEMA = {"anyOf": [{"type": kind} for kind in ("string", "number", "boolean", "null")]}
_METADATA_SCHEMA = {
    "type": "object",
    "description": "Your own fields, for filters: each a text, a number, true, false, null, or a list of these.",
    "additionalProperties": {"anyOf": [*_SCALAR_SCHEMA["anyOf"], {"type": "array", "items": _SCALAR_SCHEMA}]},
    "examples": [{"team": "hr", "year": 2024}],
}
_FILTER_SCHEMA = {
    "type": "object",
    "description": "Conditions on metadata and on `uri`, `title`, `media_type`: `{field: value}` or"
    " `{field: {operator: value}}` with `$eq $ne $gt $gte $lt $lte $in $nin $exists`, joined by `$and $or $not`.",
    "examples": [{"team": "hr", "year": {"$gte": 2024}}],
}


def _to_int(value: object) -> object:
    """Return 10 for 10.0: JSON does not tell whole numbers from others."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _validate_question(text: str) -> str:
    question = clean(text).strip()
    if not question:
        raise ValueError("the text is empty; send a question")
    if len(question) > limits.MAX_QUERY_CHARACTERS:  # a character may be cleaned to several
        raise ValueError(f"the text has {len(question):,} characters; the limit is {limits.MAX_QUERY_CHARACTERS:,}")
    return question


def _validate_k(k: int) -> int:
    if not 1 <= k <= limits.MAX_K:
        raise ValueError(
            f"from 1 to {limits.MAX_K} over HTTP, not {k}; a search returns the hits behind them with offset,"
            f" up to offset + k = {limits.MAX_RANKED_HITS:,}"
        )
    return k


def _describe_unknown_field(name: str, known_names: Collection[str]) -> str:
    """Return the message for a field that is not served, with the nearest name or with all names."""
    nearest = get_close_matches(name[:60].lower(), known_names, 1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"the fields are {', '.join(known_names)}"
    return f"unknown field {truncate(name, 60)!r}; {hint}"


_QuestionText = Annotated[
    str,
    Field(min_length=1, max_length=limits.MAX_QUERY_CHARACTERS, json_schema_extra={"pattern": r"\S"}),
    AfterValidator(_validate_question),
]
_FilterObject = Annotated[dict[str, Any], WithJsonSchema(_FILTER_SCHEMA)]
_WholeNumber = Annotated[int, BeforeValidator(_to_int)]  # bounds belong before it: behind it they are not described
_HitCount = Annotated[
    _WholeNumber, Field(json_schema_extra={"minimum": 1, "maximum": limits.MAX_K}), AfterValidator(_validate_k)
]
_name_bounds = Field(min_length=1, max_length=limits.MAX_NAME_CHARACTERS)
_system_bounds = Field(max_length=limits.MAX_SYSTEM_CHARACTERS)
# bounds hold for what is sent, as described, and for what is left of it: cleaning removes characters and adds some
_NameText = Annotated[str, _name_bounds, AfterValidator(clean), _name_bounds]
_SystemText = Annotated[str, _system_bounds, AfterValidator(clean), _system_bounds]
_TokenCount = Annotated[int, Field(ge=1, le=limits.MAX_OUTPUT_TOKENS), BeforeValidator(_to_int)]


class RequestModel(BaseModel):
    """A body or the parameters of a request; an unknown field is refused with the nearest name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_field(cls, values: object) -> object:
        if isinstance(values, Mapping):
            for name in values:
                if name not in cls.model_fields:
                    raise ValueError(_describe_unknown_field(str(name), cls.model_fields))
        return values


class CreateCollectionBody(RequestModel):
    """The collection to create."""

    embedder: Annotated[str, Field(min_length=1, max_length=limits.MAX_NAME_CHARACTERS)] | None = Field(
        None, description="Makes the vectors. It cannot be changed later; `local` needs no key.", examples=["local"]
    )


class CreateSessionBody(RequestModel):
    """The collection that the session asks, and its profile."""

    collection: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")] = Field(examples=["handbook"])
    profile: _NameText | None = Field(None, examples=["support"])


class DocumentBody(RequestModel):
    """One text with its uri. An error in it appears in its own result."""

    uri: str = Field(description="Name of the document; one of the same name is replaced.", examples=["docs/leave.md"])
    text: str = Field(examples=["Parents take up to 26 weeks of leave."])
    title: str | None = Field(None, examples=["Leave"])
    metadata: Annotated[dict[str, Any], WithJsonSchema(_METADATA_SCHEMA)] | None = None


class DocumentsBody(RequestModel):
    """The texts to store."""

    documents: list[DocumentBody] = Field(min_length=1, max_length=limits.MAX_DOCUMENTS_PER_REQUEST)


class DeleteDocumentsBody(RequestModel):
    """The documents to remove."""

    filter: _FilterObject = Field(json_schema_extra={"minProperties": 1})


class SearchBody(RequestModel):
    """The search to run: one `query`, or several `queries` with the same other fields."""

    query: _QuestionText | None = Field(None, examples=["parental leave"])
    queries: Annotated[list[_QuestionText], Field(min_length=1, max_length=limits.MAX_QUERIES)] | None = Field(
        None, description=f"Instead of `query`: up to {limits.MAX_QUERIES} queries. The response has `results`."
    )
    k: _HitCount = Field(
        DEFAULT_K, description=f"Maximum number of hits: at most {limits.MAX_K} over HTTP; `offset` gets those behind."
    )
    offset: Annotated[int, Field(ge=0, lt=limits.MAX_RANKED_HITS), BeforeValidator(_to_int)] = Field(
        0,
        description=f"Number of best hits to leave out; `offset` + `k` is at most {limits.MAX_RANKED_HITS:,}. The hits"
        " are the last ones of a search for the best `offset` + `k`.",
    )
    filter: _FilterObject | None = None
    mode: SearchMode = Field("hybrid", description="By meaning (`dense`), by words (`lexical`), or by both.")
    history: list[_QuestionText] = Field(
        [], max_length=limits.MAX_HISTORY_QUESTIONS, description="The questions before this one, oldest first."
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="From 0, hits by score alone, to 1, hits as different from each other as possible."
    )
    explain: bool = Field(False, description="Add to each hit its rank and score in each part of the search.")
    facets: Annotated[list[_NameText], Field(max_length=MAX_FACET_FIELDS + 1)] | None = Field(
        None,
        description="Fields whose values are counted over the documents that match the filter: up to"
        f" {MAX_FACET_FIELDS} of the metadata, and `media_type`. An empty list counts those that most documents have.",
        examples=[["team", "media_type"]],
    )

    @model_validator(mode="after")
    def _validate_combination(self) -> "SearchBody":
        if (self.query is None) == (self.queries is None):
            raise ValueError("send either query, one text, or queries, a list of texts")
        if self.queries is not None and self.history:
            raise ValueError("history belongs to one query; send it with query, not with queries")
        if self.queries is not None and self.facets is not None:
            raise ValueError("facets are the same for all queries; send them with query, not with queries")
        if self.offset + self.k > limits.MAX_RANKED_HITS:
            raise ValueError(
                f"offset + k is at most {limits.MAX_RANKED_HITS:,}, not {self.offset + self.k:,}; narrow the search"
                " with a filter instead"
            )
        return self

    def to_requests(self) -> list[SearchRequest]:
        """Return the request of each query, for the hits of all pages up to this one."""
        queries = [self.query] if self.query is not None else self.queries or []
        count, history = self.offset + self.k, self.history
        return [
            SearchRequest(query, count, self.filter, self.mode, history, self.diversity, self.explain)
            for query in queries
        ]


class SearchParams(RequestModel):
    """A search without a body."""

    model_config = ConfigDict(strict=False)  # every value of a query string is a text

    q: _QuestionText = Field(description="The query.", examples=["parental leave"])
    k: _HitCount = Field(DEFAULT_K, description=f"Maximum number of hits: at most {limits.MAX_K} over HTTP.")
    mode: SearchMode = Field("hybrid", description="By meaning (`dense`), by words (`lexical`), or by both.")

    def to_request(self) -> SearchRequest:
        """Return the request of these parameters."""
        return SearchRequest(self.q, self.k, None, self.mode)


class ExampleBody(RequestModel):
    """A document, a chunk or a text: exactly one of the three."""

    uri: Annotated[str, Field(min_length=1)] | None = Field(None, examples=["docs/leave.md"])
    chunk_id: Annotated[int, Field(ge=1), BeforeValidator(_to_int)] | None = Field(None, description="Of a hit.")
    text: _QuestionText | None = None

    @model_validator(mode="after")
    def _validate_kind(self) -> "ExampleBody":
        if sum(value is not None for value in (self.uri, self.chunk_id, self.text)) != 1:
            raise ValueError("an example has exactly one of uri, chunk_id and text")
        return self

    def to_example(self) -> Example:
        """Return the example."""
        return Example(self.uri, self.chunk_id, self.text)


class RecommendBody(RequestModel):
    """What the recommendations are like, and unlike: at least one positive example, a query or a session."""

    positive: list[ExampleBody] = Field([], max_length=MAX_EXAMPLES, examples=[[{"uri": "docs/leave.md"}]])
    negative: list[ExampleBody] = Field([], max_length=MAX_EXAMPLES)
    query: _QuestionText | None = Field(None, description="One more text that the recommendations are like.")
    session_id: _NameText | None = Field(
        None, description="One of your sessions, whose questions are more such texts; needs the scope `ask`."
    )
    strategy: RecommendationStrategy = Field(
        "average",
        description="How the similarities to several examples become one score: their mean, the highest (`best`), or"
        " the sum of the squares of those above 0 (`sum`).",
    )
    k: _HitCount = Field(DEFAULT_K, description=f"Maximum number of hits: at most {limits.MAX_K} over HTTP.")
    filter: _FilterObject | None = None
    exclude: list[str] = Field(
        [], max_length=MAX_EXCLUDED_URIS, description="Uris not to recommend, besides those of the examples."
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = DEFAULT_RECOMMENDATION_DIVERSITY
    per_document: Annotated[int, Field(ge=0, le=limits.MAX_K), BeforeValidator(_to_int)] = Field(
        1, description="Maximum number of passages of one document; 0 is no limit."
    )

    def to_request(self) -> RecommendationRequest:
        """Return the request of this body."""
        fields = {name: getattr(self, name) for name in ("query", "strategy", "k", "filter", "exclude", "diversity")}
        positive, negative = ([each.to_example() for each in bodies] for bodies in (self.positive, self.negative))
        return RecommendationRequest(
            positive, negative, session=self.session_id, per_document=self.per_document, **fields
        )


class SimilarParams(RequestModel):
    """How many similar documents to return."""

    model_config = ConfigDict(strict=False)  # every value of a query string is a text

    k: _HitCount = Field(DEFAULT_K, description=f"Maximum number of hits: at most {limits.MAX_K} over HTTP.")


class AskBody(RequestModel):
    """The question to answer."""

    question: _QuestionText = Field(examples=["How long is parental leave?"])
    k: _HitCount | None = Field(
        None,
        description=f"Number of hits to answer from, at most {limits.MAX_K} over HTTP; by default that of the profile,"
        f" or {DEFAULT_ANSWER_K}.",
    )
    filter: _FilterObject | None = None
    stream: bool = Field(False, description="Send the answer as server-sent events while it is written.")
    model: _NameText | None = None
    max_tokens: _TokenCount | None = None
    max_completion_tokens: _TokenCount | None = Field(None, description="Synonym of `max_tokens`.")
    temperature: Annotated[float, Field(ge=0, le=limits.MAX_TEMPERATURE)] | None = None
    system: _SystemText | None = Field(
        None, description="Added to the instructions of the service. Does not replace them."
    )
    session_id: _NameText | None = Field(None, description="The session that this question continues.")
    profile: _NameText | None = Field(None, description="Name of the profile that answers.", examples=["support"])
    policy: SupportPolicy | None = Field(
        None,
        description="Treatment of sentences that their citations do not support: `strict` removes them, `flag` marks"
        " them, `off` does not check.",
    )

    @model_validator(mode="after")
    def _validate_token_limit(self) -> "AskBody":
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens are synonyms, but differ; send one of them")
        return self

    def to_request(self) -> AnswerRequest:
        """Return the request of this body."""
        max_tokens = self.max_tokens if self.max_tokens is not None else self.max_completion_tokens
        options = GenerationOptions(self.model, max_tokens, self.temperature, self.system, self.policy, self.profile)
        return AnswerRequest(self.question, self.k, self.filter, options, self.session_id)


class FeedbackBody(RequestModel):
    """What you say about one of your answers: at least one field."""

    helpful: bool | None = Field(None, description="Whether the answer helped.")
    wrong_marker: _WholeNumber | None = Field(
        None, description="Marker of a citation that does not support its sentence.", examples=[1]
    )
    right_chunk_id: _WholeNumber | None = Field(
        None, description="`chunk_id` of the passage that holds the answer.", examples=[17]
    )
    comment: Annotated[str, Field(min_length=1, max_length=MAX_COMMENT_CHARACTERS)] | None = None


class PageParams(RequestModel):
    """One page of a list."""

    model_config = ConfigDict(strict=False)  # every value of a query string is a text

    limit: int = Field(100, ge=1, le=limits.MAX_PAGE_SIZE)
    cursor: str | None = Field(None, max_length=8192, description="The `next_cursor` of the page before.")
    filter: str | None = Field(None, description="A filter as JSON.", examples=['{"team": "hr"}'])

    def parse_filter(self) -> object:
        """Return the value of the filter, which is not validated yet; MalformedError if it is not JSON."""
        return None if self.filter is None else parse_json(self.filter)


class SessionParams(RequestModel):
    """One page of the list of sessions."""

    model_config = ConfigDict(strict=False)  # every value of a query string is a text

    collection: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")] | None = Field(
        None, description="Only the sessions with this collection.", examples=["handbook"]
    )
    limit: int = Field(100, ge=1, le=limits.MAX_PAGE_SIZE)
    cursor: str | None = Field(None, max_length=200, description="The `next_cursor` of the page before.")


class PageImageParams(RequestModel):
    """The size of an image of a page."""

    model_config = ConfigDict(strict=False)

    width: int = Field(DEFAULT_WIDTH_PIXELS, ge=MIN_WIDTH_PIXELS, le=MAX_WIDTH_PIXELS, description="In pixels.")


class RectanglesParams(RequestModel):
    """A span of a stored text, in characters."""

    model_config = ConfigDict(strict=False)

    start: int = Field(ge=0, le=limits.MAX_OFFSET, examples=[120])
    end: int = Field(
        ge=0, le=limits.MAX_OFFSET, description=f"At most `start` + {MAX_SPAN_CHARACTERS:,}.", examples=[180]
    )


class BlocksParams(RequestModel):
    """Query parameters of the blocks of a document."""

    model_config = ConfigDict(strict=False)

    start: int = Field(0, ge=0, le=limits.MAX_OFFSET, description="Begin of the span, in characters.")
    end: int | None = Field(
        None, ge=0, le=limits.MAX_OFFSET, description="End of the span; at most 100,000 characters are read."
    )


class FileParams(RequestModel):
    """Query parameters of a stored file."""

    title: str | None = Field(None, description="Replaces the title in the file.", examples=["Leave"])
    metadata: str | None = Field(None, description="A JSON object.", examples=['{"team": "hr"}'])
