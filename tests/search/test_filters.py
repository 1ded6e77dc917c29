"""Parsing of metadata filters: accepted filters, and the messages for invalid ones."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import InvalidError
from semsearch.core.types.filters import AllOf, Comparison
from semsearch.search.filters import and_filters, parse_filter
from semsearch.text.metadata import validate_metadata


def test_plain_value_means_equal() -> None:
    """`{"team": "hr"}` is `{"team": {"$eq": "hr"}}`."""
    assert parse_filter({"team": "hr"}) == parse_filter({"team": {"$eq": "hr"}}) == Comparison("team", "$eq", "hr")


def test_several_keys_are_anded() -> None:
    """Several keys of one object, and several operators of one field, must all match."""
    assert parse_filter({"a": 1, "b": 2}) == parse_filter({"$and": [{"a": 1}, {"b": 2}]})
    assert parse_filter({"a": {"$gt": 1, "$lt": 3}}) == AllOf((Comparison("a", "$gt", 1), Comparison("a", "$lt", 3)))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "a filter must be an object"),
        ("team", "a filter must be an object"),
        ({"year": {"$gte": "x", "$bad": 1}}, "unknown operator '$bad'"),
        ({"$nor": []}, "unknown operator '$nor'"),
        ({"$or": []}, "takes a list"),
        ({"$and": {"a": 1}}, "takes a list"),
        ({"a": {}}, "empty condition"),
        ({"a": {"$in": "abc"}}, "takes a list"),
        ({"a": {"$exists": 1}}, "true or false"),
        ({"a": {"$gt": True}}, "a number or text"),
        ({"a": {"$gt": None}}, "a number or text"),
        ({"a": float("nan")}, "finite number"),
        ({"a": float("inf")}, "finite number"),
        ({"a": 2**63}, "63 bits"),
        ({"a": [1]}, "is not text"),
        ({'a"b': 1}, "not allowed"),
        ({"": 1}, "1 to 128 characters"),
        ({"a": {"$in": list(range(1001))}}, "at most 1000"),
        ({"$and": [{"a": 1}] * 300}, "more than 256 parts"),
    ],
)
def test_invalid_filter_is_explained(raw: Any, message: str) -> None:
    """The error names the part and the rule."""
    with pytest.raises(InvalidError, match=message.replace("$", r"\$")):
        parse_filter(raw)


@pytest.mark.parametrize("wrap", [lambda f: {"$not": f}, lambda f: {"$and": [f]}, lambda f: {"a": {"$not": f["a"]}}])
def test_depth_is_bounded(wrap: Any) -> None:
    """A filter that is nested 900 levels deep is refused, for every way of nesting."""
    raw: dict[str, Any] = {"a": 1}
    for _ in range(900):
        raw = wrap(raw)
    with pytest.raises(InvalidError, match="nested deeper"):
        parse_filter(raw)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["$and", "$or", "$not", "$in", "$gt", "$ne", "a", "uri"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(_json)
def test_any_value_parses_or_is_invalid(raw: Any) -> None:
    """The parser raises no other error, for any JSON value."""
    try:
        parse_filter(raw)
    except InvalidError as exc:
        assert str(exc)


def test_and_filters() -> None:
    """Two filters are ANDed; None has no effect."""
    first, second = parse_filter({"a": 1}), parse_filter({"b": 2})
    assert and_filters(None, first) == and_filters(first, None) == first
    assert and_filters(first, second) == AllOf((first, second))


@pytest.mark.parametrize(
    "metadata",
    [{"a": {"b": 1}}, {"a": float("nan")}, {"$a": 1}, {"a": "x" * 2001}, {"a": [[1]]}, {str(n): n for n in range(65)}],
)
def test_metadata_that_cannot_be_filtered_is_refused(metadata: dict[str, Any]) -> None:
    """Metadata may have only values that a filter can compare, within limits."""
    with pytest.raises(InvalidError):
        validate_metadata(metadata)


def test_filters_and_metadata_are_cleaned_alike() -> None:
    """Texts that look equal are equal; lone surrogates, which cannot be stored, are removed."""
    assert parse_filter({"cafe\u0301": {"$in": ["h\u200br", "\ud800x", 1]}}) == Comparison(
        "café", "$in", ("hr", "x", 1)
    )
    assert validate_metadata({"cafe\u0301": ["h\u200br", "\ud800x", None]}) == {"café": ["hr", "x", None]}


def test_uri_is_compared_unchanged() -> None:
    """Uris of two documents may differ only in invisible characters."""
    assert parse_filter({"uri": "cafe\u0301"}) == Comparison("uri", "$eq", "cafe\u0301")
    assert parse_filter({"uri": {"$gt": "\ud800"}}) == Comparison("uri", "$gt", "?")
