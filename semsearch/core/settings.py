"""The one reader of the environment, and of what configuration files set. Opens nothing but secret files itself.

A value comes from a flag, else the environment (`SEMSEARCH_CHAT__MODEL`; `__` nests), else `semsearch.toml` of the
working folder or the file that is named instead of it, else the user's own `semsearch.toml`, else the default.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from .config_files import CONFIG_FILE, ConfigFile, leaves, read_config, user_folder
from .config_trust import check_trust
from .errors import InvalidError, UnavailableError
from .proxies import find_proxy
from .types.answers import NoAnswerAction, Profile, SupportPolicy
from .types.usage import Budget, BudgetLimits, Price

OPENAI_URL = "https://api.openai.com/v1"
CONFIG_VARIABLE = "SEMSEARCH_CONFIG"

MAX_TOKENS = 1_000_000
MAX_TEMPERATURE = 2.0
"""What a chat model may be asked for."""

_ENV_PREFIX = "SEMSEARCH_"
_KUBERNETES_VARIABLES = re.compile(
    r"SEMSEARCH_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)\w*)?)"
)
"""What a cluster puts into the environment by itself where a service is called `semsearch`, or `semsearch-web`."""

_N = TypeVar("_N", int, float)


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that is given as a value, or as a file that is read anew each time, so that it can be rotated."""

    value: str | None = field(default=None, repr=False)
    file: Path | None = None
    setting_name: str = field(default="API_KEY_FILE", compare=False)
    """What names the file."""

    def read(self) -> str | None:
        """The key as it is now, or None where none is set; Unavailable where its file is missing for a moment."""
        if self.file is None:
            return self.value
        try:
            return self.file.read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as exc:
            # without its path: whoever asks may be a stranger
            raise UnavailableError(f"{self.setting_name}: the key file cannot be read: {type(exc).__name__}") from exc


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One OpenAI-compatible server and the key that belongs to it."""

    base_url: str = OPENAI_URL
    key: Secret = Secret()
    organization: str | None = None
    project: str | None = None
    proxy: str | None = field(default=None, repr=False)
    """Through which it is reached; may hold a password."""
    ca_file: Path | None = None
    """Certificates of authorities to trust instead of the usual ones."""
    timeout: float = 600.0
    """Seconds for a request and all its retries, where nobody waits for it with a deadline of their own."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. With nothing set it works on this machine alone."""

    data_dir: Path = Path("indexes")
    embeddings: Endpoint = Endpoint()
    max_batch_inputs: int = 2048
    concurrency: int = 4
    """Requests for embeddings that are under way at once."""
    embedding_cache_gib: float = 4.0
    """Maximum size of the embedding cache on disk."""
    chat: Endpoint = Endpoint()
    chat_model: str | None = None
    has_openai_key: bool = False
    """Whether OPENAI_API_KEY is set, whoever gets it."""
    max_tokens: int = 800
    temperature: float | None = None
    system: str | None = None
    policy: SupportPolicy = "flag"
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """Those of `semsearch.toml`; the library adds the built-in ones."""
    budget: Budget = field(default_factory=Budget)
    prices: tuple[Price, ...] = ()
    """Your own, which go before those that are known."""
    collapse: bool = True
    """Whether of chunks that say nearly the same only the best is shown."""
    per_document: int = 0
    """How many chunks of one document are shown, at most; 0 is no limit."""
    index_thresholds: tuple[int, int] | None = None
    """From how many floats on vectors are coded, and from how many chunks on the codes are in lists."""
    keep_days: int = 90
    """How long answers and conversations are kept."""

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, *, folder: Path = Path(), config: Path | None = None
    ) -> "Settings":
        """Read the environment and the configuration files, with `config` instead of the one of the working `folder`.

        Invalid names the setting that is wrong, Forbidden those that an untrusted file may not set.
        """
        environ = os.environ if environ is None else environ
        values = _SettingsReader(environ, _config_files(environ, folder, config))
        settings = cls(
            data_dir=values.path("data_dir") or Path("indexes"),
            embeddings=values.read_endpoint("embeddings"),
            max_batch_inputs=values.read_number("embeddings.max_batch_inputs", int, 1, 2048) or 2048,
            concurrency=values.read_number("embeddings.concurrency", int, 1, 64) or 4,
            embedding_cache_gib=values.read_number("embeddings.cache_gib", float, 0.01, 100_000.0) or 4.0,
            chat=values.read_endpoint("chat"),
            chat_model=values.read_text("chat.model"),
            has_openai_key=bool(values.environ.get("OPENAI_API_KEY")),
            max_tokens=values.read_number("chat.max_tokens", int, 1, MAX_TOKENS) or 800,
            temperature=values.read_number("chat.temperature", float, 0.0, MAX_TEMPERATURE),
            system=values.read_text("chat.system"),
            policy=cast(SupportPolicy, values.read_choice("chat.policy", get_args(SupportPolicy)) or "flag"),
            profiles=values.read_profiles(),
            budget=Budget(values.read_budget_limits("budget"), values.read_budget_limits("budget.per_owner")),
            prices=tuple(values.read_prices()),
            collapse=values.read_flag("search.collapse", default=True),
            per_document=values.read_number("search.per_document", int, 0, 1000) or 0,
            index_thresholds=values.read_thresholds("index.thresholds"),
            keep_days=values.read_number("keep_days", int, 1, 36_500) or 90,
        )
        values.reject_unknown()
        return settings


def trust_record(environ: Mapping[str, str] | None = None) -> Path | None:
    """Return the path of the record of trusted files; None where the environment names no folder for it."""
    folder = user_folder(os.environ if environ is None else environ, "XDG_STATE_HOME", ".local/state")
    return None if folder is None else folder / "trusted.json"


def own_limits(environ: Mapping[str, str] | None = None) -> dict[str, float]:
    """Return the budgets that the environment and the user's own file set, by name of the setting."""
    environ = os.environ if environ is None else environ
    return _limits(_SettingsReader(environ, _own_files(environ)))


def _config_files(environ: Mapping[str, str], folder: Path, config: Path | None) -> list[ConfigFile]:
    """Return the files to look values up in, the first one first; Forbidden if one sets what it may not."""
    own = _own_files(environ)
    named = config or environ.get(CONFIG_VARIABLE)
    if named:
        first = read_config(Path(named), str(named))
        if first is None:
            raise InvalidError(f"there is no configuration file {named}; correct --config or {CONFIG_VARIABLE}")
        return [first, *own]
    first = read_config(folder / CONFIG_FILE, CONFIG_FILE)
    if first is None:
        return own
    if first.path not in [file.path for file in own]:
        check_trust(first, trust_record(environ), _limits(_SettingsReader(environ, own)))
    return [first, *own]


def _own_files(environ: Mapping[str, str]) -> list[ConfigFile]:
    folder = user_folder(environ, "XDG_CONFIG_HOME", ".config")
    path = None if folder is None else folder / CONFIG_FILE
    file = None if path is None else read_config(path, str(path))
    return [] if file is None else [file]


def _limits(values: "_SettingsReader") -> dict[str, float]:
    tables = {name: asdict(values.read_budget_limits(name)) for name in ("budget", "budget.per_owner")}
    return {f"{name}.{key}": most for name, table in tables.items() for key, most in table.items() if most is not None}


@dataclass(frozen=True, slots=True)
class _SettingsReader:
    """Looks a dotted name up in the environment, then in each file."""

    environ: Mapping[str, str]
    files: Sequence[ConfigFile]
    table_prefix: str = ""
    """The table that all names are in, for messages."""
    known_names: set[str] = field(default_factory=set)
    """The names that were looked up."""

    def find(self, name: str) -> tuple[str, Any]:
        """The name under which the value was found, and the value; None where it is not set."""
        where, value, _ = self._find(name)
        return where, value

    def _find(self, *names: str) -> tuple[str, Any, ConfigFile | None]:
        """The first of the names that is set in the first place that has any, and the file if it is one."""
        self.known_names.update(names)
        for variable in map(_variable_name, names):
            if self.environ.get(variable):
                return variable, self.environ[variable], None
        for file in self.files:
            for name in names:
                if (value := _value(file.table, name)) is not None:
                    return f"{file.label}: {self.table_prefix}{name}", value, file
        return f"{CONFIG_FILE}: {self.table_prefix}{names[0]}", None, None

    def reject_unknown(self) -> None:
        """Invalid where something is set that was not looked up: a misspelt budget would be no budget."""
        variables = [*map(_variable_name, self.known_names), CONFIG_VARIABLE]
        for variable, value in self.environ.items():
            ours = variable.startswith(_ENV_PREFIX) and not _KUBERNETES_VARIABLES.fullmatch(variable)
            if ours and value and variable not in variables:
                raise InvalidError(
                    f"there is no setting {variable[:80]}; the nearest is {_closest_name(variable, variables)}"
                )
        for file in self.files:
            own = {name: value for name, value in file.table.items() if name not in ("profiles", "prices")}
            for name, _ in leaves(own):
                if name not in self.known_names:
                    nearest = _closest_name(name, self.known_names)
                    raise InvalidError(f"{file.label}: there is no setting {name[:80]}; the nearest is {nearest}")

    def read_text(self, name: str) -> str | None:
        return _text(*self.find(name))

    def path(self, name: str) -> Path | None:
        """A path; a relative one starts at the folder of the file that sets it, or at the working folder."""
        where, value, file = self._find(name)
        text = _text(where, value)
        return None if text is None else _located(text, file)

    def read_number(self, name: str, convert: Callable[[Any], _N], low: _N, high: _N) -> _N | None:
        where, value = self.find(name)
        if value is None:
            return None
        try:
            number = convert(value)
        except (TypeError, ValueError) as exc:
            raise InvalidError(f"{where}: {value!r} is not a number") from exc
        if not low <= number <= high:
            raise InvalidError(f"{where}: {value!r} is not between {low:g} and {high:g}")
        return number

    def read_flag(self, name: str, *, default: bool) -> bool:
        where, value = self.find(name)
        if value is None:
            return default
        flag = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
        if flag is None:
            raise InvalidError(f"{where}: {value!r} is neither true nor false")
        return flag

    def read_thresholds(self, name: str) -> tuple[int, int] | None:
        where, value = self.find(name)
        if value is None:
            return None
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        parts = re.fullmatch(r"(\d{1,12}),\s*(\d{1,12})", text.strip())
        if parts is None:
            raise InvalidError(f"{where}: {value!r} is not two whole numbers such as 2000000,150000")
        return int(parts[1]), int(parts[2])

    def read_choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        value = self.read_text(name)
        if value is not None and value not in allowed:
            raise InvalidError(f"{self.find(name)[0]}: {value!r} is none of {', '.join(allowed)}")
        return value

    def read_endpoint(self, name: str) -> Endpoint:
        """The section's own server and key; OPENAI_API_KEY goes only to OPENAI_BASE_URL, or to OpenAI itself."""
        shared_url = self.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        base_url = (self.read_text(f"{name}.base_url") or shared_url).rstrip("/")
        shared = base_url == shared_url.rstrip("/")
        ca_file = self.environ.get("SSL_CERT_FILE")
        return Endpoint(
            base_url,
            self._read_secret(name, is_shared=shared),
            organization=self.environ.get("OPENAI_ORG_ID") or None if shared else None,
            project=self.environ.get("OPENAI_PROJECT_ID") or None if shared else None,
            proxy=find_proxy(self.environ, base_url),
            ca_file=Path(ca_file) if ca_file else None,
            timeout=self.read_number(f"{name}.timeout", float, 1.0, 86_400.0) or 600.0,
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
        """The tables `[profiles.NAME]`."""
        return {name: self._read_profile(name, table) for name, table in self._subtables("profiles").items()}

    def read_prices(self) -> list[Price]:
        """The tables `[prices."MODEL"]`, in dollars for a million tokens."""
        return [self._read_price(model, table) for model, table in self._subtables("prices").items()]

    def _read_secret(self, name: str, *, is_shared: bool) -> Secret:
        """The key of one section; of a file and a value the one that is set in the earlier place, else the file."""
        where, value, file = self._find(f"{name}.api_key_file", f"{name}.api_key")
        text = _text(where, value)
        if text and where.lower().endswith("api_key_file"):
            return Secret(file=_located(text, file), setting_name=where)
        if not text and is_shared:
            text = self.environ.get("OPENAI_API_KEY") or None
        return Secret(text)

    def _subtables(self, name: str) -> dict[str, ConfigFile]:
        """The tables in the table `name` of any file; of two with one name that of the first file."""
        found: dict[str, ConfigFile] = {}
        for file in reversed(self.files):
            tables = file.table.get(name, {})
            if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
                raise InvalidError(f"{file.label}: {name} must hold tables, such as [{name}.NAME]")
            found |= {each: replace(file, table=table) for each, table in tables.items()}
        return found

    def _table_reader(self, name: str, file: ConfigFile, allowed_names: list[str]) -> "_SettingsReader":
        """The values of one table alone, of which every name must be known."""
        unknown = [key for key in file.table if key not in allowed_names]
        if unknown:
            raise InvalidError(f"{file.label}: {name} has no {unknown[0]!r}; it may have {', '.join(allowed_names)}")
        return _SettingsReader({}, [file], f"{name}.")

    def _read_profile(self, name: str, file: ConfigFile) -> Profile:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
            raise InvalidError(f"{file.label}: {name[:80]!r} cannot name a profile: take a-z, 0-9, - and _")
        known = [each.name for each in fields(Profile)]
        inside = self._table_reader(f"profiles.{name}", file, known)
        return Profile(
            system=inside.read_text("system"),
            policy=cast("SupportPolicy | None", inside.read_choice("policy", get_args(SupportPolicy))),
            k=inside.read_number("k", int, 1, 100),
            temperature=inside.read_number("temperature", float, 0.0, MAX_TEMPERATURE),
            max_tokens=inside.read_number("max_tokens", int, 1, MAX_TOKENS),
            model=inside.read_text("model"),
            on_no_answer=cast(
                NoAnswerAction, inside.read_choice("on_no_answer", get_args(NoAnswerAction)) or "abstain"
            ),
            no_answer_text=inside.read_text("no_answer_text"),
        )

    def _read_price(self, model: str, file: ConfigFile) -> Price:
        inside = self._table_reader(f"prices.{model}", file, ["since", "input", "output", "cached"])
        since = file.table.get("since", date.min)
        if not isinstance(since, date):
            raise InvalidError(f"{file.label}: prices.{model}.since is not a date such as 2026-11-01")
        price = inside.read_number("input", float, 0.0, 1e6)
        if price is None:
            raise InvalidError(f"{file.label}: prices.{model} needs an input: dollars for a million tokens")
        output, cached = inside.read_number("output", float, 0.0, 1e6), inside.read_number("cached", float, 0.0, 1e6)
        return Price(model, since.isoformat(), price, output or 0.0, cached)


def _variable_name(name: str) -> str:
    return _ENV_PREFIX + name.upper().replace(".", "__")


def _value(table: Mapping[str, Any], name: str) -> Any:
    value: Any = table
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(where: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidError(f"{where}: {value!r} is not a text")
    return value or None


def _located(text: str, file: ConfigFile | None) -> Path:
    return Path(text) if file is None else file.locate(text)


def _closest_name(name: str, candidates: Iterable[str]) -> str:
    from difflib import SequenceMatcher  # late: where all is well nothing is compared

    return max(sorted(candidates), key=lambda other: SequenceMatcher(None, name[:80], other).ratio())
