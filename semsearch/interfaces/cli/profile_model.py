"""Set the chat model of a profile in the user's own configuration file."""

import tomllib
from dataclasses import fields, replace
from typing import Any

from ...answers.profiles import PROFILES
from ...core.config_files import get_nested
from ...core.errors import ConflictError, InvalidError
from ...core.names import validate_name
from ...core.settings import Settings, list_setting_sources
from ...core.toml_edit import format_toml
from ...core.types.answer_requests import Profile
from . import output
from .confirmation import confirm
from .context import CliContext
from .init_plan import build_text, format_diff
from .init_writing import Target, read_target, write_target

_VERB = "finetune use"


def set_profile_model(context: CliContext, model: str, name: str, *, yes: bool) -> None:
    """Show the change of the file, ask, and write it. A built-in profile is written as a whole.

    ConflictError if the profile is set in another configuration file only: that one goes before the user's own.
    """
    validate_name(name, "profile")
    if not model.strip() or not model.isprintable():
        raise InvalidError("the model's name is empty, or has a character that cannot be printed")
    target = read_target(context, _VERB)
    changes = {f"profiles.{name}": {**_list_copied_values(context, target, model, name), "model": model}}
    new_text = build_text(target.text, changes)
    Settings.load_file(
        replace(target.file, table=tomllib.loads(new_text))
    )  # an invalid value is an error before it is written
    is_changed = new_text != target.text
    if is_changed:
        output.print_err(f"{target.path} changes:\n{format_diff(target.text, new_text, target.file.table)}")
        confirm("Change it?", _VERB, yes=yes)
        write_target(target, new_text, _VERB)
    used = context.settings().profiles.get(name)
    note = (
        ""
        if used and used.model == model
        else f"\nhere {_find_profile_file(name)} sets the profile {name}: change it there"
    )
    context.print_result(
        {"path": str(target.path), "profile": name, "model": model, "written": is_changed, "is_used": not note},
        lambda: f"the profile {name} uses {model}{note}\nnext: semsearch ask QUESTION --profile {name}",
    )


def _find_profile_file(name: str) -> str:
    """Return the path of the configuration file that sets a profile."""
    prefix = f"profiles.{name}."
    origins = (source.origin for source in list_setting_sources() if source.name.startswith(prefix))
    return next(filter(None, origins), "another configuration file")


def _list_copied_values(context: CliContext, target: Target, model: str, name: str) -> dict[str, Any]:
    """Return the values of a built-in profile that the file does not have yet: a table in it replaces the profile."""
    if get_nested(target.file.table, f"profiles.{name}") is not None:
        return {}
    if name in context.settings().profiles:
        raise ConflictError(
            f"the profile {name} is set in {_find_profile_file(name)}, which goes before your own file, {target.path};"
            f" write model = {format_toml(model)} under [profiles.{name}] there"
        )
    profile = PROFILES.get(name, Profile())
    values = {field.name: getattr(profile, field.name) for field in fields(Profile)}
    return {key: value for key, value in values.items() if value != getattr(Profile(), key)}
