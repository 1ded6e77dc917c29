"""The settings of `semsearch serve`: the names that it accepts, and the warning about all names."""

from collections.abc import Sequence
from dataclasses import replace

from ...core.allowed_hosts import ANY_HOST, validate_hosts
from ...core.settings import Settings
from . import output
from .context import CliContext


def load_settings(context: CliContext, allowed_hosts: Sequence[str]) -> Settings:
    """Return the settings; `allowed_hosts`, unless empty, replaces the names that they have."""
    settings = context.settings()
    if allowed_hosts:
        settings = replace(settings, allowed_hosts=validate_hosts(allowed_hosts, "--allowed-host"))
    if ANY_HOST in settings.allowed_hosts:
        output.print_err(
            "semsearch: warning: the allowed host '*' accepts every name, so that a web page in a browser on this"
            " machine can read and change the documents (DNS rebinding); name the hosts instead"
        )
    return settings
