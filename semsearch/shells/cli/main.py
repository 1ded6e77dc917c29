"""The `semsearch` command: runs a verb and turns how it ended into an exit code."""

import sys

import click

from ...errors import SemsearchError
from .commands import cli
from .exits import EXIT, INTERRUPTED


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        code = cli.main(standalone_mode=False)
    except SemsearchError as exc:
        code = EXIT[exc.name]
        click.echo(f"semsearch: {exc}", err=True)
    except click.ClickException as exc:
        exc.show()
        code = exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("semsearch: interrupted", err=True)
        code = INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)
