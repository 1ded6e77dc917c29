"""Settings: the source of each value, and the messages for wrong values."""

import re
from pathlib import Path

import pytest

from semsearch.core.errors import ForbiddenError, InvalidError, UnavailableError
from semsearch.core.settings import OPENAI_URL, Secret, Settings
from semsearch.core.source_weights import DEFAULT_SOURCE_WEIGHTS
from semsearch.core.types.usage import Budget, BudgetLimits, Price


def test_works_without_any_setting(tmp_path: Path) -> None:
    """By default no model server is used."""
    settings = Settings.load({}, folder=tmp_path)
    assert settings.chat_model is None
    assert settings.data_dir == Path("indexes")


def test_environment_overrides_the_file(tmp_path: Path) -> None:
    """A variable overrides semsearch.toml, and semsearch.toml overrides the default."""
    (tmp_path / "semsearch.toml").write_text('data_dir = "here"\n[chat]\nmodel = "m"\nmax_tokens = 5\n')
    settings = Settings.load({"SEMSEARCH_CHAT__MODEL": "n"}, folder=tmp_path)
    assert (settings.data_dir, settings.chat_model, settings.max_tokens) == (tmp_path / "here", "n", 5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SEMSEARCH_CHAT__MAX_TOKENS", "soon", "SEMSEARCH_CHAT__MAX_TOKENS: 'soon' is not a number"),
        ("SEMSEARCH_CHAT__TEMPERATURE", "9", "SEMSEARCH_CHAT__TEMPERATURE: '9' is not between 0 and 2"),
        ("SEMSEARCH_CHAT__TEMPERATURE", "nan", "SEMSEARCH_CHAT__TEMPERATURE: 'nan' is not between 0 and 2"),
    ],
)
def test_wrong_values_are_named(name: str, value: str, message: str, tmp_path: Path) -> None:
    """The message has the variable and the value."""
    with pytest.raises(InvalidError, match=message):
        Settings.load({name: value}, folder=tmp_path)


def test_invalid_file_is_named(tmp_path: Path) -> None:
    """A file that is not TOML is an error; the defaults are not used instead."""
    (tmp_path / "semsearch.toml").write_text("chat = [")
    with pytest.raises(InvalidError, match=r"semsearch\.toml is not valid TOML"):
        Settings.load({}, folder=tmp_path)


def test_openai_key_is_sent_to_openai_only(tmp_path: Path) -> None:
    """OPENAI_API_KEY is used for OPENAI_BASE_URL, or for OpenAI; another server needs its own key."""
    environ = {"OPENAI_API_KEY": "sk-1", "SEMSEARCH_CHAT__BASE_URL": "http://localhost:11434/v1"}
    settings = Settings.load(environ, folder=tmp_path)
    assert settings.chat.key.read() is None
    assert (settings.embeddings.base_url, settings.embeddings.key.read()) == (OPENAI_URL, "sk-1")
    moved = Settings.load({"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://localhost:1/v1/"}, folder=tmp_path)
    assert (moved.chat.base_url, moved.chat.key.read()) == ("http://localhost:1/v1", "sk-1")


def test_check_model_has_the_server_and_key_of_the_chat_model(tmp_path: Path) -> None:
    """Without its own URL; with one, the key of the chat model is not sent there."""
    environ = {"SEMSEARCH_CHAT__BASE_URL": "http://a/v1", "SEMSEARCH_CHAT__API_KEY": "k", "OPENAI_API_KEY": "sk-1"}
    environ |= {"SEMSEARCH_CHECK__MODEL": "judge"}
    settings = Settings.load(environ, folder=tmp_path)
    assert settings.check_model == "judge"
    assert (settings.check.base_url, settings.check.key.read(), settings.check.timeout) == ("http://a/v1", "k", 10.0)
    own_key = Settings.load({**environ, "SEMSEARCH_CHECK__API_KEY": "l"}, folder=tmp_path).check
    assert (own_key.base_url, own_key.key.read()) == ("http://a/v1", "l")
    own_url = Settings.load({**environ, "SEMSEARCH_CHECK__BASE_URL": "http://b/v1"}, folder=tmp_path).check
    assert (own_url.base_url, own_url.key.read()) == ("http://b/v1", None)
    assert Settings.load({"OPENAI_API_KEY": "sk-1"}, folder=tmp_path).check.key.read() == "sk-1"
    assert Settings.load({}, folder=tmp_path).check_model is None


def test_key_in_a_named_variable(tmp_path: Path) -> None:
    """api_key_env refers to a variable; one that is not set is an error at use, not another key."""
    config = tmp_path / "own.toml"
    config.write_text('[chat]\nbase_url = "http://a/v1"\napi_key_env = "GATEWAY_KEY"\n')
    environ = {"GATEWAY_KEY": "k", "OPENAI_API_KEY": "sk-1"}
    settings = Settings.load(environ, folder=tmp_path, config=config)
    assert (settings.chat.key.read(), settings.check.key.read(), settings.embeddings.key.read()) == ("k", "k", "sk-1")
    with pytest.raises(UnavailableError, match=r"chat\.api_key_env: the environment variable GATEWAY_KEY is not set"):
        Settings.load({"OPENAI_API_KEY": "sk-1"}, folder=tmp_path, config=config).chat.key.read()
    config.write_text('[chat]\nbase_url = "http://a/v1"\napi_key_env = "OPENAI_API_KEY"\n')
    assert Settings.load(environ, folder=tmp_path, config=config).chat.key.read() is None


def test_embedder_of_new_collections(tmp_path: Path) -> None:
    """A relative folder starts at the folder of the file; in an untrusted file the setting is refused."""
    (tmp_path / "own.toml").write_text('[embeddings]\nembedder = "onnx:models/minilm@int8"\n')
    settings = Settings.load({}, folder=tmp_path, config=tmp_path / "own.toml")
    assert settings.embedder == f"onnx:{tmp_path}/models/minilm@int8"
    assert Settings.load({"SEMSEARCH_EMBEDDINGS__EMBEDDER": "openai:e"}, folder=tmp_path).embedder == "openai:e"
    for line in ('[embeddings]\nembedder = "openai:e"\n', '[chat]\napi_key_env = "AWS_SECRET"\n'):
        (tmp_path / "semsearch.toml").write_text(line)
        with pytest.raises(ForbiddenError, match="is not trusted, and sets"):
            Settings.load({}, folder=tmp_path)


@pytest.mark.parametrize("line", ['base_url = "http://a/v1"', 'api_key = "k"', 'api_key_file = "key"'])
def test_untrusted_file_sets_no_server_of_the_check_model(tmp_path: Path, line: str) -> None:
    """Server, key and key file of the section need trust; the model does not."""
    (tmp_path / "semsearch.toml").write_text('[check]\nmodel = "judge"\n')
    assert Settings.load({}, folder=tmp_path).check_model == "judge"
    (tmp_path / "semsearch.toml").write_text(f"[check]\n{line}\n")
    with pytest.raises(ForbiddenError, match="is not trusted, and sets check"):
        Settings.load({}, folder=tmp_path)


def test_key_alone_enables_no_paid_model(tmp_path: Path) -> None:
    """With only OPENAI_API_KEY set, answers stay extractive."""
    settings = Settings.load({"OPENAI_API_KEY": "sk-1"}, folder=tmp_path)
    assert (settings.chat_model, settings.has_openai_key) == (None, True)
    assert not Settings.load({"OPENAI_API_KEY": ""}, folder=tmp_path).has_openai_key


def test_key_file_is_read_at_each_use(tmp_path: Path) -> None:
    """A key is rotated by writing its file; a missing file is UnavailableError, without its path in the message."""
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


def test_repr_contains_no_key() -> None:
    """The repr of the settings does not contain the value of a key."""
    assert "sk-secret" not in repr(Settings(chat=Settings().chat.__class__(key=Secret("sk-secret"))))


def test_file_sets_budgets_prices_and_policy(tmp_path: Path) -> None:
    """All limits on spending can be set in semsearch.toml."""
    (tmp_path / "semsearch.toml").write_text(
        "[budget]\nday_usd = 5\nmonth_tokens = 1000000\n[budget.per_owner]\nday_usd = 0.5\n"
        '[prices."my-model"]\ninput = 0.3\noutput = 1.2\ncached = 0.1\nsince = 2026-11-01\n[chat]\npolicy = "strict"\n'
    )
    settings = Settings.load({}, folder=tmp_path)
    assert settings.budget == Budget(BudgetLimits(day_usd=5.0, month_tokens=1_000_000), BudgetLimits(day_usd=0.5))
    assert settings.prices == (Price("my-model", "2026-11-01", 0.3, 1.2, 0.1),)
    assert settings.policy == "strict"


def test_environment_sets_budgets(tmp_path: Path) -> None:
    """Limits for all owners and for each owner have variables."""
    environ = {"SEMSEARCH_BUDGET__DAY_USD": "2", "SEMSEARCH_BUDGET__PER_OWNER__MONTH_TOKENS": "10"}
    assert Settings.load(environ, folder=tmp_path).budget == Budget(
        BudgetLimits(day_usd=2.0), BudgetLimits(month_tokens=10)
    )


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_wrong_tables_are_named(tmp_path: Path, text: str, message: str) -> None:
    """The message has the table and the value."""
    (tmp_path / "semsearch.toml").write_text(text)
    with pytest.raises(InvalidError, match=message):
        Settings.load({}, folder=tmp_path)


@pytest.mark.parametrize("value", ["[7, 12]", "'7,12'", "'7, 12'"])
def test_two_numbers_may_be_a_list(tmp_path: Path, value: str) -> None:
    """The value is a TOML list, or text as in the environment."""
    (tmp_path / "semsearch.toml").write_text(f"[index]\nthresholds = {value}")
    assert Settings.load({}, folder=tmp_path).index_thresholds == (7, 12)


@pytest.mark.parametrize(("value", "gib"), [("", 2.0), ("0", 0.0), ("0.5", 0.5)])
def test_space_for_originals_is_a_setting(value: str, gib: float, tmp_path: Path) -> None:
    """0 keeps none."""
    assert Settings.load({"SEMSEARCH_ORIGINALS__GIB": value}, folder=tmp_path).originals_gib == gib


@pytest.mark.parametrize(
    ("text", "message"),
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
def test_unknown_setting_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A misspelt budget is an error; the message has the closest name."""
    (tmp_path / "semsearch.toml").write_text(text)
    with pytest.raises(InvalidError, match=message):
        Settings.load({}, folder=tmp_path)


@pytest.mark.parametrize(
    ("environ", "table", "changed"),
    [
        ({}, "", {}),
        ({"SEMSEARCH_SEARCH__SOURCE_WEIGHTS": '{"changelog": 0.1, "index": 1}'}, "", {"changelog": 0.1, "index": 1}),
        ({}, "[search.source_weights]\nlicence = 0.2", {"licence": 0.2}),
        ({"SEMSEARCH_SEARCH__SOURCE_WEIGHTS__LICENCE": "0"}, "[search.source_weights]\nlicence = 1", {"licence": 0.0}),
    ],
)
def test_source_weights_replace_single_defaults(
    environ: dict[str, str], table: str, changed: dict[str, float], tmp_path: Path
) -> None:
    """A role that is not named keeps its default."""
    (tmp_path / "semsearch.toml").write_text(table)
    weights = Settings.load(environ, folder=tmp_path).source_weights
    assert weights == {**DEFAULT_SOURCE_WEIGHTS, **changed}


@pytest.mark.parametrize("table", ["", '[search]\nsource_weights = "off"'])
def test_source_weights_can_be_off(table: str, tmp_path: Path) -> None:
    """`off` is no weights, in the environment as in a file."""
    (tmp_path / "semsearch.toml").write_text(table)
    environ = {} if table else {"SEMSEARCH_SEARCH__SOURCE_WEIGHTS": "off"}
    assert Settings.load(environ, folder=tmp_path).source_weights == {}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("on", "SOURCE_WEIGHTS: 'on' is neither off, nor an object such as"),
        ("[0.5]", "SOURCE_WEIGHTS: '\\[0.5\\]' is neither off, nor"),
        ('{"blog": 0.5}', "SOURCE_WEIGHTS: 'blog' is none of changelog, contents, index, api_list, licence"),
        ('{"index": 2}', "SOURCE_WEIGHTS: the weight of index is not a number between 0 and 1: 2"),
        ('{"index": NaN}', "SOURCE_WEIGHTS: the weight of index is not a number between 0 and 1: nan"),
        ('{"index": true}', "SOURCE_WEIGHTS: the weight of index is not a number between 0 and 1: True"),
    ],
)
def test_wrong_source_weights_are_named(value: str, message: str, tmp_path: Path) -> None:
    """The message has the setting, the value and what is allowed."""
    with pytest.raises(InvalidError, match=message):
        Settings.load({"SEMSEARCH_SEARCH__SOURCE_WEIGHTS": value}, folder=tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[search.source_weights]\nblog = 1", "there is no setting search.source_weights.blog; the nearest is"),
        ("[search.source_weights]\nindex = 3", "search.source_weights.index: 3 is not between 0 and 1"),
        ("[search]\nsource_weights = 3", "search.source_weights: 3 is neither off, nor an object"),
    ],
)
def test_wrong_tables_of_source_weights_are_named(table: str, message: str, tmp_path: Path) -> None:
    """A file is checked like the environment."""
    (tmp_path / "semsearch.toml").write_text(table)
    with pytest.raises(InvalidError, match=message):
        Settings.load({}, folder=tmp_path)


def test_unknown_variable_is_refused(tmp_path: Path) -> None:
    """Empty variables and those that Kubernetes sets for a service named semsearch are accepted."""
    with pytest.raises(InvalidError, match="SEMSEARCH_BUDGET__DAY_USDD; the nearest is SEMSEARCH_BUDGET__DAY_USD"):
        Settings.load({"SEMSEARCH_BUDGET__DAY_USDD": "5"}, folder=tmp_path)
    environ = {"PATH": "/bin", "SEMSEARCH_X": "", "SEMSEARCH_SERVICE_HOST": "::1", "SEMSEARCH_PORT_8765_TCP": "tcp"}
    environ |= {"SEMSEARCH_WEB_SERVICE_PORT_HTTP": "80", "SEMSEARCH_DB_PORT_5432_TCP_ADDR": "::1"}
    assert Settings.load(environ, folder=tmp_path) == Settings.load({}, folder=tmp_path)


def test_every_documented_setting_exists(tmp_path: Path) -> None:
    """No name in the README is an unknown setting."""
    readme = Path(__file__).parents[2].joinpath("docs", "operations.md").read_text(encoding="utf-8")
    names, messages = re.findall(r"`(SEMSEARCH_\w+[A-Z])`", readme), []
    for name in names:
        try:
            Settings.load({name: "1"}, folder=tmp_path)
        except InvalidError as exc:
            messages.append(str(exc))
    assert len(names) > 20
    assert not [message for message in messages if "no setting" in message]


def test_variables_of_the_official_client_are_used(tmp_path: Path) -> None:
    """Organisation, project, proxy and CA file; the first two only for servers that get OPENAI_API_KEY."""
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


def test_proxy_depends_on_scheme_and_no_proxy(tmp_path: Path) -> None:
    """The URL's scheme chooses the variable; hosts in NO_PROXY use no proxy."""
    environ = {"HTTP_PROXY": "http://a", "OPENAI_BASE_URL": "https://models.example/v1", "ALL_PROXY": "http://b"}
    assert Settings.load(environ, folder=tmp_path).chat.proxy == "http://b"
    assert Settings.load({**environ, "NO_PROXY": ".example"}, folder=tmp_path).chat.proxy is None


def test_proxy_without_a_scheme_is_an_http_proxy(tmp_path: Path) -> None:
    """The value is interpreted as curl does."""
    assert Settings.load({"HTTPS_PROXY": "proxy:3128"}, folder=tmp_path).chat.proxy == "http://proxy:3128"
