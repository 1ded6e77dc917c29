"""Names of collections and profiles."""

import pytest

from semsearch.core.errors import InvalidError
from semsearch.core.names import is_valid_name, validate_name


@pytest.mark.parametrize("name", ["a", "7", "handbook", "hr-2026_v2", "a" * 63])
def test_valid_name_is_returned(name: str) -> None:
    """Letters, digits, hyphens and underscores are allowed, up to 63 characters."""
    assert is_valid_name(name)
    assert validate_name(name, "collection") == name


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "a b", "a/b", "..", "é", "a\n", "a" * 64])
def test_invalid_name_is_refused(name: str) -> None:
    """The message says what the name is for, and where it is."""
    assert not is_valid_name(name)
    with pytest.raises(InvalidError, match=r"^semsearch\.toml: .* cannot name a profile: use 1 to 63"):
        validate_name(name, "profile", location="semsearch.toml")
