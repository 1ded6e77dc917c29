"""The `config trust` verb: shows what a file decides, then stores that it may."""

from pathlib import Path

from ...core.config_files import read_config
from ...core.config_trust import add_trust, escape_untrusted, find_settings_needing_trust, format_value
from ...core.errors import NotFoundError
from ...core.settings import find_trust_record, read_user_limits
from . import output as printing
from .context import CliContext


def trust(shell: CliContext, path: Path) -> None:
    """Trust what the file holds now; NotFound if there is none."""
    file = read_config(path, str(path))
    if file is None:
        raise NotFoundError(f"there is no {path}; name the file: semsearch config trust FILE")
    values = {
        escape_untrusted(name): format_value(name, value)
        for name, value in find_settings_needing_trust(file, read_user_limits()).items()
    }
    if not shell.as_json:
        lines = [f"  {name} = {value}" for name, value in values.items()]
        printing.print_out(
            "\n".join([f"{escape_untrusted(str(file.path))} sets:", *(lines or ["  nothing that needs trust"])])
        )
    record = add_trust(file, find_trust_record())
    shell.print_result(
        {"path": str(file.path), "sha256": file.sha256, "settings": values, "record": str(record)},
        lambda: f"trusted until it changes (SHA-256 {file.sha256}), in {record}",
    )
