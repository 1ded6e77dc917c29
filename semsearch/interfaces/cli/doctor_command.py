"""The verb `doctor`: check the installation, print the findings, and exit with 1 if there is a problem."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from . import output
from .context import CliContext, accept_global_options
from .exit_codes import PROBLEMS_FOUND

if TYPE_CHECKING:
    from ...core.types.diagnostics import Finding

_COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}
_INDENT = " " * 9


@click.command()
@click.option("--offline", is_flag=True, help="Ask no model server.")
@accept_global_options
def doctor(context: CliContext, offline: bool) -> int:
    """Check disk, permissions, databases, clock, model servers, collections and access keys; change nothing.

    Each finding is ok, a warning or a problem, and says what to do.
    """
    findings = _collect(context, offline=offline)
    counts = {severity: sum(each.severity == severity for each in findings) for severity in ("problem", "warning")}
    result = {"problems": counts["problem"], "warnings": counts["warning"], "findings": findings}
    context.print_result(result, lambda: output.fit_terminal(_format_findings(findings, counts)))
    return PROBLEMS_FOUND if counts["problem"] else 0


def _collect(context: CliContext, *, offline: bool) -> "list[Finding]":
    """Return all findings; wrong settings are one, after which nothing else can be checked."""
    from pathlib import Path

    from ...core.errors import SemsearchError
    from ...core.settings import list_setting_sources
    from ...core.types.diagnostics import Finding
    from ...library.diagnostics import diagnose

    try:
        settings = context.settings()
        sources = list_setting_sources(config=Path(context.config) if context.config else None, flags=context.flags)
    except SemsearchError as exc:
        return [Finding("problem", "settings", str(exc), "no verb works, and nothing else was checked")]
    folder = Path(context.data_dir or settings.data_dir).absolute()
    return diagnose(settings, sources, folder, is_offline=offline)


def _format_findings(findings: "Sequence[Finding]", counts: dict[str, int]) -> str:
    lines = [line for finding in findings for line in _format_finding(finding)]
    total = f"{output.format_count(counts['problem'], 'problem')}, {output.format_count(counts['warning'], 'warning')}"
    return "\n".join([*lines, "", total])


def _format_finding(finding: "Finding") -> list[str]:
    from ...core.escapes import escape_text

    label = click.style(finding.severity.ljust(len(_INDENT)), fg=_COLORS[finding.severity])
    details = [("why", finding.why), ("remedy", finding.remedy)] if finding.severity != "ok" else []
    return [
        f"{label}{escape_text(f'{finding.check}: {finding.what}')}",
        *(f"{_INDENT}{name}: {escape_text(text)}" for name, text in details if text),
    ]
