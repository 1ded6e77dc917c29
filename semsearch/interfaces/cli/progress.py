"""Progress of a long command: a bar on a terminal, and messages that do not tear it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...core.escapes import escape_text
from .output import print_err


@dataclass(frozen=True, slots=True)
class ProgressDisplay:
    """What a command reports while it runs."""

    advance: Callable[[], None]
    """Count one more input."""
    print_line: Callable[[str], None]
    """Print a message on stderr, above the bar."""


@contextmanager
def show_progress(description: str, total: int, *, is_quiet: bool = False) -> Iterator[ProgressDisplay]:
    """Yield a display; its bar, which only a terminal has, is removed at the end, also after an error or Ctrl-C."""
    if is_quiet or not sys.stderr.isatty():
        yield ProgressDisplay(lambda: None, print_err)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(description, total=total)

        def print_line(line: str) -> None:
            console.print(escape_text(line), markup=False, highlight=False, emoji=False, soft_wrap=True)

        yield ProgressDisplay(lambda: bar.advance(task), print_line)
