"""The one reader of the environment and of `semsearch.toml`. Holds values; opens nothing but secret files.

A value comes from a flag, else the environment (`SEMSEARCH_CHAT__MODEL`; `__` nests), else `semsearch.toml`, else the
default.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .errors import Invalid, Storage

OPENAI_URL = "https://api.openai.com/v1"
CONFIG_FILE = "semsearch.toml"

_N = TypeVar("_N", int, float)


@dataclass(frozen=True, slots=True)
class Secret:
    """A key that is given as a value, or as a file that is read anew each time, so that it can be rotated."""

    value: str | None = field(default=None, repr=False)
    file: Path | None = None

    def read(self) -> str | None:
        """The key as it is now, or None where none is set."""
        if self.file is None:
            return self.value
        try:
            return self.file.read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as exc:
            raise Invalid(f"the key file {self.file} cannot be read: {type(exc).__name__}") from exc


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One OpenAI-compatible server and the key that belongs to it."""

    base_url: str = OPENAI_URL
    key: Secret = Secret()


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. With nothing set it works on this machine alone."""

    data_dir: Path = Path("indexes")
    embeddings: Endpoint = Endpoint()
    max_batch_inputs: int = 2048
    chat: Endpoint = Endpoint()
    chat_model: str | None = None
    max_tokens: int = 800
    temperature: float | None = None
    system: str | None = None

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, *, folder: Path = Path()) -> "Settings":
        """Read the environment and `semsearch.toml` in `folder`; Invalid names the setting that is wrong."""
        values = _Values(os.environ if environ is None else environ, _toml(folder / CONFIG_FILE))
        return cls(
            data_dir=Path(values.text("data_dir") or "indexes"),
            embeddings=values.endpoint("embeddings"),
            max_batch_inputs=values.number("embeddings.max_batch_inputs", int, 1, 2048) or 2048,
            chat=values.endpoint("chat"),
            chat_model=values.text("chat.model"),
            max_tokens=values.number("chat.max_tokens", int, 1, 1_000_000) or 800,
            temperature=values.number("chat.temperature", float, 0.0, 2.0),
            system=values.text("chat.system"),
        )


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise Storage(f"{path} cannot be read: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise Invalid(f"{path} is not valid TOML: {exc}") from exc


@dataclass(frozen=True, slots=True)
class _Values:
    """Looks a dotted name up in the environment, then in the file."""

    environ: Mapping[str, str]
    table: Mapping[str, Any]

    def find(self, name: str) -> tuple[str, Any]:
        """The name under which the value was found, and the value; None where it is not set."""
        variable = "SEMSEARCH_" + name.upper().replace(".", "__")
        if self.environ.get(variable):
            return variable, self.environ[variable]
        value: Any = self.table
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return f"{CONFIG_FILE}: {name}", value

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

    def endpoint(self, name: str) -> Endpoint:
        """The section's own server and key; OPENAI_API_KEY goes only to OPENAI_BASE_URL, or to OpenAI itself."""
        shared_url = self.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        base_url = (self.text(f"{name}.base_url") or shared_url).rstrip("/")
        file, value = self.text(f"{name}.api_key_file"), self.text(f"{name}.api_key")
        if file:
            return Endpoint(base_url, Secret(file=Path(file)))
        if not value and base_url == shared_url.rstrip("/"):
            value = self.environ.get("OPENAI_API_KEY") or None
        return Endpoint(base_url, Secret(value))
