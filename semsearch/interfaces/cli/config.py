"""The `config` command: print the settings; print those of a file that need trust, and record it as trusted."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.config_files import read_config
from ...core.config_trust import add_trust, escape_untrusted, find_settings_needing_trust, format_value
from ...core.errors import NotFoundError
from ...core.setting_sources import SettingSource
from ...core.settings import find_trust_record, list_setting_sources, read_user_limits
from . import output
from .context import CliContext
from .tables import format_table


def print_settings(context: CliContext) -> None:
    """Print each setting, its value and its source."""
    sources = list_setting_sources(config=Path(context.config) if context.config else None, flags=context.flags)
    context.print_result([asdict(source) for source in sources], lambda: _format_sources(sources))


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


def print_prompt(context: CliContext, profile_name: str | None) -> None:
    """Print the prompt of a chat model as a file, with its version; InvalidError if there is no such profile."""
    from ...answers.prompt_files import get_default_prompt, read_prompt
    from ...answers.requests import find_profile

    settings = context.settings()
    path = find_profile(profile_name, settings.profiles).prompt_file or settings.prompt_file
    prompt = get_default_prompt() if path is None else read_prompt(path)
    context.print_result(
        {"version": prompt.version, "file": path and str(path), "text": prompt.text},
        lambda: f"version: {prompt.name}\n\n{prompt.text}",
    )


def _format_sources(sources: Sequence[SettingSource]) -> str:
    rows = [(source.name, _format_setting(source.value), _format_origin(source)) for source in sources]
    return format_table(("setting", "value", "source"), rows)


def _format_setting(value: Any) -> str:
    """Return a value in one line; lists and tables as in JSON."""
    if value is None or value == ():
        return "-"
    return escape_untrusted(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _format_origin(source: SettingSource) -> str:
    text = source.source if source.origin is None else f"{source.source}: {source.origin}"
    return text if source.is_used else f"{text} (not used: another setting takes its place)"
