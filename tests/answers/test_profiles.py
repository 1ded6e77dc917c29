"""Profiles: what is there without being set, and what semsearch.toml makes of it."""

from pathlib import Path

import pytest

from semsearch.answers.profiles import DEFAULT_PROFILE, PROFILES
from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings
from semsearch.core.types.answers import ESCALATE_TEXT, NO_ANSWER_TEXT, Profile


def load(tmp_path: Path, text: str) -> dict[str, Profile]:
    """The profiles of a semsearch.toml."""
    (tmp_path / "semsearch.toml").write_text(text)
    return dict(Settings.load({}, folder=tmp_path).profiles)


def test_three_are_there_without_being_set(tmp_path: Path) -> None:
    """A support desk hands off, an assistant says that it does not know, a writer drafts."""
    assert {name: profile.on_no_answer for name, profile in load(tmp_path, "").items()} == {
        "support": "escalate",
        "assistant": "say_so",
        "writer": "draft",
    }


def test_what_is_said_where_there_is_no_answer() -> None:
    """By default nothing but the reason; your own words go before ours."""
    assert DEFAULT_PROFILE.get_no_answer_text() == ""
    assert PROFILES["support"].get_no_answer_text() == ESCALATE_TEXT
    assert PROFILES["assistant"].get_no_answer_text() == NO_ANSWER_TEXT
    assert Profile(on_no_answer="say_so", no_answer_text="No idea.").get_no_answer_text() == "No idea."
    assert Profile(on_no_answer="draft", no_answer_text="No idea.").get_no_answer_text() == ""


def test_your_own_profiles_join_them(tmp_path: Path) -> None:
    """Every value can be set, and one of ours replaced."""
    profiles = load(
        tmp_path,
        '[profiles.legal]\nsystem = "Be exact."\npolicy = "strict"\nk = 12\ntemperature = 0\nmax_tokens = 300\n'
        'model = "m"\non_no_answer = "say_so"\nno_answer_text = "Ask the lawyers."\n[profiles.support]\nk = 3\n',
    )
    assert profiles["legal"] == Profile("Be exact.", "strict", 12, 0.0, 300, "m", "say_so", "Ask the lawyers.")
    assert profiles["support"] == Profile(k=3)
    assert "writer" in profiles


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[profiles.x]\npolicy = "hard"', "profiles.x.policy: 'hard' is none of strict, flag, off"),
        ('[profiles.x]\non_no_answer = "guess"', "profiles.x.on_no_answer: 'guess' is none of"),
        ("[profiles.x]\nk = 0", r"profiles.x.k: 0 is not between 1 and 100"),
        ("[profiles.x]\nsystems = 1", "profiles.x has no 'systems'; it may have system, policy"),
        ("[profiles.'A b']\nk = 1", "'A b' cannot name a profile"),
        ("profiles = 3", r"profiles must hold tables"),
    ],
)
def test_a_wrong_profile_is_named(tmp_path: Path, text: str, said: str) -> None:
    """The message has the table, the value and what may stand there."""
    with pytest.raises(InvalidError, match=said):
        load(tmp_path, text)
