"""From a search request to the queries that run. Validates the request; does not embed or search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..core.errors import InvalidError
from ..core.ports import Embedder
from ..core.types.filters import Filter
from ..core.types.search import ResultOptions, SearchMode, SearchRequest
from ..text.cleaning import MAX_QUERY_CHARACTERS, validate_query
from .retrieval import Query, Search, choose_dense_weight, validate_k, validate_mode

MAX_SEARCHED_TURNS = 3
"""Questions that are joined for the second query of a follow-up, the newest among them."""


def build_search(
    request: SearchRequest,
    filter: Filter | None,
    embedder: Embedder,
    result_options: ResultOptions,
    access_filter: Filter | None = None,
) -> Search:
    """Return the search that a request describes, without vectors; InvalidError if a field is not allowed.

    `filter` is the parsed filter of the request, joined with that of the caller, which is `access_filter`.
    """
    query = validate_query(request.query)
    if isinstance(request.history, str):
        raise InvalidError("history is a list of questions, not one text")
    history = [validate_query(question) for question in request.history]
    queries = build_queries(query, history, filter, validate_mode(request.mode), embedder, access_filter)
    return Search(queries, validate_k(request.k), _set_diversity(result_options, request.diversity), request.explain)


def build_queries(
    question: str,
    history: Sequence[str],
    filter: Filter | None,
    mode: SearchMode,
    embedder: Embedder,
    access_filter: Filter | None = None,
) -> list[Query]:
    """Return one query; for a follow-up also a second one that joins the question with those before it."""
    texts = [question]
    if history:
        texts.append(join_questions(history, question)[-MAX_QUERY_CHARACTERS:])
    return [
        Query(text, None, filter, mode, choose_dense_weight(embedder, text, mode), access_filter=access_filter)
        for text in texts
    ]


def join_questions(earlier: Sequence[str], question: str) -> str:
    """Return the last questions as one text: an earlier one often names what a follow-up leaves out."""
    return " ".join([*earlier[-(MAX_SEARCHED_TURNS - 1) :], question])


def _set_diversity(options: ResultOptions, diversity: float) -> ResultOptions:
    if not 0 <= diversity <= 1:
        raise InvalidError(f"diversity is between 0 and 1, not {diversity}")
    return options if diversity == options.diversity else replace(options, diversity=diversity)
