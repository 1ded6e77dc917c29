"""The `config plugins` command: list the installed plugins, and why one of them is not used. Imports none of them."""

from collections.abc import Callable

from ...core.plugins import PluginGroup, find_plugins
from ...ingest.reader_plugins import is_reader_name
from ...models.embedders import is_plugin_prefix
from .context import CliContext
from .tables import format_table

_Row = dict[str, str | None]

_GROUPS: dict[PluginGroup, tuple[Callable[[str], bool], str]] = {
    "semsearch.readers": (is_reader_name, "neither a media type nor a suffix such as .acme"),
    "semsearch.embedders": (is_plugin_prefix, "the name is built in, or contains a colon"),
}
"""Whether a plugin may have a name, and what is wrong with other names."""


def list_plugins(context: CliContext) -> None:
    """Print the plugins of both groups by their names."""
    rows = [row for group in _GROUPS for row in _describe_group(group)]
    context.print_result(rows, lambda: _format_rows(rows))


def _describe_group(group: PluginGroup) -> list[_Row]:
    is_valid_name, problem_of_name = _GROUPS[group]
    rows: list[_Row] = []
    for name, declared in sorted(find_plugins(group).items()):
        problem = None if is_valid_name(name) else problem_of_name
        if len(declared) > 1:
            problem = "several distributions declare this name"
        for plugin in declared:
            row = {"group": group, "name": name, "distribution": plugin.distribution, "target": plugin.target}
            rows.append({**row, "problem": problem})
    return rows


def _format_rows(rows: list[_Row]) -> str:
    if not rows:
        return "no plugins are installed"
    return format_table(
        ("group", "name", "distribution", "target", "problem"),
        [[value or "" for value in row.values()] for row in rows],
    )
