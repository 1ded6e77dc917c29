"""The options of every command, the library that they select, and the output format that they choose."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...core.escapes import escape_text
from . import output
from .terminal import uses_links

if TYPE_CHECKING:
    from ...collection import Collection
    from ...core.settings import Settings
    from ...library import Library
    from ..links import PageLinks

_Command = Callable[..., Any]


@dataclass(slots=True)
class CliContext:
    """The global options, given before or after the command."""

    data_dir: str | None = None
    config: str | None = None
    as_json: bool = False

    def settings(self) -> "Settings":
        """Load the settings; --config replaces the file of the working folder."""
        from ...core.settings import Settings

        return Settings.load(config=Path(self.config) if self.config else None)

    @property
    def flags(self) -> dict[str, tuple[str, str]]:
        """The global options that are given and set a setting: option and value, by the setting's name."""
        options = (("data_dir", "--data-dir", self.data_dir), ("SEMSEARCH_CONFIG", "--config", self.config))
        return {name: (option, value) for name, option, value in options if value}

    @contextmanager
    def open_library(self) -> Iterator["Library"]:
        """Open the library; close it with the block."""
        from ...library import Library

        with Library(self.data_dir, settings=self.settings()) as library:
            yield library

    @contextmanager
    def open_collection(self, name: str, *, accept_loss: bool = False) -> Iterator["Collection"]:
        """Open an existing collection; close it with the block."""
        with self.open_library() as library:
            yield library.open(name, accept_loss=accept_loss)

    def make_links(self, collection: "Collection") -> "PageLinks | None":
        """Return the maker of addresses for what is printed; None if there is no public URL, or nothing shows links."""
        public_url = self.settings().public_url if self.as_json or uses_links() else None
        if public_url is None:
            return None
        from ..links import PageLinks

        return PageLinks(public_url, collection.name)

    def print_result(self, value: Any, format_text: Callable[[], str]) -> None:
        """Print a result: as JSON with --json, else as the text of `format_text`."""
        output.print_out(
            escape_text(json.dumps(value, ensure_ascii=False, default=_encode_value)) if self.as_json else format_text()
        )


def _encode_value(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by their names in JSON."""
    from ...core.types.answers import encode_fields  # late: `--help` needs no types

    return encode_fields(value)


def global_options(function: _Command) -> _Command:
    """Add the global options to a command."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--config",
            metavar="FILE",
            help="Read FILE instead of ./semsearch.toml, and trust it (default: $SEMSEARCH_CONFIG).",
        ),
        click.option(
            "--data-dir",
            metavar="DIR",
            help="Folder of the collections (default: $SEMSEARCH_DATA_DIR, else ./indexes).",
        ),
    ):
        function = option(function)
    return function


def accept_global_options(function: _Command) -> _Command:
    """Accept the global options after the command too; pass the CliContext as the first argument."""

    @global_options
    @wraps(function)
    def command(*args: Any, data_dir: str | None, config: str | None, as_json: bool, **options: Any) -> Any:
        context = click.get_current_context().find_object(CliContext)
        assert context is not None
        context.data_dir = data_dir or context.data_dir
        context.config = config or context.config
        context.as_json = as_json or context.as_json
        return function(context, *args, **options)

    return command
