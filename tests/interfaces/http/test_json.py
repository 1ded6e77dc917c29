"""The strict JSON parser: values that are kept, repaired or refused."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import InvalidError, MalformedError
from semsearch.interfaces.strict_json import parse_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(value=VALUES, escaped=st.booleans())
def test_well_formed_values_are_kept(value: object, escaped: bool) -> None:
    """Every value is parsed as it was written, escaped or not."""
    assert parse_json(json.dumps(value, ensure_ascii=escaped).encode()) == value


@given(text=st.text(st.characters()))
def test_lone_surrogates_are_replaced(text: str) -> None:
    """The parsed text can always be encoded; complete characters are unchanged."""
    expected = "".join("\ufffd" if 0xD800 <= ord(character) < 0xE000 else character for character in text)
    assert isinstance(parse_json(json.dumps(text)), str)
    str(parse_json(json.dumps(text))).encode()
    if not any("\ud800" <= a < "\udc00" <= b < "\ue000" for a, b in itertools.pairwise(text)):
        assert parse_json(json.dumps(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "nul", "NaN", "[Infinity]", "-Infinity", "{'a': 1}", '{"a": 1, "a": 1}', "[1,]", "01", "[" * 100_000,
     '{"a":' * 100_000, "1 2", '"\n"', '"\\x"', "\ufeff1", '"\\ud83d\\u"'],
)  # fmt: skip
def test_invalid_json_is_malformed(text: str) -> None:
    """Text that standard JSON does not allow, or gives two meanings, is refused."""
    with pytest.raises(MalformedError):
        parse_json(text.encode())


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "9" * 5000, "1e400", "-1e999"])
def test_numbers_out_of_range_are_invalid(number: str) -> None:
    """A number beyond 63 bits, or beyond a float, would be stored as another number."""
    with pytest.raises(InvalidError, match=number[:10]):
        parse_json(f"[{number}]")
