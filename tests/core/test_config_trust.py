"""Which settings of a configuration file need trust, and where a value comes from when several files set it."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from semsearch.core.config_files import MAX_CONFIG_BYTES, read_config
from semsearch.core.config_trust import add_trust
from semsearch.core.errors import ForbiddenError, InvalidError, SemsearchError, StorageError
from semsearch.core.settings import Settings
from semsearch.core.types.usage import Budget, BudgetLimits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working folder."""
    made = tmp_path / "project"
    made.mkdir()
    return made


def load(folder: Path, text: str, own: str = "", **environ: str) -> Settings:
    """The settings with this text in the working folder's file and that in the user's own."""
    (folder / "semsearch.toml").write_text(text)
    (folder.parent / "config" / "semsearch").mkdir(parents=True, exist_ok=True)
    (folder.parent / "config" / "semsearch" / "semsearch.toml").write_text(own)
    named = {"XDG_CONFIG_HOME": str(folder.parent / "config"), "XDG_STATE_HOME": str(folder.parent / "state")}
    return Settings.load({**named, **environ}, folder=folder)


NEEDY = [
    ("[chat]\nbase_url = 'http://127.0.0.1:9/v1'", "chat.base_url"),
    ("chat.base_url = 'http://127.0.0.1:9/v1'", "chat.base_url"),
    ("[chat]\nbase_url = ''", "chat.base_url"),
    ("[embeddings]\nbase_url = 'http://127.0.0.1:9/v1'", "embeddings.base_url"),
    ("[rerank]\nbase_url = 'http://127.0.0.1:9/v1'", "rerank.base_url"),
    ("[check]\napi_key_file = 'key'", "check.api_key_file"),
    ("[chat]\napi_key = 'sk-1'", "chat.api_key"),
    ("[embeddings]\napi_key_file = 'key'", "embeddings.api_key_file"),
    ("[profiles.x]\nwebhook_url = 'http://127.0.0.1:9'", "profiles.x.webhook_url"),
    ("[profiles.x]\nwebhook_secret_file = 'key'", "profiles.x.webhook_secret_file"),
    ("public_url = 'http://127.0.0.1:9'", "public_url"),
    ("database_url = 'postgresql://127.0.0.1:9'", "database_url"),
    ("[http]\nallowed_hosts = ['*']", "http.allowed_hosts"),
    ("[http]\ncors_origins = ['*']", "http.cors_origins"),
    ("[access]", "access"),
    ("[access]\nproxy = true", "access"),
    ("[[sources]]\nfolder = '/etc'", "sources"),
    ("sources = []", "sources"),
]


@pytest.mark.parametrize(("text", "name"), NEEDY)
def test_settings_that_need_trust_are_refused_by_name(folder: Path, text: str, name: str) -> None:
    """Those that do not exist yet as well; the message has the command that allows them."""
    with pytest.raises(ForbiddenError, match=f"sets {name}: .* semsearch config trust"):
        load(folder, text)


@pytest.mark.parametrize(
    ("text", "name"), [each for each in NEEDY if each[1].split(".")[0] not in ("chat", "embeddings")]
)
def test_in_a_trusted_file_they_are_settings_like_any_other(folder: Path, text: str, name: str) -> None:
    """What does not exist yet is an unknown setting there; trust in a file is never what is missing."""
    (folder / "named.toml").write_text(text)
    try:
        Settings.load({}, folder=folder, config=folder / "named.toml")
    except SemsearchError as exc:
        assert isinstance(exc, InvalidError)
        assert "no setting" in str(exc) or "has no" in str(exc)


def test_what_needs_no_trust_is_taken(folder: Path) -> None:
    """Models, profiles, budgets and prices of a foreign folder hold in it."""
    settings = load(
        folder,
        "data_dir = './inner/../indexes'\nkeep_days = 3\n[chat]\nmodel = 'm'\n[budget]\nday_usd = 5\n"
        "[profiles.x]\nsystem = 's'\n[prices.m]\ninput = 1\n",
    )
    assert settings.data_dir.resolve() == folder / "indexes"
    assert (settings.keep_days, settings.chat_model, settings.budget.total.day_usd) == (3, "m", 5)
    assert settings.profiles["x"].system == "s"
    assert [price.model for price in settings.prices] == ["m"]


@pytest.mark.parametrize(
    "name", ["..", "../project-2", "/srv/indexes", "leaving", "leaving/below", "in/../../out", "a\\u0000"]
)
def test_a_data_directory_outside_the_folder_needs_trust(folder: Path, name: str) -> None:
    """By `..`, by an absolute path, by a link; what merely begins like the folder is not in it."""
    (folder / "leaving").symlink_to(folder.parent)
    with pytest.raises(ForbiddenError, match="sets data_dir: "):
        load(folder, f'data_dir = "{name}"')


@pytest.mark.parametrize("name", [".", "indexes", "staying/below", "leaving/../indexes"])
def test_a_data_directory_in_the_folder_needs_no_trust(folder: Path, name: str) -> None:
    """Links in the folder that stay in it, and an absolute path into it."""
    (folder / "staying").symlink_to(folder / "data")
    (folder / "leaving").mkdir()
    assert load(folder, f'data_dir = "{name}"').data_dir.is_relative_to(folder)
    assert load(folder, f'data_dir = "{folder}/{name}"').data_dir.is_relative_to(folder)


def test_a_data_directory_in_the_folder_by_a_link_to_the_folder_needs_no_trust(folder: Path) -> None:
    """Both sides are resolved before they are compared."""
    link = folder.parent / "link"
    link.symlink_to(folder)
    (folder / "semsearch.toml").write_text(f'data_dir = "{folder}/indexes"')
    assert Settings.load({}, folder=link).data_dir == folder / "indexes"


def test_a_link_does_not_widen_what_a_file_may_set(folder: Path) -> None:
    """A file elsewhere that the folder links to is trusted by its own path; its folder is not the working folder."""
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "team.toml").write_text('data_dir = "indexes"\n[chat]\napi_key_file = "key"\n')
    (folder / "semsearch.toml").symlink_to(elsewhere / "team.toml")
    environ = {"XDG_STATE_HOME": str(folder.parent / "state")}
    with pytest.raises(ForbiddenError, match=r"team\.toml is not trusted, and sets data_dir, chat\.api_key_file"):
        Settings.load(environ, folder=folder)
    file = read_config(elsewhere / "team.toml", "team.toml")
    assert file is not None
    add_trust(file, folder.parent / "state" / "semsearch" / "trusted.json")
    settings = Settings.load(environ, folder=folder)
    assert (settings.data_dir, settings.chat.key.file) == (elsewhere / "indexes", elsewhere / "key")


@pytest.mark.parametrize("text", ["day_usd = 6", "day_usd = 'nan'", "day_usd = 'inf'", "day_usd = '6'", "day_usd = []"])
def test_an_untrusted_file_raises_no_budget_of_the_user(folder: Path, text: str) -> None:
    """Whatever it writes in place of the number."""
    with pytest.raises(ForbiddenError, match=r"sets budget\.day_usd"):
        load(folder, f"[budget]\n{text}", "[budget]\nday_usd = 5")


def test_an_untrusted_file_may_lower_a_budget_and_set_another(folder: Path) -> None:
    """Both hold."""
    settings = load(folder, "[budget]\nday_usd = 4\nmonth_tokens = 9", "[budget]\nday_usd = 5")
    assert settings.budget == Budget(BudgetLimits(day_usd=4.0, month_tokens=9))


def test_prices_need_trust_where_the_user_has_a_budget_in_dollars(folder: Path) -> None:
    """A price of nothing would switch it off."""
    prices = "[prices.m]\ninput = 0"
    with pytest.raises(ForbiddenError, match=r"sets prices\.m\.input"):
        load(folder, prices, SEMSEARCH_BUDGET__DAY_USD="5")
    with pytest.raises(ForbiddenError, match=r"sets prices\.m\.input"):
        load(folder, prices, "[budget.per_owner]\nmonth_usd = 5")
    assert load(folder, prices, "[budget]\nday_tokens = 5").prices


def test_long_lists_and_control_characters_do_not_reach_the_terminal(folder: Path) -> None:
    """The message names the first settings, with what a terminal would obey escaped."""
    text = "".join(f'[profiles."\\u001b[2J{number}"]\nwebhook_url = "x"\n' for number in range(20))
    with pytest.raises(ForbiddenError, match=r"profiles\.\\x1b\[2J0\.webhook_url.* and 12 more: ") as caught:
        load(folder, text)
    assert "\x1b" not in str(caught.value)


def test_no_thread_or_process_undoes_what_another_has_recorded(folder: Path) -> None:
    """Each reads and replaces the record under one lock."""
    files = []
    for number in range(100):
        path = folder / f"{number}.toml"
        path.touch()
        file = read_config(path, path.name)
        assert file is not None
        files.append(file)
    record = folder / "state" / "trusted.json"
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda file: add_trust(file, record), files))
    assert json.loads(record.read_text()) == {str(file.path): file.sha256 for file in files}


# where a value comes from


def test_each_place_goes_before_the_next(folder: Path) -> None:
    """Environment, the folder's file, the user's own, the default."""
    own = "[chat]\nmodel = 'own'\nsystem = 'own'\nmax_tokens = 1\n[profiles.x]\nsystem = 'own'\n[profiles.y]\nk = 2"
    text = "[chat]\nmodel = 'folder'\nsystem = 'folder'\n[profiles.x]\nsystem = 'folder'"
    settings = load(folder, text, own, SEMSEARCH_CHAT__MODEL="environment")
    assert (settings.chat_model, settings.system, settings.max_tokens) == ("environment", "folder", 1)
    assert (settings.keep_days, settings.profiles["x"].system, settings.profiles["y"].k) == (90, "folder", 2)


def test_a_key_of_an_earlier_place_goes_before_a_key_file_of_a_later_one(folder: Path) -> None:
    """The two are one setting in two forms."""
    own = "[chat]\napi_key_file = 'key'"
    assert load(folder, "", own, SEMSEARCH_CHAT__API_KEY="sk-1").chat.key.read() == "sk-1"
    assert load(folder, "", own).chat.key.file == folder.parent / "config" / "semsearch" / "key"


def test_the_user_s_own_file_is_not_foreign_in_its_own_folder(folder: Path) -> None:
    """A command that is started there reads it as ever."""
    own = folder.parent / "config" / "semsearch"
    own.mkdir(parents=True)
    (own / "semsearch.toml").write_text("[chat]\nbase_url = 'http://127.0.0.1:9/v1'")
    settings = Settings.load({"XDG_CONFIG_HOME": str(own.parent)}, folder=own)
    assert settings.chat.base_url == "http://127.0.0.1:9/v1"


def test_the_user_s_own_file_is_below_home_by_default(tmp_path: Path) -> None:
    """A relative XDG_CONFIG_HOME or HOME is not taken: it would lead into the working folder."""
    (tmp_path / ".config" / "semsearch").mkdir(parents=True)
    (tmp_path / ".config" / "semsearch" / "semsearch.toml").write_text("keep_days = 7")
    (tmp_path / "empty").mkdir()
    for environ, days in (
        ({"HOME": str(tmp_path)}, 7),
        ({"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative"}, 7),
        ({"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "empty")}, 90),
        ({"HOME": os.path.relpath(tmp_path)}, 90),
        ({"HOME": "/dev/null"}, 90),
        ({}, 90),
    ):
        assert Settings.load(environ, folder=tmp_path / "empty").keep_days == days


def test_a_mistake_in_the_user_s_own_file_is_named_with_its_path(folder: Path) -> None:
    """It is not looked for in the working folder."""
    path = folder.parent / "config" / "semsearch" / "semsearch.toml"
    for text, message in (
        ("keep_day = 3", "there is no setting keep_day"),
        ("keep_days = 'x'", "keep_days: 'x' is not a number"),
        ("[profiles.x]\ntone = 'y'", "profiles.x has no 'tone'"),
        ("[prices.m]\noutput = 1", "prices.m needs an input"),
    ):
        with pytest.raises(InvalidError) as caught:
            load(folder, "", text)
        assert str(caught.value).startswith(f"{path}: {message}")


def test_config_is_no_setting_of_a_file(folder: Path) -> None:
    """One file does not name another."""
    with pytest.raises(InvalidError, match="no setting config"):
        load(folder, "config = 'other.toml'")


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "#" * (MAX_CONFIG_BYTES + 1), "\0"])
def test_a_hostile_file_is_an_error_with_its_name(folder: Path, text: str) -> None:
    """Nested too deeply, too large, or not text."""
    with pytest.raises(InvalidError, match=r"semsearch\.toml is"):
        load(folder, text)


def test_a_file_that_cannot_be_read_is_an_error(folder: Path) -> None:
    """It could hold a budget."""
    (folder / "semsearch.toml").mkdir()
    with pytest.raises(StorageError, match=r"semsearch\.toml cannot be read"):
        Settings.load({}, folder=folder)
