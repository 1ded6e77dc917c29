"""The `config trust` command: print the settings of a file that need trust, then record the file as trusted."""

from pathlib import Path

from ...core.config_files import read_config
from ...core.config_trust import add_trust, escape_untrusted, find_settings_needing_trust, format_value
from ...core.errors import NotFoundError
from ...core.settings import find_trust_record, read_user_limits
from . import output
from .context import CliContext


def trust_file(context: CliContext, path: Path) -> None:
    """Record the present content of the file as trusted; NotFoundError if there is no file."""
    file = read_config(path, str(path))
    if file is None:
        raise NotFoundError(f"there is no {path}; name the file: semsearch config trust FILE")
    values = {
        escape_untrusted(name): format_value(name, value)
        for name, value in find_settings_needing_trust(file, read_user_limits()).items()
    }
    if not context.as_json:
        lines = [f"  {name} = {value}" for name, value in values.items()]
        output.print_out(
            "\n".join([f"{escape_untrusted(str(file.path))} sets:", *(lines or ["  nothing that needs trust"])])
        )
    record = add_trust(file, find_trust_record())
    context.print_result(
        {"path": str(file.path), "sha256": file.sha256, "settings": values, "record": str(record)},
        lambda: f"trusted until it changes (SHA-256 {file.sha256}), in {record}",
    )
