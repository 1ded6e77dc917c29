"""Trust in configuration files, and the precedence of sources that set the same value."""

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
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def load(folder: Path, text: str, user_text: str = "", **environ: str) -> Settings:
    """Load settings with `text` in the file of the working folder and `user_text` in the user's own file."""
    (folder / "semsearch.toml").write_text(text)
    (folder.parent / "config" / "semsearch").mkdir(parents=True, exist_ok=True)
    (folder.parent / "config" / "semsearch" / "semsearch.toml").write_text(user_text)
    xdg_folders = {"XDG_CONFIG_HOME": str(folder.parent / "config"), "XDG_STATE_HOME": str(folder.parent / "state")}
    return Settings.load({**xdg_folders, **environ}, folder=folder)


NEED_TRUST = [
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
    ("[chat]\nprompt_file = 'own.txt'", "chat.prompt_file"),
    ("[profiles.x]\nprompt_file = 'own.txt'", "profiles.x.prompt_file"),
    ("public_url = 'http://127.0.0.1:9'", "public_url"),
    ("keep_days = 1", "keep_days"),
    ("keep_days = 90", "keep_days"),
    ("[embeddings]\ncache_gib = 0.01", "embeddings.cache_gib"),
    ("[originals]\ngib = 0", "originals.gib"),
    ("database_url = 'postgresql://127.0.0.1:9'", "database_url"),
    ("[http]\nallowed_hosts = ['*']", "http.allowed_hosts"),
    ("[http]\ncors_origins = ['https://app.example.org']", "http.cors_origins"),
    ("[access]", "access"),
    ("[access]\nproxy = true", "access"),
    ("[[sources]]\nfolder = '/etc'", "sources"),
    ("sources = []", "sources"),
]


@pytest.mark.parametrize(("text", "name"), NEED_TRUST)
def test_untrusted_file_with_settings_that_need_trust_is_refused(folder: Path, text: str, name: str) -> None:
    """The message names the setting and the command that trusts the file; names of future settings are refused too."""
    with pytest.raises(ForbiddenError, match=f"sets {name}: .* semsearch config trust"):
        load(folder, text)


@pytest.mark.parametrize(
    ("text", "name"), [(text, name) for text, name in NEED_TRUST if name.split(".")[0] not in ("chat", "embeddings")]
)
def test_trusted_file_is_never_refused_for_lack_of_trust(folder: Path, text: str, name: str) -> None:
    """What is wrong with it is an unknown setting, or one that lacks another, not a lack of trust."""
    (folder / "named.toml").write_text(text)
    try:
        Settings.load({}, folder=folder, config=folder / "named.toml")
    except SemsearchError as exc:
        assert isinstance(exc, InvalidError)
        assert any(text in str(exc) for text in ("no setting", "has no", "belong together"))


def test_untrusted_file_may_set_what_needs_no_trust(folder: Path) -> None:
    """Models, profiles, budgets and prices of an untrusted file take effect."""
    settings = load(
        folder,
        "data_dir = './inner/../indexes'\n[chat]\nmodel = 'm'\n[budget]\nday_usd = 5\n"
        "[profiles.x]\nsystem = 's'\n[prices.m]\ninput = 1\n",
    )
    assert settings.data_dir.resolve() == folder / "indexes"
    assert (settings.chat_model, settings.budget.total.day_usd) == ("m", 5)
    assert settings.profiles["x"].system == "s"
    assert [price.model for price in settings.prices] == ["m"]


@pytest.mark.parametrize(
    "name", ["..", "../project-2", "/srv/indexes", "leaving", "leaving/below", "in/../../out", "a\\u0000"]
)
def test_data_directory_outside_the_folder_needs_trust(folder: Path, name: str) -> None:
    """The path leaves the folder by `..`, absolutely, by a link, or to a folder with the same prefix."""
    (folder / "leaving").symlink_to(folder.parent)
    with pytest.raises(ForbiddenError, match="sets data_dir: "):
        load(folder, f'data_dir = "{name}"')


@pytest.mark.parametrize("name", [".", "indexes", "staying/below", "leaving/../indexes"])
def test_data_directory_in_the_folder_needs_no_trust(folder: Path, name: str) -> None:
    """Links that stay in the folder and absolute paths into it are allowed."""
    (folder / "staying").symlink_to(folder / "data")
    (folder / "leaving").mkdir()
    assert load(folder, f'data_dir = "{name}"').data_dir.is_relative_to(folder)
    assert load(folder, f'data_dir = "{folder}/{name}"').data_dir.is_relative_to(folder)


def test_data_directory_in_a_linked_working_folder_needs_no_trust(folder: Path) -> None:
    """Both paths are resolved before they are compared."""
    link = folder.parent / "link"
    link.symlink_to(folder)
    (folder / "semsearch.toml").write_text(f'data_dir = "{folder}/indexes"')
    assert Settings.load({}, folder=link).data_dir == folder / "indexes"


def test_linked_file_needs_trust_under_its_own_path(folder: Path) -> None:
    """A link to a file in another folder does not make that folder the working folder."""
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
def test_untrusted_file_cannot_raise_a_budget_of_the_user(folder: Path, text: str) -> None:
    """Values that are not numbers are refused too."""
    with pytest.raises(ForbiddenError, match=r"sets budget\.day_usd"):
        load(folder, f"[budget]\n{text}", "[budget]\nday_usd = 5")


def test_untrusted_file_may_lower_a_budget_and_set_another(folder: Path) -> None:
    """Both limits take effect."""
    settings = load(folder, "[budget]\nday_usd = 4\nmonth_tokens = 9", "[budget]\nday_usd = 5")
    assert settings.budget == Budget(BudgetLimits(day_usd=4.0, month_tokens=9))


def test_prices_need_trust_where_the_user_has_a_budget_in_dollars(folder: Path) -> None:
    """A price of 0 would disable the budget."""
    prices = "[prices.m]\ninput = 0"
    with pytest.raises(ForbiddenError, match=r"sets prices\.m\.input"):
        load(folder, prices, SEMSEARCH_BUDGET__DAY_USD="5")
    with pytest.raises(ForbiddenError, match=r"sets prices\.m\.input"):
        load(folder, prices, "[budget.per_owner]\nmonth_usd = 5")
    assert load(folder, prices, "[budget]\nday_tokens = 5").prices


def test_message_has_no_long_lists_or_control_characters(folder: Path) -> None:
    """The message names the first settings, with control characters escaped."""
    text = "".join(f'[profiles."\\u001b[2J{number}"]\nwebhook_url = "x"\n' for number in range(20))
    with pytest.raises(ForbiddenError, match=r"profiles\.\\x1b\[2J0\.webhook_url.* and 12 more: ") as caught:
        load(folder, text)
    assert "\x1b" not in str(caught.value)


def test_concurrent_updates_of_the_record_lose_nothing(folder: Path) -> None:
    """Each thread or process reads and replaces the record under one lock."""
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


# precedence of sources


def test_sources_have_a_fixed_precedence(folder: Path) -> None:
    """The order is: environment, the folder's file, the user's own file, default."""
    user_text = (
        "[chat]\nmodel = 'own'\nsystem = 'own'\nmax_tokens = 1\n[profiles.x]\nsystem = 'own'\n[profiles.y]\nk = 2"
    )
    text = "[chat]\nmodel = 'folder'\nsystem = 'folder'\n[profiles.x]\nsystem = 'folder'"
    settings = load(folder, text, user_text, SEMSEARCH_CHAT__MODEL="environment")
    assert (settings.chat_model, settings.system, settings.max_tokens) == ("environment", "folder", 1)
    assert (settings.keep_days, settings.profiles["x"].system, settings.profiles["y"].k) == (90, "folder", 2)


def test_key_in_the_environment_overrides_a_key_file_of_a_configuration_file(folder: Path) -> None:
    """Key and key file are two forms of one setting."""
    user_text = "[chat]\napi_key_file = 'key'"
    assert load(folder, "", user_text, SEMSEARCH_CHAT__API_KEY="sk-1").chat.key.read() == "sk-1"
    assert load(folder, "", user_text).chat.key.file == folder.parent / "config" / "semsearch" / "key"


def test_user_file_is_trusted_when_its_folder_is_the_working_folder(folder: Path) -> None:
    """A command that is started in the user's configuration folder reads the file as trusted."""
    user_folder = folder.parent / "config" / "semsearch"
    user_folder.mkdir(parents=True)
    (user_folder / "semsearch.toml").write_text("[chat]\nbase_url = 'http://127.0.0.1:9/v1'")
    settings = Settings.load({"XDG_CONFIG_HOME": str(user_folder.parent)}, folder=user_folder)
    assert settings.chat.base_url == "http://127.0.0.1:9/v1"


def test_user_file_is_below_home_by_default(tmp_path: Path) -> None:
    """A relative XDG_CONFIG_HOME or HOME is ignored, because it would depend on the working folder."""
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


def test_error_in_the_user_file_names_its_path(folder: Path) -> None:
    """Every kind of error message begins with the path of the user's file."""
    path = folder.parent / "config" / "semsearch" / "semsearch.toml"
    for text, message in (
        ("keep_day = 3", "there is no setting keep_day"),
        ("keep_days = 'x'", "keep_days: 'x' is not a number"),
        ("[profiles.x]\ntune = 'y'", "profiles.x has no 'tune'"),
        ("[prices.m]\noutput = 1", "prices.m needs an input"),
    ):
        with pytest.raises(InvalidError) as caught:
            load(folder, "", text)
        assert str(caught.value).startswith(f"{path}: {message}")


def test_file_cannot_name_another_configuration_file(folder: Path) -> None:
    """`config` is not a setting of a file."""
    with pytest.raises(InvalidError, match="no setting config"):
        load(folder, "config = 'other.toml'")


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "#" * (MAX_CONFIG_BYTES + 1), "\0"])
def test_hostile_file_is_an_error_with_its_name(folder: Path, text: str) -> None:
    """A file that is nested too deeply, too large, or not text is InvalidError."""
    with pytest.raises(InvalidError, match=r"semsearch\.toml is"):
        load(folder, text)


def test_unreadable_file_is_an_error(folder: Path) -> None:
    """It is not ignored, because it could contain a budget."""
    (folder / "semsearch.toml").mkdir()
    with pytest.raises(StorageError, match=r"semsearch\.toml cannot be read"):
        Settings.load({}, folder=folder)
