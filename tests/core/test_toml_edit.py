"""Changes to the text of TOML files: comments and other settings stay, or the file is refused."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.errors import ConflictError
from semsearch.core.toml_edit import Changes, edit_toml, quote_toml

FILE = """\
# my settings
keep_days = 30

[chat]  # the model
# faster than the large one
model = "old"   # a comment with = and "quotes"
api_key = 'sk-1#2'
system = "[chat] is not a header"

[prices."my-model"]
input = 0.10
"""


def test_values_are_replaced_added_and_removed() -> None:
    """Comments, order and other tables stay byte for byte."""
    changes: Changes = {
        "chat": {"model": "new", "api_key": None, "base_url": "http://a/v1"},
        "embeddings": {"embedder": "local"},
    }
    assert edit_toml(FILE, changes) == (
        FILE.replace('"old"', '"new"')
        .replace("api_key = 'sk-1#2'\n", "")
        .replace('a header"\n', 'a header"\nbase_url = "http://a/v1"\n')
        + '\n[embeddings]\nembedder = "local"\n'
    )


def test_a_second_edit_changes_nothing() -> None:
    """The same changes give the same text; line ends of Windows stay."""
    changes = {"chat": {"model": "new", "api_key": None}}
    for text in ("", FILE, FILE.replace("\n", "\r\n")):
        edited = edit_toml(text, changes)
        assert edit_toml(edited, changes) == edited
        assert edited.count("\n") == edited.count("\r\n") or "\r" not in edited
        assert tomllib.loads(edited)["chat"]["model"] == "new"


@pytest.mark.parametrize(
    "text",
    [
        'chat = {model = "old"}\n',
        'chat.model = "old"\n',
        '[chat]\nmodel = """\nold\n"""\n',
        'text = """\n[chat]\n"""\n',
        '[chat]\n"model" = "old"\n',
        "chat = 1\n",
    ],
)
def test_other_forms_are_refused(text: str) -> None:
    """An edit that would damage the file, or another setting, is an error."""
    with pytest.raises(ConflictError, match=r"\[chat\] cannot be changed automatically"):
        edit_toml(text, {"chat": {"model": "new"}})


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_can_be_a_value(value: str) -> None:
    """Quotes, backslashes and control characters are escaped."""
    assert tomllib.loads(f"a = {quote_toml(value)}") == {"a": value}
    assert tomllib.loads(edit_toml(FILE, {"chat": {"model": value}}))["chat"]["model"] == value


def test_subtable_is_added_and_changed_with_numbers() -> None:
    """A profile is a table below `profiles`; numbers stay numbers, and other profiles stay as they are."""
    text = '[profiles.other]\nk = 3\n\n[profiles.support] # ours\nmodel = "a" # old\n'
    edited = edit_toml(text, {"profiles.support": {"model": "b", "k": 8, "temperature": 0.0}, "profiles.new": {"k": 1}})
    assert tomllib.loads(edited)["profiles"] == {
        "other": {"k": 3},
        "support": {"model": "b", "k": 8, "temperature": 0.0},
        "new": {"k": 1},
    }
    assert 'model = "b" # old' in edited
