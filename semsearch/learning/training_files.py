"""Check, read and write training files: JSON Lines as OpenAI's documentation requires them.

The rules: fine-tuning guide and OpenAPI specification of OpenAI (10 lines at least, `messages` with a role and a
content each, the last one of the assistant, 512 MB for a file), and 65,536 tokens for an example, the limit of
gpt-4o and gpt-4o-mini in the tables of Azure OpenAI.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import InvalidError, NotFoundError, StorageError
from ..core.private_files import make_private_folder, write_private_file
from ..core.types.usage import TokenEstimate
from ..usage.token_estimates import estimate_tokens

MIN_EXAMPLES = 10
MAX_EXAMPLE_TOKENS = 65_536
MAX_FILE_BYTES = 512_000_000
ROLES = ("system", "developer", "user", "assistant")

_TOKENS_PER_MESSAGE = 4
"""Separators and the role, as OpenAI's cookbook counts them (3, and 1 for the role)."""


class TrainingFile(NamedTuple):
    """A checked file for a job."""

    data: bytes
    examples: int
    tokens: TokenEstimate
    """Of all examples, once."""


def estimate_example_tokens(texts: Sequence[str]) -> TokenEstimate:
    """Return the tokens of one example with these messages."""
    overhead = _TOKENS_PER_MESSAGE * len(texts)
    return estimate_tokens(texts, {}) + TokenEstimate(overhead, overhead)


def sum_tokens(estimates: Iterable[TokenEstimate]) -> TokenEstimate:
    """Return the tokens of several examples."""
    return sum(estimates, TokenEstimate(0, 0))


def write_training_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write each file by its name, readable by its owner only; StorageError if one cannot be written."""
    try:
        if not folder.is_dir():
            make_private_folder(folder)
        for name, data in files.items():
            write_private_file(folder / name, data)
    except OSError as exc:
        raise StorageError(f"{exc.filename or folder} cannot be written: {exc.strerror}") from exc


def read_training_file(path: Path, *, min_examples: int = MIN_EXAMPLES) -> TrainingFile:
    """Return a chat file for a job; InvalidError names the first line that the documentation does not allow."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {path}; write it: semsearch finetune export DIR") from exc
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}") from exc
    if data is None:
        raise InvalidError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes, the limit for a file; split it")
    lines = (
        data.decode("utf-8", "replace").splitlines() if b"\r" in data else data.decode("utf-8", "replace").split("\n")
    )
    tokens = [_check_line(path, number, line) for number, line in enumerate(_drop_last_empty(lines), 1)]
    if len(tokens) < min_examples:
        raise InvalidError(f"{path} has {len(tokens)} examples; a job needs {min_examples} at least")
    return TrainingFile(data, len(tokens), sum_tokens(tokens))


def _drop_last_empty(lines: list[str]) -> list[str]:
    return lines[:-1] if lines and not lines[-1] else lines


def _check_line(path: Path, number: int, line: str) -> TokenEstimate:
    """Return the tokens of a line; InvalidError if it is no chat example."""
    try:
        value = json.loads(line)
        problem = find_chat_problem(value)
    except (ValueError, RecursionError):
        problem = "is not valid JSON"
    if problem is not None:
        raise InvalidError(f"{path}, line {number}: {problem}; a job needs a chat file, such as chat.train.jsonl")
    return estimate_example_tokens([message["content"] for message in value["messages"]])


def find_chat_problem(value: Any) -> str | None:
    """Return what is wrong with a chat example; None if nothing is."""
    messages = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(messages, list) or not messages:
        return "it has no list of messages"
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            return f"a message has none of the roles {', '.join(ROLES)}"
        if not isinstance(message.get("content"), str) or not message["content"].strip():
            return f"a message of the role {message['role']} has no content"
    if messages[-1]["role"] != "assistant":
        return "the last message is not of the role assistant"
    if not any(message["role"] == "user" for message in messages):
        return "it has no message of the role user"
    tokens = estimate_example_tokens([message["content"] for message in messages]).expected
    return (
        f"it has about {tokens:,} tokens; the limit is {MAX_EXAMPLE_TOKENS:,}" if tokens > MAX_EXAMPLE_TOKENS else None
    )
