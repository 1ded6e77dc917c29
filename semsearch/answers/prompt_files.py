"""Read versioned prompt texts: the built-in ones, and the file with which a user replaces the form of answers.

A prompt file has a line `version: NAME`, and below it the text. Only the form of answers can be replaced: the contract,
which requires citations and treats passages as data, is always part of the messages (see `prompts`).
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from ..core.errors import UnavailableError

MAX_PROMPT_CHARACTERS = 8_000
"""Of the text of a user's file: twice as much as the `system` text of a request."""

_FOLDER = "prompt_texts"
_CONTRACT_TEXTS = ("contract", "draft_contract", "operator_note", "own_prompt_note", "reminder", "repair")
_VERSION_LINE = re.compile(r"version:[ \t]*([A-Za-z0-9][A-Za-z0-9._-]{0,59})[ \t]*")
_HASH_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Prompt:
    """The instructions to a model about the form of its answers. The contract stands before it."""

    name: str
    """From the version line of its file."""
    text: str
    is_built_in: bool = False

    @property
    def version(self) -> str:
        """Return the name and a hash of this text and of the contract, as it is stored with each answer.

        >>> get_default_prompt().version.partition("@")[0]
        'default-3'
        """
        texts = "\0".join([self.text, *map(load_text, _CONTRACT_TEXTS)])
        return f"{self.name}@{hashlib.sha256(texts.encode()).hexdigest()[:_HASH_DIGITS]}"


@cache
def load_text(name: str) -> str:
    """Return a built-in text without its version line."""
    return _parse(_read_built_in(name))[1]


@cache
def get_default_prompt() -> Prompt:
    """Return the built-in prompt."""
    name, text = _parse(_read_built_in("default"))
    return Prompt(name, text, is_built_in=True)


def read_prompt(path: Path) -> Prompt:
    """Return the prompt of a user's file; UnavailableError, without the path, if it cannot be used.

    It is read at each question, so that an edit is effective at once. The error may be sent to HTTP clients.
    """
    try:
        with path.open("rb") as file:
            data = file.read(4 * MAX_PROMPT_CHARACTERS + 1_000)
        name, text = _parse(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except (OSError, UnicodeDecodeError) as exc:
        raise UnavailableError(
            f"the prompt file cannot be read: {type(exc).__name__}; correct prompt_file in the settings"
        ) from exc
    except ValueError as exc:
        raise UnavailableError(f"the prompt file cannot be used: {exc}") from exc
    return Prompt(name, text)


def _read_built_in(name: str) -> str:
    return files(__package__).joinpath(_FOLDER, f"{name}.txt").read_text(encoding="utf-8")


def _parse(content: str) -> tuple[str, str]:
    """Return name and text; ValueError says what is missing."""
    first_line, _, rest = content.partition("\n")
    version = _VERSION_LINE.fullmatch(first_line)
    if version is None:
        raise ValueError("its first line is not like `version: short-answers-1`; begin it so")
    text = rest.strip("\n")
    if not text.strip():
        raise ValueError("there is no text below its version line; write how answers should be")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise ValueError(f"it is longer than {MAX_PROMPT_CHARACTERS:,} characters; shorten it")
    return version[1], text
