"""Settings: where a value comes from, and what a wrong one is told."""

import re
from pathlib import Path

import pytest

from semsearch.core.errors import InvalidError, UnavailableError
from semsearch.core.settings import OPENAI_URL, Secret, Settings
from semsearch.core.types.usage import Budget, BudgetLimits, Price


def test_works_with_nothing_set(tmp_path: Path) -> None:
    """Without any setting everything stays on this machine."""
    settings = Settings.load({}, folder=tmp_path)
    assert settings.chat_model is None
    assert settings.data_dir == Path("indexes")


def test_environment_goes_before_file(tmp_path: Path) -> None:
    """A variable wins over semsearch.toml, and that over the default."""
    (tmp_path / "semsearch.toml").write_text('data_dir = "here"\n[chat]\nmodel = "m"\nmax_tokens = 5\n')
    settings = Settings.load({"SEMSEARCH_CHAT__MODEL": "n"}, folder=tmp_path)
    assert (settings.data_dir, settings.chat_model, settings.max_tokens) == (tmp_path / "here", "n", 5)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SEMSEARCH_CHAT__MAX_TOKENS", "soon", "SEMSEARCH_CHAT__MAX_TOKENS: 'soon' is not a number"),
        ("SEMSEARCH_CHAT__TEMPERATURE", "9", "SEMSEARCH_CHAT__TEMPERATURE: '9' is not between 0 and 2"),
        ("SEMSEARCH_CHAT__TEMPERATURE", "nan", "SEMSEARCH_CHAT__TEMPERATURE: 'nan' is not between 0 and 2"),
    ],
)
def test_wrong_values_are_named(name: str, value: str, said: str, tmp_path: Path) -> None:
    """The message has the variable and the value."""
    with pytest.raises(InvalidError, match=said):
        Settings.load({name: value}, folder=tmp_path)


def test_broken_file_is_named(tmp_path: Path) -> None:
    """A file that is not TOML is an error, not a silent default."""
    (tmp_path / "semsearch.toml").write_text("chat = [")
    with pytest.raises(InvalidError, match=r"semsearch\.toml is not valid TOML"):
        Settings.load({}, folder=tmp_path)


def test_openai_key_goes_to_openai_only(tmp_path: Path) -> None:
    """OPENAI_API_KEY is for OPENAI_BASE_URL, or for OpenAI; another server needs a key of its own."""
    environ = {"OPENAI_API_KEY": "sk-1", "SEMSEARCH_CHAT__BASE_URL": "http://localhost:11434/v1"}
    settings = Settings.load(environ, folder=tmp_path)
    assert settings.chat.key.read() is None
    assert (settings.embeddings.base_url, settings.embeddings.key.read()) == (OPENAI_URL, "sk-1")
    moved = Settings.load({"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://localhost:1/v1/"}, folder=tmp_path)
    assert (moved.chat.base_url, moved.chat.key.read()) == ("http://localhost:1/v1", "sk-1")


def test_a_key_never_turns_a_paid_model_on(tmp_path: Path) -> None:
    """With OPENAI_API_KEY alone answers stay extractive."""
    settings = Settings.load({"OPENAI_API_KEY": "sk-1"}, folder=tmp_path)
    assert (settings.chat_model, settings.has_openai_key) == (None, True)
    assert not Settings.load({"OPENAI_API_KEY": ""}, folder=tmp_path).has_openai_key


def test_key_file_is_read_anew(tmp_path: Path) -> None:
    """A key is rotated by writing its file, no restart; a missing one may come back; its path is not told."""
    file = tmp_path / "key"
    file.write_text("first\n")
    key = Settings.load({"SEMSEARCH_CHAT__API_KEY_FILE": str(file)}, folder=tmp_path).chat.key
    assert key.read() == "first"
    file.write_text("second\n")
    assert key.read() == "second"
    file.unlink()
    with pytest.raises(UnavailableError, match="SEMSEARCH_CHAT__API_KEY_FILE: the key file") as caught:
        key.read()
    assert str(tmp_path) not in str(caught.value)


def test_keys_stay_out_of_reprs() -> None:
    """Neither the secret nor the settings that hold it show it when printed."""
    assert "sk-secret" not in repr(Settings(chat=Settings().chat.__class__(key=Secret("sk-secret"))))


def test_budgets_prices_and_policy_come_from_the_file(tmp_path: Path) -> None:
    """Everything that bounds the bill can be written down beside the rest."""
    (tmp_path / "semsearch.toml").write_text(
        "[budget]\nday_usd = 5\nmonth_tokens = 1000000\n[budget.per_owner]\nday_usd = 0.5\n"
        '[prices."my-model"]\ninput = 0.3\noutput = 1.2\ncached = 0.1\nsince = 2026-11-01\n[chat]\npolicy = "strict"\n'
    )
    settings = Settings.load({}, folder=tmp_path)
    assert settings.budget == Budget(BudgetLimits(day_usd=5.0, month_tokens=1_000_000), BudgetLimits(day_usd=0.5))
    assert settings.prices == (Price("my-model", "2026-11-01", 0.3, 1.2, 0.1),)
    assert settings.policy == "strict"


def test_a_budget_can_be_set_by_the_environment(tmp_path: Path) -> None:
    """Like every other setting."""
    environ = {"SEMSEARCH_BUDGET__DAY_USD": "2", "SEMSEARCH_BUDGET__PER_OWNER__MONTH_TOKENS": "10"}
    assert Settings.load(environ, folder=tmp_path).budget == Budget(
        BudgetLimits(day_usd=2.0), BudgetLimits(month_tokens=10)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[prices.m]\noutput = 1", "prices.m needs an input"),
        ("[prices.m]\ninput = 1\nsince = 3", "prices.m.since is not a date"),
        ("[prices.m]\ninput = -1", "prices.m.input: -1 is not between"),
        ("[budget]\nday_usd = 'much'", "budget.day_usd: 'much' is not a number"),
        ("[chat]\npolicy = 'lax'", "chat.policy: 'lax' is none of strict, flag, off"),
        ("[index]\nthresholds = 9", "index.thresholds: 9 is not two whole numbers such as 2000000,150000"),
        ("[index]\nthresholds = [1, 2, 3]", r"index.thresholds: \[1, 2, 3\] is not two whole numbers"),
    ],
)
def test_wrong_tables_are_named(tmp_path: Path, text: str, said: str) -> None:
    """The message has the table and the value."""
    (tmp_path / "semsearch.toml").write_text(text)
    with pytest.raises(InvalidError, match=said):
        Settings.load({}, folder=tmp_path)


@pytest.mark.parametrize("given", ["[7, 12]", "'7,12'", "'7, 12'"])
def test_two_numbers_may_be_a_list(tmp_path: Path, given: str) -> None:
    """As TOML has them, or a text as in the environment."""
    (tmp_path / "semsearch.toml").write_text(f"[index]\nthresholds = {given}")
    assert Settings.load({}, folder=tmp_path).index_thresholds == (7, 12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[budget]\ndaily_usd = 5", r"no setting budget\.daily_usd; the nearest is budget\.day_usd"),
        ("[budgets]\nday_usd = 5", r"no setting budgets\.day_usd; the nearest is budget\.day_usd"),
        ("[budget.per_owners]\nday_usd = 5", r"the nearest is budget\.per_owner\.day_usd"),
        ("[chat]\nmodle = 'm'", r"no setting chat\.modle; the nearest is chat\.model"),
        ("chat = 'm'", "no setting chat; the nearest is chat"),
        ("keep_day = 5", "no setting keep_day; the nearest is keep_days"),
        ("[[budget]]\nday_usd = 5", "no setting budget; the nearest is budget"),
    ],
)
def test_what_is_no_setting_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """A misspelt budget is never no budget; the message has the name that is nearest."""
    (tmp_path / "semsearch.toml").write_text(text)
    with pytest.raises(InvalidError, match=said):
        Settings.load({}, folder=tmp_path)


def test_a_variable_that_is_no_setting_is_refused(tmp_path: Path) -> None:
    """But for those of others, for what is not set, and for what a cluster sets where a service has our name."""
    with pytest.raises(InvalidError, match="SEMSEARCH_BUDGET__DAY_USDD; the nearest is SEMSEARCH_BUDGET__DAY_USD"):
        Settings.load({"SEMSEARCH_BUDGET__DAY_USDD": "5"}, folder=tmp_path)
    environ = {"PATH": "/bin", "SEMSEARCH_X": "", "SEMSEARCH_SERVICE_HOST": "::1", "SEMSEARCH_PORT_8765_TCP": "tcp"}
    environ |= {"SEMSEARCH_WEB_SERVICE_PORT_HTTP": "80", "SEMSEARCH_DB_PORT_5432_TCP_ADDR": "::1"}
    assert Settings.load(environ, folder=tmp_path) == Settings.load({}, folder=tmp_path)


def test_all_that_is_documented_may_be_set(tmp_path: Path) -> None:
    """No name in the README is refused."""
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    names, said = re.findall(r"`(SEMSEARCH_\w+[A-Z])`", readme), []
    for name in names:
        try:
            Settings.load({name: "1"}, folder=tmp_path)
        except InvalidError as exc:
            said.append(str(exc))
    assert len(names) > 20
    assert not [each for each in said if "no setting" in each]


def test_what_users_of_the_official_client_set_is_honoured(tmp_path: Path) -> None:
    """Organisation, project, proxy and authorities; the first two only where the key goes too."""
    environ = {
        "OPENAI_API_KEY": "k",
        "OPENAI_ORG_ID": "org",
        "OPENAI_PROJECT_ID": "proj",
        "HTTPS_PROXY": "http://proxy:3128",
        "SSL_CERT_FILE": "/etc/authorities.pem",
        "SEMSEARCH_EMBEDDINGS__BASE_URL": "http://localhost:11434/v1",
        "NO_PROXY": "localhost",
    }
    settings = Settings.load(environ, folder=tmp_path)
    chat, embeddings = settings.chat, settings.embeddings
    assert (chat.organization, chat.project, chat.proxy) == ("org", "proj", "http://proxy:3128")
    assert chat.ca_file == Path("/etc/authorities.pem")
    assert (chat.timeout, Settings.load({"SEMSEARCH_CHAT__TIMEOUT": "9"}, folder=tmp_path).chat.timeout) == (600, 9)
    assert (embeddings.organization, embeddings.project, embeddings.proxy, embeddings.key.read()) == (None,) * 4


def test_a_proxy_is_passed_by_where_it_should_be(tmp_path: Path) -> None:
    """NO_PROXY and the address's own scheme decide."""
    environ = {"HTTP_PROXY": "http://a", "OPENAI_BASE_URL": "https://models.example/v1", "ALL_PROXY": "http://b"}
    assert Settings.load(environ, folder=tmp_path).chat.proxy == "http://b"
    assert Settings.load({**environ, "NO_PROXY": ".example"}, folder=tmp_path).chat.proxy is None


def test_a_proxy_without_a_scheme_is_one_of_http(tmp_path: Path) -> None:
    """As curl takes it."""
    assert Settings.load({"HTTPS_PROXY": "proxy:3128"}, folder=tmp_path).chat.proxy == "http://proxy:3128"
