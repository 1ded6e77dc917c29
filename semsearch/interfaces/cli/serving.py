"""The settings of `semsearch serve`: the names that it accepts, and the warning about all names."""

from collections.abc import Sequence
from dataclasses import replace

from ...core.allowed_hosts import ANY_HOST, validate_hosts
from ...core.settings import LogFormat, Settings
from ..http.application_log import format_notice
from . import output
from .context import CliContext


def load_settings(context: CliContext, allowed_hosts: Sequence[str], log_format: LogFormat | None) -> Settings:
    """Return the settings; `allowed_hosts`, unless empty, and `log_format`, unless None, replace what they have."""
    settings = context.settings()
    if log_format is not None:
        settings = replace(settings, log_format=log_format)
    if allowed_hosts:
        settings = replace(settings, allowed_hosts=validate_hosts(allowed_hosts, "--allowed-host"))
    if ANY_HOST in settings.allowed_hosts:
        print_notice(
            settings,
            "warning",
            "semsearch: warning: the allowed host '*' accepts every name, so that a web page in a browser on this"
            " machine can read and change the documents (DNS rebinding); name the hosts instead",
        )
    return settings


def print_notice(settings: Settings, level: str, message: str) -> None:
    """Print a notice on stderr in the format of the log."""
    output.print_err(format_notice(settings.log_format, level, message))
