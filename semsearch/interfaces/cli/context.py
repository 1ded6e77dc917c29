"""The options that every verb takes, and what they stand for: a library, and how results are printed."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import output as printing

if TYPE_CHECKING:
    from ...collection import Collection
    from ...core.settings import Settings
    from ...library import Library

_Command = Callable[..., Any]


@dataclass(slots=True)
class CliContext:
    """What was said before or after the verb, for every verb alike."""

    data_dir: str | None = None
    config: str | None = None
    as_json: bool = False

    def settings(self) -> "Settings":
        """The settings, with the file of --config instead of the working folder's."""
        from ...core.settings import Settings

        return Settings.load(config=Path(self.config) if self.config else None)

    @contextmanager
    def open_library(self) -> Iterator["Library"]:
        """The library, closed at the end."""
        from ...library import Library

        with Library(self.data_dir, settings=self.settings()) as library:
            yield library

    @contextmanager
    def open_collection(self, name: str, *, accept_loss: bool = False) -> Iterator["Collection"]:
        """An existing collection."""
        with self.open_library() as library:
            yield library.open(name, accept_loss=accept_loss)

    def print_result(self, value: Any, format_text: Callable[[], str]) -> None:
        """Print a result: as JSON for programs, else as text for people."""
        printing.print_out(json.dumps(value, ensure_ascii=False, default=asdict) if self.as_json else format_text())


def global_options(function: _Command) -> _Command:
    """Declare what may stand before and after the verb."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--config",
            metavar="FILE",
            help="Read FILE, which is trusted, instead of ./semsearch.toml ($SEMSEARCH_CONFIG).",
        ),
        click.option(
            "--data-dir",
            metavar="DIR",
            help="Where the collections lie (default: $SEMSEARCH_DATA_DIR, else ./indexes).",
        ),
    ):
        function = option(function)
    return function


def common(function: _Command) -> _Command:
    """Accept the global options behind the verb too."""

    @global_options
    @wraps(function)
    def command(*given: Any, data_dir: str | None, config: str | None, as_json: bool, **options: Any) -> Any:
        shell = click.get_current_context().find_object(CliContext)
        assert shell is not None
        shell.data_dir = data_dir or shell.data_dir
        shell.config = config or shell.config
        shell.as_json = as_json or shell.as_json
        return function(shell, *given, **options)

    return command
