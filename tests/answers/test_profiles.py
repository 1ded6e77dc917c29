"""Built-in profiles, and profiles of semsearch.toml."""

from pathlib import Path

import pytest

from semsearch import Library
from semsearch.answers.profiles import DEFAULT_PROFILE, PROFILES
from semsearch.core.errors import InvalidError
from semsearch.core.settings import Settings
from semsearch.core.types.answer_requests import ESCALATE_TEXT, NO_ANSWER_TEXT, GenerationOptions, Profile


def load_settings(tmp_path: Path, text: str) -> Settings:
    """Load the settings of this semsearch.toml."""
    (tmp_path / "semsearch.toml").write_text(text)
    return Settings.load({}, folder=tmp_path)


def test_three_profiles_are_built_in() -> None:
    """Without an answer, support escalates to a person, an assistant says so, and a writer drafts."""
    assert {name: profile.on_no_answer for name, profile in PROFILES.items()} == {
        "support": "escalate",
        "assistant": "say_so",
        "writer": "draft",
    }


def test_text_without_an_answer_depends_on_the_profile() -> None:
    """The default profile has no text; a configured text replaces the built-in one."""
    assert DEFAULT_PROFILE.get_no_answer_text() == ""
    assert PROFILES["support"].get_no_answer_text() == ESCALATE_TEXT
    assert PROFILES["assistant"].get_no_answer_text() == NO_ANSWER_TEXT
    assert Profile(on_no_answer="say_so", no_answer_text="No idea.").get_no_answer_text() == "No idea."
    assert Profile(on_no_answer="draft", no_answer_text="No idea.").get_no_answer_text() == ""


def test_configured_profiles_are_added_to_the_built_in_ones(tmp_path: Path) -> None:
    """Every value can be set, and a built-in profile can be replaced."""
    settings = load_settings(
        tmp_path,
        '[profiles.legal]\nsystem = "Be exact."\npolicy = "strict"\nk = 12\ntemperature = 0\nmax_tokens = 300\n'
        'model = "m"\non_no_answer = "say_so"\nno_answer_text = "Ask the lawyers."\n[profiles.support]\nk = 3\n',
    )
    assert settings.profiles["legal"] == Profile("Be exact.", "strict", 12, 0.0, 300, "m", "say_so", "Ask the lawyers.")
    assert settings.profiles["support"] == Profile(k=3)
    with (
        Library(tmp_path / "indexes", settings=settings) as library,
        pytest.raises(InvalidError, match="there are assistant, legal, support, writer"),
    ):
        library.create("handbook").ask("How long?", options=GenerationOptions(profile="x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[profiles.x]\npolicy = "hard"', "profiles.x.policy: 'hard' is none of strict, flag, off"),
        ('[profiles.x]\non_no_answer = "guess"', "profiles.x.on_no_answer: 'guess' is none of"),
        ("[profiles.x]\nk = 0", r"profiles.x.k: 0 is not between 1 and 100"),
        ("[profiles.x]\nsystems = 1", "profiles.x has no 'systems'; it may have system, policy"),
        ("[profiles.'A b']\nk = 1", "'A b' cannot name a profile"),
        ("profiles = 3", r"profiles must hold tables"),
    ],
)
def test_invalid_profile_is_named(tmp_path: Path, text: str, message: str) -> None:
    """The message has the table, the value and the allowed values."""
    with pytest.raises(InvalidError, match=message):
        load_settings(tmp_path, text)
