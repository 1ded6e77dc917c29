"""Show and write the configuration file of the guided start, and say what comes next."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from ...core.config_files import ConfigFile, read_config
from ...core.config_trust import format_value
from ...core.errors import ConflictError, InvalidError, SemsearchError, StorageError
from ...core.private_files import make_private_folder, write_private_file
from ...core.settings import Settings, find_user_config
from ...usage.cost_examples import ModelCost
from . import init_costs, output
from .context import CliContext
from .init_plan import Plan, build_text, format_diff

_NEXT = ["semsearch ingest docs/", 'semsearch ask "..."', "semsearch usage"]


@dataclass(frozen=True, slots=True)
class Target:
    """The configuration file of the user, before the change."""

    path: Path
    exists: bool
    text: str
    file: ConfigFile
    """Its path has all links resolved; without a file its table is empty."""
    settings: Settings
    """What the file sets alone."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The plan, the costs of its models, and notes about them."""

    plan: Plan
    chat: ModelCost | None = None
    embedding: ModelCost | None = None
    notes: Sequence[str] = ()


def read_target(context: CliContext, verb: str) -> Target:
    """Return the user's own file, which may not exist; InvalidError if the command names another one."""
    path = find_user_config()
    if path is None:
        raise StorageError("there is no folder for your settings; set XDG_CONFIG_HOME or HOME to an absolute path")
    if context.config:
        raise InvalidError(f"{verb} changes your own file, {path}; call it without --config")
    file = read_config(path, str(path))
    exists = file is not None
    file = file or ConfigFile(path.resolve(), path.parent, str(path), "", {})
    text = file.path.read_bytes().decode() if exists else ""
    return Target(path, exists, text, file, Settings.load_file(file))


def write_target(target: Target, new_text: str, verb: str) -> None:
    """Write the file, readable by the user only; ConflictError if it has changed since it was read."""
    try:
        make_private_folder(target.path.parent)
        current = target.file.path.read_bytes() if target.file.path.exists() else b""
        if current != target.text.encode():
            raise ConflictError(f"{target.path} has changed in the meantime; call {verb} again")
        write_private_file(target.file.path, new_text.encode())
    except OSError as exc:
        raise StorageError(f"{exc.filename or target.path} cannot be written: {exc.strerror}") from exc


def write_choice(context: CliContext, target: Target, choice: Choice, *, yes: bool, asks: bool) -> None:
    """Show the change, ask if needed, write it, and print the result with its costs and the next command."""
    plan = choice.plan
    new_text = build_text(target.text, plan.list_changes())
    settings = Settings.load_file(replace(target.file, table=tomllib.loads(new_text)))
    is_changed = new_text != target.text or plan.key.typed is not None
    if is_changed:
        output.print_err(_format_change(target, plan, new_text))
    is_written = is_changed and _is_confirmed(target, yes=yes, asks=asks)
    if is_written:
        _write(target, plan, new_text)
    notes = [*choice.notes, *_list_notes(target, settings, choice)]
    if is_written or not is_changed:
        notes += _list_overrides(settings)
    context.print_result(
        _build_result(target, choice, settings, notes, is_written=is_written),
        lambda: _format_result(target, choice, notes, is_changed=is_changed, is_written=is_written),
    )


def _format_change(target: Target, plan: Plan, new_text: str) -> str:
    """Return the text of a new file, or the difference to the existing one without secrets."""
    difference = format_diff(target.text, new_text, target.file.table) if target.exists else new_text.rstrip()
    parts = [f"\n{target.path}{' changes' if target.exists else ''}:", f"\n{difference}\n"] if difference else []
    if plan.key.typed is not None and plan.key.file is not None:
        verb = "replaces the key in" if plan.key.file.exists() else "goes to"
        parts.append(f"The key {verb} {plan.key.file}, which only you can read.")
    return "\n".join(parts)


def _is_confirmed(target: Target, *, yes: bool, asks: bool) -> bool:
    """Return whether the change may be written; ConflictError if an existing file would need a question."""
    if yes or (not asks and not target.exists):
        return True
    if not asks:
        raise ConflictError(f"{target.path} exists and was kept as it is; with --yes the change above is written")
    question = "Change it?" if target.exists else "Write it?"
    return bool(click.confirm(question, default=not target.exists, err=True))


def _write(target: Target, plan: Plan, new_text: str) -> None:
    """Write the key file if a key was typed, then the configuration file; both are readable by the user only."""
    try:
        make_private_folder(target.path.parent)
        current = target.file.path.read_bytes() if target.file.path.exists() else b""
        if current != target.text.encode():
            raise ConflictError(f"{target.path} has changed in the meantime; call init again")
        if plan.key.typed is not None and plan.key.file is not None:
            write_private_file(plan.key.file, plan.key.typed.encode() + b"\n")
        write_private_file(target.file.path, new_text.encode())
    except OSError as exc:
        raise StorageError(f"{exc.filename or target.path} cannot be written: {exc.strerror}") from exc


def _list_notes(target: Target, settings: Settings, choice: Choice) -> list[str]:
    notes = []
    old = target.settings
    if choice.embedding is not None:
        notes.append("existing collections keep their embedder; new ones get the one chosen here")
        notes.append(f"the text of documents that you ingest, and of queries, goes to {settings.embeddings.base_url}")
    if old.embedder and old.embedder.startswith("openai:") and old.embeddings.base_url != settings.embeddings.base_url:
        url = format_value("embeddings.base_url", old.embeddings.base_url)
        notes.append(f"collections made with the embedder {old.embedder} need its server, {url}, until made again")
    file = choice.plan.key.file
    if file is not None and choice.plan.key.typed is None and file.exists() and file.stat().st_mode & 0o077:
        notes.append(f"other users may read {file}: chmod 600 {file}")
    return notes


def _list_overrides(expected: Settings) -> list[str]:
    """Return which of the written settings do not count in this folder, or why the settings cannot be read."""
    try:
        actual = Settings.load()
    except SemsearchError as exc:
        return [f"in this folder the settings cannot be read: {exc}"]
    pairs = {
        "chat.model": (expected.chat_model, actual.chat_model),
        "chat.base_url": (expected.chat.base_url, actual.chat.base_url),
        "embeddings.base_url": (expected.embeddings.base_url, actual.embeddings.base_url),
        "embeddings.embedder": (expected.embedder, actual.embedder),
    }
    return [
        f"here {name} is {format_value(name, used)}: the environment or another semsearch.toml goes before your file"
        for name, (written, used) in pairs.items()
        if written != used
    ]


def _build_result(
    target: Target, choice: Choice, settings: Settings, notes: Sequence[str], *, is_written: bool
) -> dict[str, Any]:
    """Return what is printed as JSON; it has no secret."""
    plan, is_local = choice.plan, choice.plan.server.is_local
    chat, embedding = choice.chat, choice.embedding
    uses_server = plan.server.kind != "none"
    return {
        "path": str(target.path),
        "written": is_written,
        "server": plan.server.kind,
        "base_url": settings.chat.base_url if uses_server else None,
        "key_file": str(plan.key.file) if plan.key.file else None,
        "key_env": plan.key.variable,
        "chat_model": plan.chat_model,
        "embedder": plan.embedder,
        "costs": {
            "question_usd": init_costs.compute_usd(chat, chat.usd if chat else None, is_local=is_local),
            "thousand_pages_usd": init_costs.compute_usd(
                embedding, embedding.thousand_pages_usd if embedding else None, is_local=is_local
            ),
        },
        "prices": {cost.model: cost.price for cost in (chat, embedding) if cost is not None},
        "notes": list(notes),
        "next": _NEXT,
    }


def _format_result(target: Target, choice: Choice, notes: Sequence[str], *, is_changed: bool, is_written: bool) -> str:
    if is_changed and not is_written:
        return f"nothing was written; {target.path} is as before"
    is_local = choice.plan.server.is_local
    lines = [
        f"wrote {target.path}" if is_written else f"{target.path} has these settings already; nothing was written",
        "",
        init_costs.describe_question(choice.chat, is_local=is_local),
        init_costs.describe_ingest(choice.embedding, is_local=is_local),
        *(f"Note: {note}." for note in notes),
        "",
        "Next:",
        *(f"  {command}" for command in _NEXT),
    ]
    return "\n".join(lines)
