"""The bodies and parameters of requests. Unknown fields are refused; the code behind does not check types again.

Every text is cleaned here, except a uri, which names a file exactly.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ...answers.profiles import DEFAULT_ANSWER_K
from ...core.names import NAME_PATTERN
from ...core.types.answers import AnswerRequest, GenerationOptions, SupportPolicy
from ...core.types.search import DEFAULT_K, SearchMode, SearchRequest
from ...text.cleaning import clean
from . import limits

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
    return question


_CleanText = Annotated[str, AfterValidator(clean)]
_QuestionText = Annotated[
    str,
    Field(min_length=1, max_length=limits.MAX_QUERY_CHARACTERS, json_schema_extra={"pattern": r"\S"}),
    AfterValidator(_validate_question),
]
_FilterObject = Annotated[dict[str, Any], WithJsonSchema(_FILTER_SCHEMA)]
_WholeNumber = Annotated[int, BeforeValidator(_to_int)]
_NameText = Annotated[_CleanText, Field(min_length=1, max_length=limits.MAX_NAME_CHARACTERS)]
_TokenCount = Annotated[_WholeNumber, Field(ge=1, le=limits.MAX_OUTPUT_TOKENS)]


class _RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CreateCollectionBody(_RequestModel):
    """The collection to create."""

    embedder: Annotated[str, Field(min_length=1, max_length=limits.MAX_NAME_CHARACTERS)] | None = Field(
        None, description="Makes the vectors. It cannot be changed later; `local` needs no key.", examples=["local"]
    )


class CreateSessionBody(_RequestModel):
    """The collection that the session asks, and its profile."""

    collection: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")] = Field(examples=["handbook"])
    profile: _NameText | None = Field(None, examples=["support"])


class DocumentBody(_RequestModel):
    """One text with its uri. An error in it appears in its own result."""

    uri: str = Field(description="Name of the document; one of the same name is replaced.", examples=["docs/leave.md"])
    text: str = Field(examples=["Parents take up to 26 weeks of leave."])
    title: str | None = Field(None, examples=["Leave"])
    metadata: Annotated[dict[str, Any], WithJsonSchema(_METADATA_SCHEMA)] | None = None


class DocumentsBody(_RequestModel):
    """The texts to store."""

    documents: list[DocumentBody] = Field(min_length=1, max_length=limits.MAX_DOCUMENTS_PER_REQUEST)


class SearchBody(_RequestModel):
    """The search to run."""

    query: _QuestionText = Field(examples=["parental leave"])
    k: _WholeNumber = Field(DEFAULT_K, ge=1, le=limits.MAX_K, description="Maximum number of hits.")
    filter: _FilterObject | None = None
    mode: SearchMode = Field("hybrid", description="By meaning (`dense`), by words (`lexical`), or by both.")
    history: list[_QuestionText] = Field(
        [], max_length=limits.MAX_HISTORY_QUESTIONS, description="The questions before this one, oldest first."
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="From 0, hits by score alone, to 1, hits as different from each other as possible."
    )
    explain: bool = Field(False, description="Add to each hit its rank and score in each part of the search.")

    def to_request(self) -> SearchRequest:
        """Return the request of this body."""
        return SearchRequest(self.query, self.k, self.filter, self.mode, self.history, self.diversity, self.explain)


class AskBody(_RequestModel):
    """The question to answer."""

    question: _QuestionText = Field(examples=["How long is parental leave?"])
    k: Annotated[_WholeNumber, Field(ge=1, le=limits.MAX_K)] | None = Field(
        None,
        description=f"Number of hits to answer from; by default that of the profile, or {DEFAULT_ANSWER_K}.",
    )
    filter: _FilterObject | None = None
    stream: bool = Field(False, description="Send the answer as server-sent events while it is written.")
    model: Annotated[_CleanText, Field(min_length=1, max_length=limits.MAX_NAME_CHARACTERS)] | None = None
    max_tokens: _TokenCount | None = None
    max_completion_tokens: _TokenCount | None = Field(None, description="Synonym of `max_tokens`.")
    temperature: Annotated[float, Field(ge=0, le=limits.MAX_TEMPERATURE)] | None = None
    system: Annotated[_CleanText, Field(max_length=limits.MAX_SYSTEM_CHARACTERS)] | None = Field(
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


class PageParams(_RequestModel):
    """One page of a list."""

    model_config = ConfigDict(strict=False)  # every value of a query string is a text

    limit: int = Field(100, ge=1, le=limits.MAX_PAGE_SIZE)
    cursor: str | None = Field(None, max_length=8192, description="The `cursor` of the page before.")


class FileParams(_RequestModel):
    """Query parameters of a stored file."""

    title: str | None = Field(None, description="Replaces the title in the file.", examples=["Leave"])
    metadata: str | None = Field(None, description="A JSON object.", examples=['{"team": "hr"}'])
