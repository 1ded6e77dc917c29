"""Built-in profiles, and profiles of semsearch.toml."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.upstream import KEY, run_upstream

from semsearch import Library, text_source
from semsearch.answers.profile_texts import localize_texts
from semsearch.answers.profiles import DEFAULT_PROFILE, PROFILES
from semsearch.core.errors import ForbiddenError, InvalidError
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answer_requests import ESCALATE_TEXT, NO_ANSWER_TEXT, GenerationOptions, Profile
from semsearch.core.types.escalations import ForbiddenTopic


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


DESK = """[profiles.desk]
on_no_answer = "escalate"
no_answer_text = {{ en = "Sorry.", de = "Leider nicht." }}
language = "{language}"
tone = "Warm, and brief."
escalate_on = ["talk to a person", " "]
on_forbidden_topic = "escalate"
forbidden_text = "Not here."
forbidden_topics = [{{ description = "legal advice", examples = ["Can I sue you?"] }}]
webhook_url = "https://desk.example/hook"
webhook_secret_file = "desk.secret"
"""


def test_profile_of_a_support_desk_is_read(tmp_path: Path) -> None:
    """The secret file is found beside its configuration file; an untrusted file may not name a webhook."""
    path = tmp_path / "desk.toml"
    path.write_text(DESK.format(language="auto"))
    profile = Settings.load({}, config=path).profiles["desk"]
    assert (profile.tone, profile.escalate_on) == ("Warm, and brief.", ("talk to a person",))
    assert profile.forbidden_topics == (ForbiddenTopic("legal advice", ("Can I sue you?",)),)
    assert profile.webhook is not None
    assert (profile.webhook.url, profile.webhook.secret.file) == ("https://desk.example/hook", tmp_path / "desk.secret")
    with pytest.raises(ForbiddenError, match=r"webhook_url.*webhook_secret_file|webhook_secret_file.*webhook_url"):
        load_settings(tmp_path, DESK.format(language="auto"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tone = '" + 201 * "x" + "'", "the maximum is 200; longer instructions belong into system"),
        ("language = 'German'", "'German' is no language code such as de"),
        ("no_answer_text = { german = 'x' }", "'german' is no language code"),
        ("escalate_on = 'human'", "is no list of phrases"),
        ("forbidden_topics = ['law']", "must be a list of tables with description and examples"),
        ("forbidden_topics = [{ examples = ['x'] }]", "a topic needs a description"),
        ("forbidden_topics = [{ description = 'x', phrases = [] }]", "a topic has no 'phrases'"),
        ("webhook_url = 'https://x.example'", "belong together"),
        ("webhook_secret_file = 'x'", "belong together"),
        ("webhook_url = 'ftp://x.example'\nwebhook_secret_file = 'x'", "begins with http:// or https://"),
        ("webhook_url = 'https://u:p@x.example'\nwebhook_secret_file = 'x'", "has no user in it"),
        ("webhook_url = 'https://x.example'\nwebhook_secret_file = 'x'", "never escalates; set on_no_answer"),
    ],
)
def test_invalid_setting_of_a_support_desk_is_named(tmp_path: Path, text: str, message: str) -> None:
    """A webhook that would never be sent is an error: a profile takes nothing from the built-in one of its name."""
    path = tmp_path / "desk.toml"
    path.write_text(f"[profiles.support]\n{text}\n")
    with pytest.raises(InvalidError, match=re.escape(message)):
        Settings.load({}, config=path)


def test_language_and_tone_are_added_to_the_instructions_of_a_chat_model(tmp_path: Path) -> None:
    """They do not replace the rules."""
    path = tmp_path / "desk.toml"
    path.write_text(DESK.format(language="de"))
    with run_upstream() as upstream:
        chat = Endpoint(upstream.url, Secret(KEY))
        settings = replace(Settings.load({}, config=path), chat=chat, chat_model="m")
        with Library(tmp_path / "indexes", settings=settings) as library:
            handbook = library.create("handbook")
            handbook.upsert([text_source("leave", "Parental leave is 26 weeks at full pay for each parent.")])
            handbook.ask("How long is parental leave?", options=GenerationOptions(profile="desk"))
        instructions = upstream.calls[0].body["messages"][0]["content"]
    assert "Write the answer in German (de), whatever the language of the question is." in instructions
    assert "The tone of the answer: Warm, and brief." in instructions
    assert instructions.index("[[") < instructions.index("The tone")


@pytest.mark.parametrize(
    ("language", "question", "text"),
    [
        (None, "Wie viele Tage Urlaub habe ich?", "Leider nicht."),
        ("auto", "How many days of leave do I have?", "Sorry."),
        ("auto", "Combien de jours de congé ai-je ?", "Sorry."),
        ("auto", "Urlaub", "Sorry."),
        ("de-AT", "How many days of leave do I have?", "Leider nicht."),
        ("fr", "Wie viele Tage Urlaub habe ich?", "Sorry."),
    ],
)
def test_text_is_in_the_language_of_the_profile_or_the_question(language: str, question: str, text: str) -> None:
    """The first text is for every other language, and for questions whose language is unclear."""
    profile = Profile(on_no_answer="say_so", no_answer_text={"en": "Sorry.", "de": "Leider nicht."}, language=language)
    assert localize_texts(profile, question).get_no_answer_text() == text
