"""Remedies of errors as commands, added to the message of an error."""

from collections.abc import Callable

from ...core.errors import RemedyAction, SemsearchError

_COMMANDS: dict[RemedyAction, Callable[[str], str]] = {
    "list_keys": lambda name: "semsearch keys list",
    "create_collection": lambda name: f"semsearch ingest PATH -c {name}",
    "list_documents": lambda name: f"semsearch documents -c {name}",
    "create_session": lambda name: "semsearch ask QUESTION --session new" + (f" -c {name}" if name else ""),
    "reindex": lambda name: f"semsearch reindex -c {name}",
    "accept_loss": lambda name: f"semsearch reindex --accept-loss -c {name}",
}


def add_remedy(error: SemsearchError) -> str:
    """Return the message of an error with the command that helps, if there is one."""
    if error.remedy is None:
        return str(error)
    return f"{error}: {_COMMANDS[error.remedy.action](error.remedy.collection)}"
