"""What may stand in a request, field by field; an unknown field is refused. Nothing behind it checks types again.

Every text passes the `clean` gate here, but a uri, which names a file to the letter.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from ...answers.profiles import HITS_OF_ANSWER
from ...core.types.answers import Policy
from ...core.types.search import Mode
from ...text.cleaning import clean
from . import limits as bounds
from .search import DEFAULT_K, Wanted

_SCALAR = {"anyOf": [{"type": kind} for kind in ("string", "number", "boolean", "null")]}
_METADATA = {
    "type": "object",
    "description": "Your own fields, to be filtered by: each a text, a number, true, false, null, or a list of those.",
    "additionalProperties": {"anyOf": [*_SCALAR["anyOf"], {"type": "array", "items": _SCALAR}]},
    "examples": [{"team": "hr", "year": 2024}],
}
_FILTER = {
    "type": "object",
    "description": "Conditions on metadata and on `uri`, `title`, `media_type`: `{field: value}` or"
    " `{field: {operator: value}}` with `$eq $ne $gt $gte $lt $lte $in $nin $exists`, joined by `$and $or $not`.",
    "examples": [{"team": "hr", "year": {"$gte": 2024}}],
}


def _whole(value: object) -> object:
    """In JSON 10.0 and 1e1 are whole numbers too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _asked(text: str) -> str:
    question = clean(text).strip()
    if not question:
        raise ValueError("it is empty; ask something")
    return question


_Text = Annotated[str, AfterValidator(clean)]
_Question = Annotated[
    str,
    Field(min_length=1, max_length=bounds.QUERY_CHARACTERS, json_schema_extra={"pattern": r"\S"}),
    AfterValidator(_asked),
]
_Filter = Annotated[dict[str, Any], WithJsonSchema(_FILTER)]
_Whole = Annotated[int, BeforeValidator(_whole)]
_Name = Annotated[_Text, Field(min_length=1, max_length=bounds.NAME_CHARACTERS)]
_Tokens = Annotated[_Whole, Field(ge=1, le=bounds.TOKENS)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NewCollection(_Body):
    """How a collection is made."""

    embedder: Annotated[str, Field(min_length=1, max_length=bounds.NAME_CHARACTERS)] | None = Field(
        None, description="What makes its vectors, for ever; `local` needs no key.", examples=["local"]
    )


class NewSession(_Body):
    """Which collection is talked to, and as whom."""

    collection: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")] = Field(examples=["handbook"])
    profile: _Name | None = Field(None, examples=["support"])


class Text(_Body):
    """One text with its name. What is wrong with it is said in its own result."""

    uri: str = Field(description="Its name; a text of the same name is replaced.", examples=["docs/leave.md"])
    text: str = Field(examples=["Parents take up to 26 weeks of leave."])
    title: str | None = Field(None, examples=["Leave"])
    metadata: Annotated[dict[str, Any], WithJsonSchema(_METADATA)] | None = None


class Texts(_Body):
    """Many texts."""

    documents: list[Text] = Field(min_length=1, max_length=bounds.DOCUMENTS)


class Search(_Body):
    """What to look for."""

    query: _Question = Field(examples=["parental leave"])
    k: _Whole = Field(DEFAULT_K, ge=1, le=bounds.K, description="How many hits, at most.")
    filter: _Filter | None = None
    mode: Mode = Field("hybrid", description="By meaning (`dense`), by words (`lexical`), or both.")
    history: list[_Question] = Field(
        [], max_length=bounds.HISTORY, description="What was asked before this question, oldest first."
    )
    diversity: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="From 0, hits by score alone, to 1, hits as different from each other as can be."
    )
    explain: bool = Field(False, description="Say of each hit where each way of searching ranked it.")

    def wanted(self) -> Wanted:
        """The same, checked."""
        return Wanted(self.query, self.k, self.filter, self.mode, self.history, self.diversity, self.explain)


class Ask(_Body):
    """What to answer, and how."""

    question: _Question = Field(examples=["How long is parental leave?"])
    k: Annotated[_Whole, Field(ge=1, le=bounds.K)] | None = Field(
        None,
        description=f"How many hits the answer is written from: else what the profile says, else {HITS_OF_ANSWER}.",
    )
    filter: _Filter | None = None
    stream: bool = Field(False, description="Answer with server-sent events as the answer is written.")
    model: Annotated[_Text, Field(min_length=1, max_length=bounds.NAME_CHARACTERS)] | None = None
    max_tokens: _Tokens | None = None
    max_completion_tokens: _Tokens | None = Field(None, description="The same as `max_tokens`.")
    temperature: Annotated[float, Field(ge=0, le=bounds.TEMPERATURE)] | None = None
    system: Annotated[_Text, Field(max_length=bounds.SYSTEM_CHARACTERS)] | None = Field(
        None, description="Added to the service's own instructions, never in place of them."
    )
    session_id: _Name | None = Field(None, description="The conversation that this question continues.")
    profile: _Name | None = Field(None, description="Who is asked.", examples=["support"])
    policy: Policy | None = Field(
        None,
        description="What becomes of sentences that their citations do not support: `strict` leaves them out, `flag`"
        " marks them, `off` does not look.",
    )

    @model_validator(mode="after")
    def _one_bound(self) -> "Ask":
        if None not in (self.max_tokens, self.max_completion_tokens) and self.max_tokens != self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens are the same thing; give one")
        return self

    @property
    def tokens(self) -> int | None:
        """The bound on the answer's length, under whichever name it came."""
        return self.max_tokens if self.max_tokens is not None else self.max_completion_tokens


class Page(_Body):
    """Which part of a list."""

    model_config = ConfigDict(strict=False)  # in a query string every value is a text

    limit: int = Field(100, ge=1, le=bounds.PAGE)
    cursor: str | None = Field(None, max_length=8192, description="Where the last page ended, as it said.")


class About(_Body):
    """What is said of a file beside its bytes."""

    title: str | None = Field(None, description="Instead of the title in the file.", examples=["Leave"])
    metadata: str | None = Field(None, description="A JSON object.", examples=['{"team": "hr"}'])
