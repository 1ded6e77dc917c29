"""The configuration that `semsearch init` writes: its server, key reference and models, as changes of a TOML file.

Asks, sends and writes nothing. A key is in a plan only while it is checked, and is never part of the text.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ...core.config_files import flatten_table
from ...core.errors import InvalidError, NotFoundError
from ...core.settings import OPENAI_URL
from ...core.toml_edit import Changes, edit_toml
from ...models.openai.responses import redact
from ...models.openai.transport import validate_base_url

LOCAL_EMBEDDER = "local"
NEW_FILE_COMMENT = "# Your settings of semsearch, for all folders (made by `semsearch init`; see docs/operations.md).\n"

_EMBEDDING_NAME = re.compile(r"embed|minilm|mpnet|(?:^|[/_-])(?:bge|e5|gte|gtr)(?:[._-]|$)", re.IGNORECASE)
_SECRET_NAME = re.compile(r"(?:\w+_)?(?:key|secret|token|password)")
_SECRET_LINE = re.compile(r"""((?:key|secret|token|password)["']?\s*=\s*).+""")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
_MAX_NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Server:
    """A model server, or none."""

    kind: Literal["openai", "url", "none"]
    base_url: str | None = None
    """None for OpenAI, or where OPENAI_BASE_URL leads."""

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine, where nobody pays for tokens."""
        host = urlsplit(self.base_url or "").hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")

    @property
    def key_file_name(self) -> str:
        """The name of the file for a key that is typed."""
        host = urlsplit(self.base_url or "").hostname or "openai"
        return f"{re.sub(r'[^a-z0-9.-]', '_', host)}.key"


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the key is: in a file, in an environment variable, or typed and about to be written to `file`."""

    file: Path | None = None
    variable: str | None = None
    typed: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be written."""

    server: Server
    key: KeySource = KeySource()
    chat_model: str | None = None
    embedder: str = LOCAL_EMBEDDER

    def list_changes(self) -> Changes:
        """Return the settings that change; None removes one."""
        if self.server.kind == "none":  # servers and keys of existing collections stay
            return {"chat": {"model": None}, "embeddings": {"embedder": LOCAL_EMBEDDER}}
        connection = {
            "base_url": self.server.base_url,
            "api_key": None,
            "api_key_file": str(self.key.file) if self.key.file else None,
            "api_key_env": self.key.variable,
        }
        is_remote = self.embedder.startswith("openai:")
        return {
            "chat": {**connection, "model": self.chat_model},
            "embeddings": {**(connection if is_remote else {}), "embedder": self.embedder},
        }


def parse_server(text: str) -> Server:
    """Return the server that a flag or an answer names; InvalidError if it is neither a name nor a base URL."""
    if text in ("openai", "none"):
        return Server("openai" if text == "openai" else "none")
    try:
        base_url = validate_base_url(text)
    except InvalidError as exc:
        raise InvalidError(
            f"{redact(text.rpartition('@')[2], None)!r} names no server: use openai, none, or a base URL such as"
            " http://localhost:11434/v1, without user or query"
        ) from exc
    return Server("openai") if base_url == OPENAI_URL else Server("url", base_url)


def validate_variable(name: str) -> str:
    """Return the name of an environment variable; InvalidError, which does not repeat it, if it may be a key."""
    if not _VARIABLE_NAME.fullmatch(name):
        raise InvalidError("--key-env takes the name of an environment variable, not the key itself")
    if name.startswith("SEMSEARCH_"):
        raise InvalidError(f"{name} is a setting of its own, and goes before the file: name another variable")
    return name


def validate_key(key: str | None, source: str) -> str:
    """Return the key; InvalidError, which does not repeat it, if it is empty or no key at all."""
    if not key:
        raise InvalidError(f"there is no key in {source}")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise InvalidError(
            f"{source} holds no key: it has a space, a line break or a character that is not ASCII; it must hold the"
            " key alone"
        )
    return key


def find_kept_key(table: Mapping[str, Any], server: Server) -> KeySource | None:
    """Return the key reference that a file has for the same server; None if it has none."""
    chat = table.get("chat", {})
    if (str(chat.get("base_url") or "").rstrip("/") or None) not in (server.base_url, server.base_url or OPENAI_URL):
        return None
    if chat.get("api_key_file"):
        return KeySource(file=Path(chat["api_key_file"]))
    return KeySource(variable=chat["api_key_env"]) if chat.get("api_key_env") else None


def is_embedding_model(name: str) -> bool:
    """Return whether the name of a model is that of an embedding model.

    >>> [is_embedding_model(name) for name in ("nomic-embed-text:latest", "BAAI/bge-m3", "llama3.2", "gpt-6-luna")]
    [True, True, False, False]
    """
    return _EMBEDDING_NAME.search(name) is not None


def check_listed(model: str, listed: Sequence[str], server_name: str) -> str:
    """Return the model if the server lists it; NotFoundError with the nearest names otherwise."""
    if model in listed:
        return model
    near = difflib.get_close_matches(model, listed, n=3, cutoff=0.5) or list(listed[:_MAX_NAMES_SHOWN])
    more = "" if len(listed) <= len(near) else f" ({len(listed)} in all)"
    names = f"the nearest of its models: {', '.join(near)}{more}" if near else "it lists none"
    raise NotFoundError(f"{server_name} has no model {redact(model, None)!r}; {names}")


def build_text(old_text: str, changes: Changes) -> str:
    """Return the new text of the file; a new file begins with a comment."""
    return edit_toml(old_text or NEW_FILE_COMMENT, changes)


def format_diff(old_text: str, new_text: str, table: Mapping[str, Any]) -> str:
    """Return the difference of two texts without secrets; `table` is the old text, parsed."""
    secrets = [
        value
        for name, value in flatten_table(table)
        if isinstance(value, str) and value and _SECRET_NAME.fullmatch(name.rpartition(".")[2])
    ]
    lines = difflib.unified_diff(old_text.splitlines(), new_text.splitlines(), n=2, lineterm="")
    return "\n".join(_mask(line, secrets) for line in list(lines)[2:])


def _mask(line: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        line = line.replace(secret, "(not shown)")
    line = re.sub(r"(?<=//)[^/\\?#\s]*@", "…@", line)
    return _SECRET_LINE.sub(r"\1(not shown)", line)
