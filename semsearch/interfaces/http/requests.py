"""What may stand in a request, field by field; an unknown field is refused. Nothing behind it checks types again.

Every text passes the `clean` gate here, but a uri, which names a file to the letter.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ...answers.profiles import DEFAULT_ANSWER_K
from ...core.names import NAME_PATTERN
from ...core.types.answers import SupportPolicy
from ...core.types.search import SearchMode
from ...text.cleaning import clean
from . import limits as bounds
from .search import DEFAULT_K, SearchParams

_SCALAR_SCHEMA = {"anyOf": [{"type": kind} for kind in ("string", "number", "boolean", "null")]}
_METADATA_SCHEMA = {
    "type": "object",
    "description": "Your own fields, to be filtered by: each a text, a number, true, false, null, or a list of those.",
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
    """In JSON 10.0 and 1e1 are whole numbers too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _validate_question(text: str) -> str:
    question = clean(text).strip()
    if not question:
        raise ValueError("it is empty; ask something")
    return question


_CleanText = Annotated[str, AfterValidator(clean)]
_QuestionText = Annotated[
    str,
    Field(min_length=1, max_length=bounds.MAX_QUERY_CHARACTERS, json_schema_extra={"pattern": r"\S"}),
    AfterValidator(_validate_question),
]
_FilterObject = Annotated[dict[str, Any], WithJsonSchema(_FILTER_SCHEMA)]
_WholeNumber = Annotated[int, BeforeValidator(_to_int)]
_NameText = Annotated[_CleanText, Field(min_length=1, max_length=bounds.MAX_NAME_CHARACTERS)]
_TokenCount = Annotated[_WholeNumber, Field(ge=1, le=bounds.MAX_OUTPUT_TOKENS)]


class _RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CreateCollectionBody(_RequestModel):
    """How a collection is made."""

    embedder: Annotated[str, Field(min_length=1, max_length=bounds.MAX_NAME_CHARACTERS)] | None = Field(
        None, description="What makes its vectors, for ever; `local` needs no key.", examples=["local"]
    )


class CreateSessionBody(_RequestModel):
    """Which collection is talked to, and as whom."""

    collection: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")] = Field(examples=["handbook"])
    profile: _NameText | None = Field(None, examples=["support"])


class DocumentBody(_RequestModel):
    """One text with its name. What is wrong with it is said in its own result."""

    uri: str = Field(description="Its name; a text of the same name is replaced.", examples=["docs/leave.md"])
    text: str = Field(examples=["Parents take up to 26 weeks of leave."])
    title: str | None = Field(None, examples=["Leave"])
    metadata: Annotated[dict[str, Any], WithJsonSchema(_METADATA_SCHEMA)] | None = None


class DocumentsBody(_RequestModel):
    """Many texts."""

    documents: list[DocumentBody] = Field(min_length=1, max_length=bounds.MAX_DOCUMENTS_PER_REQUEST)


class SearchBody(_RequestModel):
    """What to look for."""

    query: _QuestionText = Field(examples=["parental leave"])
    k: _WholeNumber = Field(DEFAULT_K, ge=1, le=bounds.MAX_K, description="How many hits, at most.")
    filter: _FilterObject | None = None
    mode: SearchMode = Field("hybrid", description="By meaning (`dense`), by words (`lexical`), or both.")
    history: list[_QuestionText] = Field(
        [], max_length=bounds.MAX_HISTORY_QUESTIONS, description="What was asked before this question, oldest first."
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="From 0, hits by score alone, to 1, hits as different from each other as can be."
    )
    explain: bool = Field(False, description="Say of each hit where each way of searching ranked it.")

    def to_params(self) -> SearchParams:
        """The same, checked."""
        return SearchParams(self.query, self.k, self.filter, self.mode, self.history, self.diversity, self.explain)


class AskBody(_RequestModel):
    """What to answer, and how."""

    question: _QuestionText = Field(examples=["How long is parental leave?"])
    k: Annotated[_WholeNumber, Field(ge=1, le=bounds.MAX_K)] | None = Field(
        None,
        description=f"How many hits the answer is written from: else what the profile says, else {DEFAULT_ANSWER_K}.",
    )
    filter: _FilterObject | None = None
    stream: bool = Field(False, description="Answer with server-sent events as the answer is written.")
    model: Annotated[_CleanText, Field(min_length=1, max_length=bounds.MAX_NAME_CHARACTERS)] | None = None
    max_tokens: _TokenCount | None = None
    max_completion_tokens: _TokenCount | None = Field(None, description="The same as `max_tokens`.")
    temperature: Annotated[float, Field(ge=0, le=bounds.MAX_TEMPERATURE)] | None = None
    system: Annotated[_CleanText, Field(max_length=bounds.MAX_SYSTEM_CHARACTERS)] | None = Field(
        None, description="Added to the service's own instructions, never in place of them."
    )
    session_id: _NameText | None = Field(None, description="The conversation that this question continues.")
    profile: _NameText | None = Field(None, description="Who is asked.", examples=["support"])
    policy: SupportPolicy | None = Field(
        None,
        description="What becomes of sentences that their citations do not support: `strict` leaves them out, `flag`"
        " marks them, `off` does not look.",
    )

    @model_validator(mode="after")
    def _validate_token_limit(self) -> "AskBody":
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens are the same thing; give one")
        return self

    @property
    def output_token_limit(self) -> int | None:
        """The bound on the answer's length, under whichever name it came."""
        return self.max_tokens if self.max_tokens is not None else self.max_completion_tokens


class PageParams(_RequestModel):
    """Which part of a list."""

    model_config = ConfigDict(strict=False)  # in a query string every value is a text

    limit: int = Field(100, ge=1, le=bounds.MAX_PAGE_SIZE)
    cursor: str | None = Field(None, max_length=8192, description="Where the last page ended, as it said.")


class FileParams(_RequestModel):
    """What is said of a file beside its bytes."""

    title: str | None = Field(None, description="Instead of the title in the file.", examples=["Leave"])
    metadata: str | None = Field(None, description="A JSON object.", examples=['{"team": "hr"}'])
