"""Settings from the environment and configuration files. No other module reads the environment.

A value comes from a flag, else the environment (`SEMSEARCH_CHAT__MODEL`; `__` nests), else `semsearch.toml` of the
working folder or the file that replaces it (`--config`), else the user's own `semsearch.toml`, else the default.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from .allowed_hosts import read_allowed_hosts
from .config_files import (
    CONFIG_FILE,
    ConfigFile,
    find_user_folder,
    flatten_table,
    get_nested,
    read_config,
    resolve_path,
    validate_text,
)
from .config_trust import check_trust
from .endpoints import OPENAI_URL, Endpoint, Secret
from .errors import InvalidError
from .names import validate_name
from .proxies import find_proxy
from .setting_names import find_closest_name, is_setting_variable, to_variable
from .source_weights import DEFAULT_SOURCE_WEIGHTS, read_source_weights
from .types.answers import NoAnswerAction, Profile, SupportPolicy
from .types.usage import Budget, BudgetLimits, Price

__all__ = [
    "CONFIG_VARIABLE",
    "MAX_TEMPERATURE",
    "MAX_TOKENS",
    "OPENAI_URL",
    "Endpoint",
    "Secret",
    "Settings",
    "allows_color",
    "find_trust_record",
    "find_user_config",
    "read_user_limits",
]

CONFIG_VARIABLE = "SEMSEARCH_CONFIG"

MAX_TOKENS = 1_000_000
MAX_TEMPERATURE = 2.0
"""Upper bounds of what a chat model may be asked for."""

_OPENAI_KEY = "OPENAI_API_KEY"

_N = TypeVar("_N", int, float)


DEFAULT_ANSWER_THRESHOLD = 0.6


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. With the defaults no server is used."""

    data_dir: Path = Path("indexes")
    embeddings: Endpoint = field(default_factory=Endpoint)
    max_batch_inputs: int = 2048
    concurrency: int = 4
    """Maximum number of simultaneous embedding requests."""
    embedding_cache_gib: float = 4.0
    """Maximum size of the embedding cache on disk."""
    embedder: str | None = None
    """SPEC of the embedder of new collections; None is the built-in one."""
    chat: Endpoint = field(default_factory=Endpoint)
    chat_model: str | None = None
    has_openai_key: bool = False
    """Whether OPENAI_API_KEY is set, even if no endpoint uses it."""
    max_tokens: int = 800
    temperature: float | None = None
    system: str | None = None
    policy: SupportPolicy = "flag"
    check: Endpoint = field(default_factory=lambda: Endpoint(timeout=10.0))
    check_model: str | None = None
    """Chat model that judges the sentences whose support the rules leave open; None means that they stay partial."""
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """Profiles of the configuration files; the library adds the built-in ones."""
    budget: Budget = field(default_factory=Budget)
    prices: tuple[Price, ...] = ()
    """The user's prices, which override the built-in ones."""
    collapse: bool = True
    """Whether near-duplicates of a better chunk are left out of the results."""
    per_document: int = 0
    """Maximum number of chunks of one document in the results; 0 is no limit."""
    answer_threshold: float = DEFAULT_ANSWER_THRESHOLD
    """The lowest confidence with which an excerpt is shown as the answer."""
    source_weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_SOURCE_WEIGHTS)
    """Factor of the score of a chunk, by the role of its source; empty if it is off."""
    index_thresholds: tuple[int, int] | None = None
    """Number of floats from which vectors are product-quantized, and number of chunks from which codes are in lists."""
    keep_days: int = 90
    """Days for which answers and sessions are kept."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which the HTTP service is reached, besides those of the loopback."""

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, *, folder: Path = Path(), config: Path | None = None
    ) -> "Settings":
        """Read the environment and the configuration files; `config` replaces the file of the working `folder`.

        InvalidError names a wrong setting, ForbiddenError the settings that an untrusted file may not set.
        """
        environ = os.environ if environ is None else environ
        return cls._read(_SettingsReader(environ, _read_config_files(environ, folder, config)))

    @classmethod
    def load_file(cls, file: ConfigFile, environ: Mapping[str, str] | None = None) -> "Settings":
        """Return the settings that a trusted file gives alone, without other files and `SEMSEARCH_*` variables."""
        environ = os.environ if environ is None else environ
        others = {name: value for name, value in environ.items() if not is_setting_variable(name)}
        return cls._read(_SettingsReader(others, [file]))

    @classmethod
    def _read(cls, values: "_SettingsReader") -> "Settings":
        threshold = values.read_number("answers.threshold", float, 0.0, 1.0)
        chat = values.read_endpoint("chat")
        settings = cls(
            data_dir=values.read_path("data_dir") or Path("indexes"),
            embeddings=values.read_endpoint("embeddings"),
            max_batch_inputs=values.read_number("embeddings.max_batch_inputs", int, 1, 2048) or 2048,
            concurrency=values.read_number("embeddings.concurrency", int, 1, 64) or 4,
            embedding_cache_gib=values.read_number("embeddings.cache_gib", float, 0.01, 100_000.0) or 4.0,
            embedder=values.read_embedder("embeddings.embedder"),
            chat=chat,
            chat_model=values.read_text("chat.model"),
            has_openai_key=bool(values.environ.get(_OPENAI_KEY)),
            max_tokens=values.read_number("chat.max_tokens", int, 1, MAX_TOKENS) or 800,
            temperature=values.read_number("chat.temperature", float, 0.0, MAX_TEMPERATURE),
            system=values.read_text("chat.system"),
            policy=cast(SupportPolicy, values.read_choice("chat.policy", get_args(SupportPolicy)) or "flag"),
            check=values.read_endpoint("check", chat, default_timeout=10.0),
            check_model=values.read_text("check.model"),
            profiles=values.read_profiles(),
            budget=Budget(values.read_budget_limits("budget"), values.read_budget_limits("budget.per_owner")),
            prices=tuple(values.read_prices()),
            collapse=values.read_flag("search.collapse", default=True),
            per_document=values.read_number("search.per_document", int, 0, 1000) or 0,
            answer_threshold=DEFAULT_ANSWER_THRESHOLD if threshold is None else threshold,
            source_weights=read_source_weights(values, "search.source_weights"),
            index_thresholds=values.read_thresholds("index.thresholds"),
            keep_days=values.read_number("keep_days", int, 1, 36_500) or 90,
            allowed_hosts=read_allowed_hosts(values, "http.allowed_hosts"),
        )
        values.reject_unknown()
        return settings


def find_trust_record(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the path of the record of trusted files; None if the environment names no folder for it."""
    folder = find_user_folder(os.environ if environ is None else environ, "XDG_STATE_HOME", ".local/state")
    return None if folder is None else folder / "trusted.json"


def find_user_config(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the path of the user's own file, which may not exist; None if the environment names no folder for it."""
    folder = find_user_folder(os.environ if environ is None else environ, "XDG_CONFIG_HOME", ".config")
    return None if folder is None else folder / CONFIG_FILE


def read_user_limits(environ: Mapping[str, str] | None = None) -> dict[str, float]:
    """Return the budgets that the environment and the user's own file set, by the setting's name."""
    environ = os.environ if environ is None else environ
    return _read_all_limits(_SettingsReader(environ, _read_user_files(environ)))


def _read_config_files(environ: Mapping[str, str], folder: Path, config: Path | None) -> list[ConfigFile]:
    """Return the configuration files in order of precedence; ForbiddenError if an untrusted one sets too much."""
    user_files = _read_user_files(environ)
    explicit_path = config or environ.get(CONFIG_VARIABLE)
    if explicit_path:
        file = read_config(Path(explicit_path), str(explicit_path))
        if file is None:
            raise InvalidError(f"there is no configuration file {explicit_path}; correct --config or {CONFIG_VARIABLE}")
        return [file, *user_files]
    file = read_config(folder / CONFIG_FILE, CONFIG_FILE)
    if file is None:
        return user_files
    if file.path not in [user_file.path for user_file in user_files]:
        limits = _read_all_limits(_SettingsReader(environ, user_files))
        check_trust(file, find_trust_record(environ), limits)
    return [file, *user_files]


def _read_user_files(environ: Mapping[str, str]) -> list[ConfigFile]:
    path = find_user_config(environ)
    file = None if path is None else read_config(path, str(path))
    return [] if file is None else [file]


def _read_all_limits(values: "_SettingsReader") -> dict[str, float]:
    tables = {name: asdict(values.read_budget_limits(name)) for name in ("budget", "budget.per_owner")}
    return {
        f"{name}.{key}": limit for name, table in tables.items() for key, limit in table.items() if limit is not None
    }


@dataclass(frozen=True, slots=True)
class _SettingsReader:
    """Looks up settings by dotted name: in the environment, then in each file."""

    environ: Mapping[str, str]
    files: Sequence[ConfigFile]
    table_prefix: str = ""
    """Prefix of all names in messages, where only one table is read."""
    known_names: set[str] = field(default_factory=set)
    """Names that were looked up so far."""

    def find(self, name: str) -> tuple[str, Any]:
        """Return the location of a value for messages, and the value; None if it is not set."""
        location, value, _ = self._find(name)
        return location, value

    def _find(self, *names: str) -> tuple[str, Any, ConfigFile | None]:
        """Return location, value and file of the first name that is set, in the first source that sets any of them."""
        self.known_names.update(names)
        for variable in map(to_variable, names):
            if self.environ.get(variable):
                return variable, self.environ[variable], None
        for file in self.files:
            for name in names:
                if (value := get_nested(file.table, name)) is not None:
                    return f"{file.label}: {self.table_prefix}{name}", value, file
        return f"{CONFIG_FILE}: {self.table_prefix}{names[0]}", None, None

    def reject_unknown(self) -> None:
        """Raise InvalidError if an unknown name is set: a misspelt budget must not mean no budget."""
        variables = [*map(to_variable, self.known_names), CONFIG_VARIABLE]
        for variable, value in self.environ.items():
            if is_setting_variable(variable) and value and variable not in variables:
                raise InvalidError(
                    f"there is no setting {variable[:80]}; the nearest is {find_closest_name(variable, variables)}"
                )
        for file in self.files:
            checked = {name: value for name, value in file.table.items() if name not in ("profiles", "prices")}
            for name, _ in flatten_table(checked):
                if name not in self.known_names:
                    closest = find_closest_name(name, self.known_names)
                    raise InvalidError(f"{file.label}: there is no setting {name[:80]}; the nearest is {closest}")

    def read_text(self, name: str) -> str | None:
        return validate_text(*self.find(name))

    def read_path(self, name: str) -> Path | None:
        """Return a path; a relative one starts at the folder of the file that sets it, or at the working folder."""
        location, value, file = self._find(name)
        text = validate_text(location, value)
        return None if text is None else resolve_path(text, file)

    def read_embedder(self, name: str) -> str | None:
        """Return a SPEC; a relative folder in it starts as in `read_path`."""
        location, value, file = self._find(name)
        text = validate_text(location, value)
        kind, _, folder = (text or "").partition(":")
        return f"{kind}:{resolve_path(folder, file)}" if folder and kind in ("onnx", "static") else text

    def read_number(self, name: str, convert: Callable[[Any], _N], low: _N, high: _N) -> _N | None:
        location, value = self.find(name)
        if value is None:
            return None
        try:
            number = convert(value)
        except (TypeError, ValueError) as exc:
            raise InvalidError(f"{location}: {value!r} is not a number") from exc
        if not low <= number <= high:
            raise InvalidError(f"{location}: {value!r} is not between {low:g} and {high:g}")
        return number

    def read_flag(self, name: str, *, default: bool) -> bool:
        location, value = self.find(name)
        if value is None:
            return default
        flag = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
        if flag is None:
            raise InvalidError(f"{location}: {value!r} is neither true nor false")
        return flag

    def read_thresholds(self, name: str) -> tuple[int, int] | None:
        location, value = self.find(name)
        if value is None:
            return None
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        parts = re.fullmatch(r"(\d{1,12}),\s*(\d{1,12})", text.strip())
        if parts is None:
            raise InvalidError(f"{location}: {value!r} is not two whole numbers such as 2000000,150000")
        return int(parts[1]), int(parts[2])

    def read_choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        value = self.read_text(name)
        if value is not None and value not in allowed:
            raise InvalidError(f"{self.find(name)[0]}: {value!r} is none of {', '.join(allowed)}")
        return value

    def read_endpoint(self, name: str, fallback: Endpoint | None = None, *, default_timeout: float = 600.0) -> Endpoint:
        """Return the server and key of a section; OPENAI_API_KEY is used only for OPENAI_BASE_URL, or for OpenAI.

        Without its own URL, the section has the server of `fallback`; without its own key, its key for that server.
        """
        shared_url = self.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        default_url = fallback.base_url if fallback else shared_url
        base_url = (self.read_text(f"{name}.base_url") or default_url).rstrip("/")
        is_shared = base_url == shared_url.rstrip("/")
        default_key = fallback.key if fallback and base_url == fallback.base_url else Secret()
        ca_file = self.environ.get("SSL_CERT_FILE")
        return Endpoint(
            base_url,
            self._read_secret(name, default_key, is_shared=is_shared),
            organization=self.environ.get("OPENAI_ORG_ID") or None if is_shared else None,
            project=self.environ.get("OPENAI_PROJECT_ID") or None if is_shared else None,
            proxy=find_proxy(self.environ, base_url),
            ca_file=Path(ca_file) if ca_file else None,
            timeout=self.read_number(f"{name}.timeout", float, 1.0, 86_400.0) or default_timeout,
        )

    def read_budget_limits(self, name: str) -> BudgetLimits:
        maximum = 1e15
        return BudgetLimits(
            day_tokens=self.read_number(f"{name}.day_tokens", int, 0, int(maximum)),
            day_usd=self.read_number(f"{name}.day_usd", float, 0.0, maximum),
            month_tokens=self.read_number(f"{name}.month_tokens", int, 0, int(maximum)),
            month_usd=self.read_number(f"{name}.month_usd", float, 0.0, maximum),
        )

    def read_profiles(self) -> dict[str, Profile]:
        """Return the profiles of the tables `[profiles.NAME]`, by name."""
        return {name: self._read_profile(name, table) for name, table in self._subtables("profiles").items()}

    def read_prices(self) -> list[Price]:
        """Return the prices of the tables `[prices."MODEL"]`, in US dollars per million tokens."""
        return [self._read_price(model, table) for model, table in self._subtables("prices").items()]

    def _read_secret(self, name: str, default: Secret, *, is_shared: bool) -> Secret:
        """Return the key of a section, from the first source that sets a key; its file wins, then the key itself."""
        location, value, file = self._find(*(f"{name}.{key}" for key in ("api_key_file", "api_key", "api_key_env")))
        text, kind = validate_text(location, value), location.lower()
        if text and kind.endswith("api_key_file"):
            return Secret(file=resolve_path(text, file), setting_name=location)
        if text and kind.endswith("api_key_env") and (is_shared or text != _OPENAI_KEY):
            return Secret(self.environ.get(text) or None, variable=text, setting_name=location)
        if text and not kind.endswith("api_key_env"):
            return Secret(text)
        if default != Secret():
            return default
        return Secret(self.environ.get(_OPENAI_KEY) or None if is_shared else None)

    def _subtables(self, name: str) -> dict[str, ConfigFile]:
        """Return the subtables of the table `name` in all files; of equal names the first file's subtable counts."""
        subtables: dict[str, ConfigFile] = {}
        for file in reversed(self.files):
            tables = file.table.get(name, {})
            if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
                raise InvalidError(f"{file.label}: {name} must hold tables, such as [{name}.NAME]")
            subtables |= {key: replace(file, table=table) for key, table in tables.items()}
        return subtables

    def _table_reader(self, name: str, file: ConfigFile, allowed_names: list[str]) -> "_SettingsReader":
        """Return a reader of one table; InvalidError if the table has a name that is not allowed."""
        unknown = [key for key in file.table if key not in allowed_names]
        if unknown:
            raise InvalidError(f"{file.label}: {name} has no {unknown[0]!r}; it may have {', '.join(allowed_names)}")
        return _SettingsReader({}, [file], f"{name}.")

    def _read_profile(self, name: str, file: ConfigFile) -> Profile:
        validate_name(name, "profile", location=file.label)
        table = self._table_reader(f"profiles.{name}", file, [profile_field.name for profile_field in fields(Profile)])
        return Profile(
            system=table.read_text("system"),
            policy=cast("SupportPolicy | None", table.read_choice("policy", get_args(SupportPolicy))),
            k=table.read_number("k", int, 1, 100),
            temperature=table.read_number("temperature", float, 0.0, MAX_TEMPERATURE),
            max_tokens=table.read_number("max_tokens", int, 1, MAX_TOKENS),
            model=table.read_text("model"),
            on_no_answer=cast(NoAnswerAction, table.read_choice("on_no_answer", get_args(NoAnswerAction)) or "abstain"),
            no_answer_text=table.read_text("no_answer_text"),
        )

    def _read_price(self, model: str, file: ConfigFile) -> Price:
        table = self._table_reader(f"prices.{model}", file, ["since", "input", "output", "cached"])
        since = file.table.get("since", date.min)
        if not isinstance(since, date):
            raise InvalidError(f"{file.label}: prices.{model}.since is not a date such as 2026-11-01")
        price = table.read_number("input", float, 0.0, 1e6)
        if price is None:
            raise InvalidError(f"{file.label}: prices.{model} needs an input: US dollars per million tokens")
        output, cached = table.read_number("output", float, 0.0, 1e6), table.read_number("cached", float, 0.0, 1e6)
        return Price(model, since.isoformat(), price, output or 0.0, cached)


def allows_color() -> bool:
    """Return whether output to a terminal may have colour: NO_COLOR is not set, and the terminal is not dumb."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
