"""Look up settings by dotted name in the environment and in configuration files, convert and validate them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, overload

from .config_files import CONFIG_FILE, ConfigFile, flatten_table, get_nested, resolve_path, validate_text
from .endpoints import OPENAI_URL, Endpoint, Secret
from .errors import InvalidError
from .proxies import PROXY_VARIABLES, find_proxy
from .setting_names import find_closest_name, is_setting_variable, to_variable
from .types.usage import BudgetLimits, Price

CONFIG_VARIABLE = "SEMSEARCH_CONFIG"
OPENAI_KEY_VARIABLE = "OPENAI_API_KEY"

MAX_TOKENS = 1_000_000
MAX_TEMPERATURE = 2.0
"""Upper bounds of what a chat model may be asked for."""

_FALLBACK_SECTION = "chat"
"""The section whose endpoint is passed as `fallback`."""

NAMED_TABLES = ("profiles", "prices")
"""Tables of files whose subtables have names that the user chooses."""

_N = TypeVar("_N", int, float)


@dataclass(frozen=True, slots=True)
class SettingsReader:
    """Looks up settings by dotted name: in the environment, then in each file."""

    variables: Mapping[str, str]
    files: Sequence[ConfigFile]
    table_prefix: str = ""
    """Prefix of all names in messages, where only one table is read."""
    known_names: set[str] = field(default_factory=set)
    """Names that were looked up so far."""
    known_variables: set[str] = field(default_factory=lambda: {CONFIG_VARIABLE})
    """Other variables that were looked up so far, such as those of OpenAI."""
    values: dict[str, Any] = field(default_factory=dict)
    """The values that were returned so far, defaults included, by name; no keys of servers."""
    fallbacks: dict[str, str] = field(default_factory=dict)
    """The variable or setting whose value was used for a setting that is not set, by the name of the latter."""
    alternatives: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of which one counts, by each of them."""

    def find(self, name: str) -> tuple[str, Any]:
        """Return the location of a value for messages, and the value; None if it is not set."""
        location, value, _ = self._find(name)
        return location, value

    def find_file(self, name: str) -> ConfigFile | None:
        """Return the file that a value comes from; None if it is from the environment, or not set."""
        return self._find(name)[2]

    def find_used(self, name: str) -> str:
        """Return which name counts, of this one and its alternatives."""
        names = self.alternatives.get(name, (name,))
        location = self._find(*names)[0]
        return next((other for other in names if self._find(other)[0] == location), name)

    def find_variable(self, variable: str) -> str | None:
        """Return the value of a variable that is not one of `SEMSEARCH_*`; None if it is empty or not set."""
        self.known_variables.add(variable)
        return self.variables.get(variable) or None

    def iter_named_tables(self) -> Iterator[tuple[str, Any, ConfigFile]]:
        """Yield name, value and file of each setting in a table whose name the user chose."""
        for name in NAMED_TABLES:
            for key, file in self.read_subtables(name).items():
                yield from ((f"{name}.{key}.{inner}", value, file) for inner, value in flatten_table(file.table))

    def _find(self, *names: str) -> tuple[str, Any, ConfigFile | None]:
        """Return location, value and file of the first name that is set, in the first source that sets any of them."""
        self.known_names.update(names)
        for variable in map(to_variable, names):
            if self.variables.get(variable):
                return variable, self.variables[variable], None
        for file in self.files:
            for name in names:
                if (value := get_nested(file.table, name)) is not None:
                    return f"{file.label}: {self.table_prefix}{name}", value, file
        return f"{CONFIG_FILE}: {self.table_prefix}{names[0]}", None, None

    def reject_unknown(self) -> None:
        """Raise InvalidError if an unknown name is set: a misspelt budget must not mean no budget."""
        known_variables = [*map(to_variable, self.known_names), CONFIG_VARIABLE]
        for variable, value in self.variables.items():
            if is_setting_variable(variable) and value and variable not in known_variables:
                closest = find_closest_name(variable, known_variables)
                raise InvalidError(f"there is no setting {variable[:80]}; the nearest is {closest}")
        for file in self.files:
            checked = {name: value for name, value in file.table.items() if name not in NAMED_TABLES}
            for name, _ in flatten_table(checked):
                if name not in self.known_names:
                    closest = find_closest_name(name, self.known_names)
                    raise InvalidError(f"{file.label}: there is no setting {name[:80]}; the nearest is {closest}")

    def read_text(self, name: str) -> str | None:
        """Return a text; None if it is not set."""
        text = self.values[name] = validate_text(*self.find(name))
        return text

    def read_path(self, name: str, default: Path) -> Path:
        """Return a path; a relative one starts at the folder of the file that sets it, or at the working folder."""
        location, value, file = self._find(name)
        text = validate_text(location, value)
        path = self.values[name] = default if text is None else resolve_path(text, file)
        return path

    def read_optional_path(self, name: str) -> Path | None:
        """Return a path as in `read_path`; None if it is not set."""
        location, value, file = self._find(name)
        text = validate_text(location, value)
        path = self.values[name] = None if text is None else resolve_path(text, file)
        return path

    def read_embedder(self, name: str) -> str | None:
        """Return a SPEC; a relative folder in it starts as in `read_path`."""
        location, value, file = self._find(name)
        text = validate_text(location, value)
        kind, _, folder = (text or "").partition(":")
        spec = f"{kind}:{resolve_path(folder, file)}" if folder and kind in ("onnx", "static") else text
        self.values[name] = spec
        return spec

    @overload
    def read_number(self, name: str, convert: Callable[[Any], _N], low: _N, high: _N) -> _N | None: ...

    @overload
    def read_number(self, name: str, convert: Callable[[Any], _N], low: _N, high: _N, *, default: _N) -> _N: ...

    def read_number(
        self, name: str, convert: Callable[[Any], _N], low: _N, high: _N, *, default: _N | None = None
    ) -> _N | None:
        """Return a number between `low` and `high`; the default if it is not set."""
        location, value = self.find(name)
        if value is None:
            self.values[name] = default
            return default
        try:
            number = convert(value)
        except (TypeError, ValueError) as exc:
            raise InvalidError(f"{location}: {value!r} is not a number") from exc
        if not low <= number <= high:
            raise InvalidError(f"{location}: {value!r} is not between {low:g} and {high:g}")
        self.values[name] = number
        return number

    def read_flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        location, value = self.find(name)
        if value is None:
            self.values[name] = default
            return default
        flag = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
        if flag is None:
            raise InvalidError(f"{location}: {value!r} is neither true nor false")
        self.values[name] = flag
        return flag

    def read_thresholds(self, name: str) -> tuple[int, int] | None:
        """Return two whole numbers, such as 2000000,150000; None if they are not set."""
        location, value = self.find(name)
        if value is None:
            return None
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        parts = re.fullmatch(r"(\d{1,12}),\s*(\d{1,12})", text.strip())
        if parts is None:
            raise InvalidError(f"{location}: {value!r} is not two whole numbers such as 2000000,150000")
        return int(parts[1]), int(parts[2])

    def read_choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str | None:
        """Return one of the allowed values; the default if it is not set."""
        value = self.values[name] = self.read_text(name) or default
        if value is not None and value not in allowed:
            raise InvalidError(f"{self.find(name)[0]}: {value!r} is none of {', '.join(allowed)}")
        return value

    def read_endpoint(self, name: str, fallback: Endpoint | None = None, *, default_timeout: float = 600.0) -> Endpoint:
        """Return the server and key of a section; OPENAI_API_KEY is used only for OPENAI_BASE_URL, or for OpenAI.

        Without its own URL, the section has the server of `fallback`; without its own key, its key for that server.
        """
        shared_url = self.find_variable("OPENAI_BASE_URL") or OPENAI_URL
        base_url = self._read_base_url(f"{name}.base_url", fallback, shared_url)
        is_shared = base_url == shared_url.rstrip("/")
        default_key = fallback.key if fallback and base_url == fallback.base_url else Secret()
        ca_file = self.find_variable("SSL_CERT_FILE")
        organization, project = self.find_variable("OPENAI_ORG_ID"), self.find_variable("OPENAI_PROJECT_ID")
        self.known_variables.update(PROXY_VARIABLES)
        return Endpoint(
            base_url,
            self._read_secret(name, default_key, is_shared=is_shared),
            organization=organization if is_shared else None,
            project=project if is_shared else None,
            proxy=find_proxy(self.variables, base_url),
            ca_file=Path(ca_file) if ca_file else None,
            timeout=self.read_number(f"{name}.timeout", float, 1.0, 86_400.0, default=default_timeout),
        )

    def read_budget_limits(self, name: str) -> BudgetLimits:
        """Return the limits of the table `name`."""
        maximum = 1e15
        return BudgetLimits(
            day_tokens=self.read_number(f"{name}.day_tokens", int, 0, int(maximum)),
            day_usd=self.read_number(f"{name}.day_usd", float, 0.0, maximum),
            month_tokens=self.read_number(f"{name}.month_tokens", int, 0, int(maximum)),
            month_usd=self.read_number(f"{name}.month_usd", float, 0.0, maximum),
        )

    def read_prices(self) -> list[Price]:
        """Return the prices of the tables `[prices."MODEL"]`, in US dollars per million tokens."""
        return [self._read_price(model, table) for model, table in self.read_subtables("prices").items()]

    def _read_base_url(self, name: str, fallback: Endpoint | None, shared_url: str) -> str:
        """Return the URL of a section, without a slash at its end; by default that of `fallback`, else `shared_url`."""
        own_url = self.read_text(name)
        if own_url is None and fallback is not None:
            self.fallbacks[name] = f"{_FALLBACK_SECTION}.base_url"
        elif own_url is None and shared_url != OPENAI_URL:
            self.fallbacks[name] = "OPENAI_BASE_URL"
        url = (own_url or (fallback.base_url if fallback else shared_url)).rstrip("/")
        self.values[name] = url
        return url

    def _read_secret(self, name: str, default: Secret, *, is_shared: bool) -> Secret:
        """Return the key of a section, from the first source that sets a key; its file wins, then the key itself."""
        names = tuple(f"{name}.{key}" for key in ("api_key_file", "api_key", "api_key_env"))
        self.alternatives.update(dict.fromkeys(names, names))
        location, value, file = self._find(*names)
        text, kind = validate_text(location, value), location.lower()
        if text and kind.endswith("api_key_file"):
            return Secret(file=resolve_path(text, file), setting_name=location)
        if text and kind.endswith("api_key_env") and (is_shared or text != OPENAI_KEY_VARIABLE):
            return Secret(self.variables.get(text) or None, variable=text, setting_name=location)
        if text and not kind.endswith("api_key_env"):
            return Secret(text)
        if default != Secret():
            self.fallbacks[f"{name}.api_key"] = f"{_FALLBACK_SECTION}.api_key"
            return default
        key = self.find_variable(OPENAI_KEY_VARIABLE)
        if key is not None and is_shared:
            self.fallbacks[f"{name}.api_key"] = OPENAI_KEY_VARIABLE
        return Secret(key if is_shared else None)

    def read_subtables(self, name: str) -> dict[str, ConfigFile]:
        """Return the subtables of the table `name` in all files; of equal names the first file's subtable counts."""
        subtables: dict[str, ConfigFile] = {}
        for file in reversed(self.files):
            tables = file.table.get(name, {})
            if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
                raise InvalidError(f"{file.label}: {name} must hold tables, such as [{name}.NAME]")
            subtables |= {key: replace(file, table=table) for key, table in tables.items()}
        return subtables

    def make_table_reader(self, name: str, file: ConfigFile, allowed_names: list[str]) -> "SettingsReader":
        """Return a reader of one table; InvalidError if the table has a name that is not allowed."""
        unknown = [key for key in file.table if key not in allowed_names]
        if unknown:
            raise InvalidError(f"{file.label}: {name} has no {unknown[0]!r}; it may have {', '.join(allowed_names)}")
        return SettingsReader({}, [file], f"{name}.")

    def _read_price(self, model: str, file: ConfigFile) -> Price:
        table = self.make_table_reader(f"prices.{model}", file, ["since", "input", "output", "cached", "training"])
        since = file.table.get("since", date.min)
        if not isinstance(since, date):
            raise InvalidError(f"{file.label}: prices.{model}.since is not a date such as 2026-11-01")
        price = table.read_number("input", float, 0.0, 1e6)
        if price is None:
            raise InvalidError(f"{file.label}: prices.{model} needs an input: US dollars per million tokens")
        output, cached = table.read_number("output", float, 0.0, 1e6), table.read_number("cached", float, 0.0, 1e6)
        training = table.read_number("training", float, 0.0, 1e6)
        return Price(model, since.isoformat(), price, output or 0.0, cached, training)
