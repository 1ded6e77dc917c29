"""The `semsearch` command: runs a verb and turns how it ended into an exit code."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        code = _run()
    except KeyboardInterrupt:
        code = _report_interrupt()
    sys.exit(code)


def _run() -> int:
    import click  # here, because a signal may come while it is loaded

    from ...core.errors import SemsearchError
    from . import output as printing
    from .commands import cli
    from .exit_codes import EXIT

    try:
        code = cli.main(standalone_mode=False)
    except SemsearchError as exc:
        printing.print_err(f"semsearch: {exc}")
        return EXIT[exc.name]
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:
        return _report_interrupt()
    return code if isinstance(code, int) else 0


def _report_interrupt() -> int:
    from . import output as printing
    from .exit_codes import INTERRUPTED

    printing.print_err("semsearch: interrupted")
    return INTERRUPTED
