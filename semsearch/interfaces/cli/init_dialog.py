"""The guided start: choose a server, find the key, check both, choose models, write the configuration file.

Asks on a terminal and takes flags elsewhere. Questions, tables and differences go to stderr, the result to stdout. No
key is printed or logged.
"""

import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click

from ...core.endpoints import Endpoint
from ...core.errors import InvalidError, NotFoundError, UnavailableError
from ...core.settings import Settings
from ...models.openai.responses import redact
from ...models.openai.server_check import ListedModel, fetch_models
from ...usage.pricing import PriceTable
from . import init_plan, output
from .context import CliContext
from .init_models import ModelChooser
from .init_plan import LOCAL_EMBEDDER, KeySource, Plan, Server
from .init_writing import Choice, Target, read_target, write_choice

_FLAGS = "--server openai|URL|none, --key-file FILE or --key-env NAME, --chat-model, --embedding-model, --yes"
_OPENAI_KEY = "OPENAI_API_KEY"
_T = TypeVar("_T")
_SERVER_QUESTION = """\
Which model server writes answers and embeds documents?
  openai  OpenAI, with a key of your own
  URL     another server with OpenAI's API, such as http://localhost:11434/v1 for Ollama
  none    no server: the built-in model, and answers that are sentences of your documents"""


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The flags of the command; None is a question on a terminal, else the proposal."""

    server: str | None
    key_file: str | None
    key_env: str | None
    chat_model: str | None
    embedding_model: str | None
    yes: bool
    has_check: bool


def run_init(context: CliContext, options: InitOptions) -> None:
    """Write the configuration file of the user; nothing is written after an error."""
    target = read_target(context, "init")
    asks = not options.yes and sys.stdin.isatty() and sys.stderr.isatty()
    server = _choose_server(options, asks=asks)
    if server.kind == "none":
        _reject_flags(options)
        choice = Choice(Plan(server))
    else:
        choice = _choose_models(options, server, target, asks=asks)
    write_choice(context, target, choice, yes=options.yes, asks=asks)


def _choose_models(options: InitOptions, server: Server, target: Target, *, asks: bool) -> Choice:
    """Find the key, check it with the server, and choose the models."""
    plan = Plan(server, _choose_key(options, server, target, asks=asks))
    endpoint, key = _resolve_endpoint(plan, target, options)
    listed = _check_server(endpoint, key) if options.has_check else None
    chooser = ModelChooser(server, endpoint.base_url, listed, PriceTable(target.settings.prices), asks=asks)
    chat = chooser.choose_chat(options.chat_model)
    embedding = chooser.choose_embedding(options.embedding_model)
    notes = chooser.list_notes((chat, embedding))
    if not options.has_check:
        notes.append("key and models were not checked")
    embedder = f"openai:{embedding.model}" if embedding else LOCAL_EMBEDDER
    plan = replace(plan, chat_model=chat.model if chat else None, embedder=embedder)
    return Choice(plan, chat, embedding, notes)


def _choose_server(options: InitOptions, *, asks: bool) -> Server:
    if options.server is not None:
        return init_plan.parse_server(options.server)
    if not asks:
        raise InvalidError(f"init asks on a terminal only; without one, or with --yes, use flags: {_FLAGS}")
    output.print_err(_SERVER_QUESTION)
    return _ask("Server", "openai", init_plan.parse_server)


def _reject_flags(options: InitOptions) -> None:
    if options.key_file or options.key_env or options.chat_model not in (None, "none"):
        raise InvalidError("--server none uses neither a key nor a chat model; leave out their flags")


def _choose_key(options: InitOptions, server: Server, target: Target, *, asks: bool) -> KeySource:
    """Return where the key is: by flag, by the present file, by OPENAI_API_KEY, or by asking."""
    if options.key_file and options.key_env:
        raise InvalidError("a key is in a file or in a variable: use --key-file or --key-env, not both")
    if options.key_file:
        return _locate_key_file(options.key_file, has_check=options.has_check)
    if options.key_env:
        return KeySource(variable=init_plan.validate_variable(options.key_env))
    if (kept := init_plan.find_kept_key(target.file.table, server)) is not None:
        return kept
    has_variable = server.kind == "openai" and target.settings.has_openai_key
    if asks and not server.is_local:
        return _ask_key(server, target, has_variable=has_variable)
    if server.kind == "openai" and not has_variable:
        raise InvalidError(f"OpenAI needs a key: use --key-file FILE or --key-env NAME, or set {_OPENAI_KEY}")
    return KeySource(variable=_OPENAI_KEY if has_variable else None)


def _ask_key(server: Server, target: Target, *, has_variable: bool) -> KeySource:
    stored_path = target.path.parent / server.key_file_name
    state = f"such as {_OPENAI_KEY}, which is {'set' if has_variable else 'not set'}"
    lines = [
        "Where is the key? The configuration file refers to it, and does not contain it.",
        f"  env   in an environment variable{f', {state}' if server.kind == 'openai' else ''}",
        "  file  in a file of yours",
        f"  type  type it now, invisibly; it is stored in {stored_path}, for you only",
        *([] if server.kind == "openai" else ["  none  this server needs no key"]),
    ]
    output.print_err("\n".join(lines))
    kinds = ["env", "file", "type", *([] if server.kind == "openai" else ["none"])]
    default = "env" if has_variable else "type"
    kind = click.prompt("Key", default=default, type=click.Choice(kinds), show_choices=False, err=True)
    if kind == "env":
        return _ask(
            "Variable",
            _OPENAI_KEY if has_variable else None,
            lambda name: KeySource(variable=init_plan.validate_variable(name)),
        )
    if kind == "file":
        return _ask("File", None, lambda path: _locate_key_file(path, has_check=True))
    return KeySource() if kind == "none" else _ask_secret(stored_path)


def _ask_secret(path: Path) -> KeySource:
    while True:
        typed = click.prompt("Key (not shown)", hide_input=True, err=True).strip()
        try:
            return KeySource(file=path, typed=init_plan.validate_key(typed, "what was typed"))
        except InvalidError as exc:
            output.print_err(str(exc))


def _locate_key_file(name: str, *, has_check: bool) -> KeySource:
    """Return an existing file with a key; without the check it may come later."""
    path = Path(name).expanduser().absolute()
    if has_check:
        _read_key_file(path, redact(name, None))
    return KeySource(file=path)


def _read_key_file(path: Path, shown_name: str) -> str:
    try:
        return init_plan.validate_key(path.read_text(encoding="utf-8").strip(), shown_name)
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no key file {shown_name}; the flag takes a path, not the key itself") from exc
    except UnicodeDecodeError as exc:
        raise InvalidError(f"{shown_name} is not a text file with a key") from exc
    except OSError as exc:
        raise InvalidError(f"the key file {shown_name} cannot be read: {exc.strerror}") from exc


def _resolve_endpoint(plan: Plan, target: Target, options: InitOptions) -> tuple[Endpoint, str | None]:
    """Return the endpoint and key that the new file would give, so that what is checked is what will be used."""
    table = tomllib.loads(init_plan.build_text(target.text, plan.list_changes()))
    endpoint = Settings.load_file(replace(target.file, table=table)).chat
    if plan.key.typed or not options.has_check:
        return endpoint, plan.key.typed
    try:
        key = endpoint.key.read()
    except UnavailableError as exc:
        where = f"the environment variable {plan.key.variable} is not set" if plan.key.variable else str(exc)
        raise InvalidError(f"{where}; correct it, or name another place of the key") from exc
    if plan.key.variable == _OPENAI_KEY and key is None:
        raise InvalidError(
            f"{_OPENAI_KEY} goes only to OpenAI, or to the server of OPENAI_BASE_URL: put the key of"
            f" {endpoint.base_url} into another variable or a file"
        )
    is_named = plan.key.variable or plan.key.file
    return endpoint, init_plan.validate_key(key, plan.key.variable or "the key file") if is_named else key


def _check_server(endpoint: Endpoint, key: str | None) -> list[ListedModel]:
    listed = fetch_models(endpoint, key)
    accepted = "accepts the key and " if key else ""
    output.print_err(f"{endpoint.base_url} {accepted}has {output.format_count(len(listed), 'model')}.")
    return listed


def _ask(question: str, default: str | None, parse: Callable[[str], _T]) -> _T:
    """Ask until the answer is valid."""
    while True:
        try:
            return parse(str(click.prompt(question, default=default, err=True)).strip())
        except (InvalidError, NotFoundError) as exc:
            output.print_err(str(exc))
