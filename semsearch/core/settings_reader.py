"""Look up settings by dotted name in the environment and in configuration files, convert and validate them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from .config_files import CONFIG_FILE, ConfigFile, flatten_table, get_nested, resolve_path, validate_text
from .endpoints import OPENAI_URL, Endpoint, Secret
from .errors import InvalidError
from .names import validate_name
from .proxies import find_proxy
from .setting_names import find_closest_name, is_setting_variable, to_variable
from .types.answer_requests import NoAnswerAction, Profile, SupportPolicy
from .types.usage import BudgetLimits, Price

CONFIG_VARIABLE = "SEMSEARCH_CONFIG"
OPENAI_KEY_VARIABLE = "OPENAI_API_KEY"

MAX_TOKENS = 1_000_000
MAX_TEMPERATURE = 2.0
"""Upper bounds of what a chat model may be asked for."""

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

    def find(self, name: str) -> tuple[str, Any]:
        """Return the location of a value for messages, and the value; None if it is not set."""
        location, value, _ = self._find(name)
        return location, value

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
            checked = {name: value for name, value in file.table.items() if name not in ("profiles", "prices")}
            for name, _ in flatten_table(checked):
                if name not in self.known_names:
                    closest = find_closest_name(name, self.known_names)
                    raise InvalidError(f"{file.label}: there is no setting {name[:80]}; the nearest is {closest}")

    def read_text(self, name: str) -> str | None:
        """Return a text; None if it is not set."""
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
        """Return a number between `low` and `high`; None if it is not set."""
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
        """Return true or false."""
        location, value = self.find(name)
        if value is None:
            return default
        flag = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
        if flag is None:
            raise InvalidError(f"{location}: {value!r} is neither true nor false")
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

    def read_choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        """Return one of the allowed values; None if it is not set."""
        value = self.read_text(name)
        if value is not None and value not in allowed:
            raise InvalidError(f"{self.find(name)[0]}: {value!r} is none of {', '.join(allowed)}")
        return value

    def read_endpoint(self, name: str, fallback: Endpoint | None = None, *, default_timeout: float = 600.0) -> Endpoint:
        """Return the server and key of a section; OPENAI_API_KEY is used only for OPENAI_BASE_URL, or for OpenAI.

        Without its own URL, the section has the server of `fallback`; without its own key, its key for that server.
        """
        shared_url = self.variables.get("OPENAI_BASE_URL") or OPENAI_URL
        default_url = fallback.base_url if fallback else shared_url
        base_url = (self.read_text(f"{name}.base_url") or default_url).rstrip("/")
        is_shared = base_url == shared_url.rstrip("/")
        default_key = fallback.key if fallback and base_url == fallback.base_url else Secret()
        ca_file = self.variables.get("SSL_CERT_FILE")
        return Endpoint(
            base_url,
            self._read_secret(name, default_key, is_shared=is_shared),
            organization=self.variables.get("OPENAI_ORG_ID") or None if is_shared else None,
            project=self.variables.get("OPENAI_PROJECT_ID") or None if is_shared else None,
            proxy=find_proxy(self.variables, base_url),
            ca_file=Path(ca_file) if ca_file else None,
            timeout=self.read_number(f"{name}.timeout", float, 1.0, 86_400.0) or default_timeout,
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
        if text and kind.endswith("api_key_env") and (is_shared or text != OPENAI_KEY_VARIABLE):
            return Secret(self.variables.get(text) or None, variable=text, setting_name=location)
        if text and not kind.endswith("api_key_env"):
            return Secret(text)
        if default != Secret():
            return default
        return Secret(self.variables.get(OPENAI_KEY_VARIABLE) or None if is_shared else None)

    def _subtables(self, name: str) -> dict[str, ConfigFile]:
        """Return the subtables of the table `name` in all files; of equal names the first file's subtable counts."""
        subtables: dict[str, ConfigFile] = {}
        for file in reversed(self.files):
            tables = file.table.get(name, {})
            if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
                raise InvalidError(f"{file.label}: {name} must hold tables, such as [{name}.NAME]")
            subtables |= {key: replace(file, table=table) for key, table in tables.items()}
        return subtables

    def _table_reader(self, name: str, file: ConfigFile, allowed_names: list[str]) -> "SettingsReader":
        """Return a reader of one table; InvalidError if the table has a name that is not allowed."""
        unknown = [key for key in file.table if key not in allowed_names]
        if unknown:
            raise InvalidError(f"{file.label}: {name} has no {unknown[0]!r}; it may have {', '.join(allowed_names)}")
        return SettingsReader({}, [file], f"{name}.")

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
