"""The one reader of the environment and of `semsearch.toml`. Holds values; opens nothing but secret files.

A value comes from a flag, else the environment (`SEMSEARCH_CHAT__MODEL`; `__` nests), else `semsearch.toml`, else the
default.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, cast, get_args
from urllib.parse import urlsplit

from .accounts import Budget, Limits, Price
from .answers import Policy
from .errors import Invalid, Storage, Unavailable
from .profiles import PROFILES, Profile, Unknown

OPENAI_URL = "https://api.openai.com/v1"
CONFIG_FILE = "semsearch.toml"

MAX_TOKENS = 1_000_000
MAX_TEMPERATURE = 2.0
"""What a chat model may be asked for."""

CROSSINGS = (2_000_000, 150_000)
"""Measured with 256 dimensions, CPU ms of a query and recall@10. An exact scan takes .10 for 2,500 chunks, .33 for
7,500 and .42 for 10,000; codes and rerank .06, .08 and .09 (.999). Up to 8,000 chunks the scan is taken all the same:
it misses nothing, and FAISS need not be loaded, which takes a quarter of a second. By all codes 50,000 chunks take .28
(.999), 100,000 .52 (.999) and 150,000 .91 (.996), by lists .29 (.992), .39 (.990) and .58 (.984): lists cost less from
50,000 on, and are taken where that is worth what they miss."""

_PREFIX = "SEMSEARCH_"
_OF_KUBERNETES = re.compile(
    r"SEMSEARCH_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT(?:_\w+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)\w*)?)"
)
"""What a cluster puts into the environment by itself where a service is called `semsearch`, or `semsearch-web`."""

_N = TypeVar("_N", int, float)


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that is given as a value, or as a file that is read anew each time, so that it can be rotated."""

    value: str | None = field(default=None, repr=False)
    file: Path | None = None
    setting: str = field(default="API_KEY_FILE", compare=False)
    """What names the file."""

    def read(self) -> str | None:
        """The key as it is now, or None where none is set; Unavailable where its file is missing for a moment."""
        if self.file is None:
            return self.value
        try:
            return self.file.read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as exc:
            # without its path: whoever asks may be a stranger
            raise Unavailable(f"{self.setting}: the key file cannot be read: {type(exc).__name__}") from exc


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
    paid_gib: float = 4.0
    """Most that paid vectors may take on disk."""
    chat: Endpoint = Endpoint()
    chat_model: str | None = None
    has_openai_key: bool = False
    """Whether OPENAI_API_KEY is set, whoever gets it."""
    max_tokens: int = 800
    temperature: float | None = None
    system: str | None = None
    policy: Policy = "flag"
    profiles: Mapping[str, Profile] = field(default_factory=lambda: PROFILES)
    budget: Budget = field(default_factory=Budget)
    prices: tuple[Price, ...] = ()
    """Your own, which go before those that are known."""
    collapse: bool = True
    """Whether of chunks that say nearly the same only the best is shown."""
    per_document: int = 0
    """How many chunks of one document are shown, at most; 0 is no limit."""
    crossings: tuple[int, int] = CROSSINGS
    """From how many floats on vectors are coded, and from how many chunks on the codes are in lists."""
    keep_days: int = 90
    """How long answers and conversations are kept."""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, *, folder: Path = Path()) -> "Settings":
        """Read the environment and `semsearch.toml` in `folder`; Invalid names the setting that is wrong."""
        values = _Values(os.environ if environ is None else environ, _toml(folder / CONFIG_FILE))
        settings = cls(
            data_dir=Path(values.text("data_dir") or "indexes"),
            embeddings=values.endpoint("embeddings"),
            max_batch_inputs=values.number("embeddings.max_batch_inputs", int, 1, 2048) or 2048,
            concurrency=values.number("embeddings.concurrency", int, 1, 64) or 4,
            paid_gib=values.number("embeddings.paid_gib", float, 0.01, 100_000.0) or 4.0,
            chat=values.endpoint("chat"),
            chat_model=values.text("chat.model"),
            has_openai_key=bool(values.environ.get("OPENAI_API_KEY")),
            max_tokens=values.number("chat.max_tokens", int, 1, MAX_TOKENS) or 800,
            temperature=values.number("chat.temperature", float, 0.0, MAX_TEMPERATURE),
            system=values.text("chat.system"),
            policy=cast(Policy, values.choice("chat.policy", get_args(Policy)) or "flag"),
            profiles={**PROFILES, **values.profiles()},
            budget=Budget(values.limits("budget"), values.limits("budget.per_key")),
            prices=tuple(values.prices()),
            collapse=values.flag("search.collapse", default=True),
            per_document=values.number("search.per_document", int, 0, 1000) or 0,
            crossings=values.crossings("index.crossings") or CROSSINGS,
            keep_days=values.number("keep_days", int, 1, 36_500) or 90,
        )
        values.refuse_others()
        return settings


def _toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        import tomllib  # late: in most folders there is no such file

        return tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise Storage(f"{path} cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise Invalid(f"{path} is not valid TOML: {exc}") from exc


@dataclass(frozen=True, slots=True)
class _Values:
    """Looks a dotted name up in the environment, then in the file."""

    environ: Mapping[str, str]
    table: Mapping[str, Any]
    inside: str = ""
    """The table that all names are in, for messages."""
    known: set[str] = field(default_factory=set)
    """The names that were looked up."""

    def find(self, name: str) -> tuple[str, Any]:
        """The name under which the value was found, and the value; None where it is not set."""
        self.known.add(name)
        variable = _variable(name)
        if self.environ.get(variable):
            return variable, self.environ[variable]
        value: Any = self.table
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return f"{CONFIG_FILE}: {self.inside}{name}", value

    def refuse_others(self) -> None:
        """Invalid where something is set that was not looked up: a misspelt budget would be no budget."""
        variables = list(map(_variable, self.known))
        for variable, value in self.environ.items():
            ours = variable.startswith(_PREFIX) and not _OF_KUBERNETES.fullmatch(variable)
            if ours and value and variable not in variables:
                raise Invalid(f"there is no setting {variable[:80]}; the nearest is {_nearest(variable, variables)}")
        own = {name: value for name, value in self.table.items() if name not in ("profiles", "prices")}
        for name in _leaves(own):
            if name not in self.known:
                nearest = _nearest(name, self.known)
                raise Invalid(f"{CONFIG_FILE}: there is no setting {name[:80]}; the nearest is {nearest}")

    def text(self, name: str) -> str | None:
        where, value = self.find(name)
        if value is not None and not isinstance(value, str):
            raise Invalid(f"{where}: {value!r} is not a text")
        return value or None

    def number(self, name: str, kind: Callable[[Any], _N], low: _N, high: _N) -> _N | None:
        where, value = self.find(name)
        if value is None:
            return None
        try:
            number = kind(value)
        except (TypeError, ValueError) as exc:
            raise Invalid(f"{where}: {value!r} is not a number") from exc
        if not low <= number <= high:
            raise Invalid(f"{where}: {value!r} is not between {low:g} and {high:g}")
        return number

    def flag(self, name: str, *, default: bool) -> bool:
        where, value = self.find(name)
        if value is None:
            return default
        found = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
        if found is None:
            raise Invalid(f"{where}: {value!r} is neither true nor false")
        return found

    def crossings(self, name: str) -> tuple[int, int] | None:
        where, value = self.find(name)
        if value is None:
            return None
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        parts = re.fullmatch(r"(\d{1,12}),\s*(\d{1,12})", text.strip())
        if parts is None:
            raise Invalid(f"{where}: {value!r} is not two whole numbers such as {CROSSINGS[0]},{CROSSINGS[1]}")
        return int(parts[1]), int(parts[2])

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            raise Invalid(f"{self.find(name)[0]}: {value!r} is none of {', '.join(allowed)}")
        return value

    def endpoint(self, name: str) -> Endpoint:
        """The section's own server and key; OPENAI_API_KEY goes only to OPENAI_BASE_URL, or to OpenAI itself."""
        shared_url = self.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        base_url = (self.text(f"{name}.base_url") or shared_url).rstrip("/")
        shared = base_url == shared_url.rstrip("/")
        ca_file = self.environ.get("SSL_CERT_FILE")
        return Endpoint(
            base_url,
            self._secret(name, shared=shared),
            organization=self.environ.get("OPENAI_ORG_ID") or None if shared else None,
            project=self.environ.get("OPENAI_PROJECT_ID") or None if shared else None,
            proxy=_proxy(self.environ, base_url),
            ca_file=Path(ca_file) if ca_file else None,
            timeout=self.number(f"{name}.timeout", float, 1.0, 86_400.0) or 600.0,
        )

    def limits(self, name: str) -> Limits:
        most = 1e15
        return Limits(
            day_tokens=self.number(f"{name}.day_tokens", int, 0, int(most)),
            day_usd=self.number(f"{name}.day_usd", float, 0.0, most),
            month_tokens=self.number(f"{name}.month_tokens", int, 0, int(most)),
            month_usd=self.number(f"{name}.month_usd", float, 0.0, most),
        )

    def profiles(self) -> dict[str, Profile]:
        """The tables `[profiles.NAME]`."""
        return {name: self._profile(name) for name in self._tables("profiles")}

    def prices(self) -> list[Price]:
        """The tables `[prices."MODEL"]`, in dollars for a million tokens."""
        return [self._price(model) for model in self._tables("prices")]

    def _secret(self, name: str, *, shared: bool) -> Secret:
        file, value = self.text(f"{name}.api_key_file"), self.text(f"{name}.api_key")
        if file:
            return Secret(file=Path(file), setting=self.find(f"{name}.api_key_file")[0])
        if not value and shared:
            value = self.environ.get("OPENAI_API_KEY") or None
        return Secret(value)

    def _tables(self, name: str) -> dict[str, Any]:
        tables = self.table.get(name, {})
        if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
            raise Invalid(f"{CONFIG_FILE}: {name} must hold tables, such as [{name}.NAME]")
        return dict(tables)

    def _inside(self, name: str, table: Mapping[str, Any], known: list[str]) -> "_Values":
        """The values of one table alone, of which every name must be known."""
        unknown = [key for key in table if key not in known]
        if unknown:
            raise Invalid(f"{CONFIG_FILE}: {name} has no {unknown[0]!r}; it may have {', '.join(known)}")
        return _Values({}, table, f"{name}.")

    def _profile(self, name: str) -> Profile:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
            raise Invalid(f"{CONFIG_FILE}: {name[:80]!r} cannot name a profile: take a-z, 0-9, - and _")
        known = [each.name for each in fields(Profile)]
        inside = self._inside(f"profiles.{name}", self._tables("profiles")[name], known)
        return Profile(
            system=inside.text("system"),
            policy=cast("Policy | None", inside.choice("policy", get_args(Policy))),
            k=inside.number("k", int, 1, 100),
            temperature=inside.number("temperature", float, 0.0, MAX_TEMPERATURE),
            max_tokens=inside.number("max_tokens", int, 1, MAX_TOKENS),
            model=inside.text("model"),
            unknown=cast(Unknown, inside.choice("unknown", get_args(Unknown)) or "abstain"),
            unknown_text=inside.text("unknown_text"),
        )

    def _price(self, model: str) -> Price:
        table = self._tables("prices")[model]
        inside = self._inside(f"prices.{model}", table, ["since", "input", "output", "cached"])
        since = table.get("since", date.min)
        if not isinstance(since, date):
            raise Invalid(f"{CONFIG_FILE}: prices.{model}.since is not a date such as 2026-11-01")
        price = inside.number("input", float, 0.0, 1e6)
        if price is None:
            raise Invalid(f"{CONFIG_FILE}: prices.{model} needs an input: dollars for a million tokens")
        output, cached = inside.number("output", float, 0.0, 1e6), inside.number("cached", float, 0.0, 1e6)
        return Price(model, since.isoformat(), price, output or 0.0, cached)


def _variable(name: str) -> str:
    return _PREFIX + name.upper().replace(".", "__")


def _leaves(table: Mapping[str, Any]) -> Iterator[str]:
    """The names of all values in a table, those of tables in it with theirs in front."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{leaf}" for leaf in _leaves(value))
        else:
            yield name


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import SequenceMatcher  # late: where all is well nothing is compared

    return max(sorted(known), key=lambda other: SequenceMatcher(None, name[:80], other).ratio())


def _proxy(environ: Mapping[str, str], url: str) -> str | None:
    """The proxy that the environment names for this address, as other programs on this machine use it.

    Without a scheme it is one of HTTP, as for curl.
    """
    proxies = _proxies(environ)
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None or not parts.hostname:
        return None
    # late: it brings all of http and email with it. typeshed leaves it out
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    if proxy_bypass_environment(parts.netloc, proxies):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in environ.items() if value}
    return {name.removesuffix("_proxy"): value for name, value in lower.items() if name.endswith("_proxy")}
