"""The entry point of `semsearch`: run a command and map its errors to exit codes."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        code = _run()
    except KeyboardInterrupt:
        code = _report_interrupt()
    sys.exit(code)


def _run() -> int:
    import click  # imported here: main() handles a Ctrl-C that arrives while it loads

    from ...core.errors import SemsearchError
    from . import output
    from .commands import cli
    from .exit_codes import EXIT
    from .remedies import add_remedy

    try:
        code = cli.main(prog_name="semsearch", standalone_mode=False)
    except SemsearchError as exc:
        output.print_err(f"semsearch: {add_remedy(exc)}")
        return EXIT[exc.name]
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:
        return _report_interrupt()
    return code if isinstance(code, int) else 0


def _report_interrupt() -> int:
    from . import output
    from .exit_codes import INTERRUPTED

    output.print_err("semsearch: interrupted")
    return INTERRUPTED
