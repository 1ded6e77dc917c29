"""The verb `keys`: create, list, rotate and revoke the access keys of the HTTP service."""

import re
import time
from typing import TYPE_CHECKING, Any, get_args

import click

from ...core.errors import InvalidError
from ...core.types.access import DEFAULT_SCOPES, CallerLimits, KeyGrants, Scope
from ...core.types.usage import BudgetLimits
from . import arguments, output
from .context import CliContext, accept_global_options

if TYPE_CHECKING:
    from ..key_view import KeyView

_DURATION = re.compile(r"([0-9]{1,6})([smhdw])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@click.group(invoke_without_command=True)
@accept_global_options
def keys(context: CliContext) -> None:
    """List the access keys of the HTTP service; create, rotate or revoke one."""
    if click.get_current_context().invoked_subcommand is None:
        _print_keys(context)


@keys.command()
@click.argument("name")
@click.option("--owner", metavar="OWNER", help="Whose answers, sessions and usage it reaches (default: NAME).")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(get_args(Scope)), help="Repeatable (default: search, ask)."
)
@click.option("-c", "--collection", "collections", multiple=True, metavar="C", help="Repeatable (default: all).")
@click.option("--filter", "filter_text", metavar="JSON|K=V", help="Documents that it reaches, such as team=hr.")
@click.option("--requests-per-minute", type=click.IntRange(1), metavar="N", help="Limit on requests.")
@click.option("--tokens-per-minute", type=click.IntRange(1), metavar="N", help="Limit on tokens of model servers.")
@click.option("--streams", type=click.IntRange(1), metavar="N", help="Limit on streamed answers at the same time.")
@click.option("--day-usd", type=float, metavar="X", help="Budget of a day in US dollars.")
@click.option("--expires", metavar="90d", help="When it expires: a time from now such as 12h, 90d or 26w.")
@accept_global_options
def create(
    context: CliContext,
    name: str,
    owner: str | None,
    scopes: tuple[Scope, ...],
    collections: tuple[str, ...],
    filter_text: str | None,
    expires: str | None,
    **limits: Any,
) -> None:
    """Create the access key NAME and print its secret, which is shown only now."""
    grants = KeyGrants(
        name,
        owner or name,
        frozenset(scopes) or DEFAULT_SCOPES,
        frozenset(collections) or None,
        None if filter_text is None else arguments.parse_filters([filter_text]),
        CallerLimits(limits["requests_per_minute"], limits["tokens_per_minute"], limits["streams"]),
        BudgetLimits(day_usd=limits["day_usd"]),
        None if expires is None else time.time() + parse_duration(expires, "--expires"),
    )
    with context.open_library() as library:
        key, secret = library.create_key(grants)
    _print_new_key(context, key, secret)


@keys.command(name="list")
@accept_global_options
def list_keys(context: CliContext) -> None:
    """List the access keys, without their secrets."""
    _print_keys(context)


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--overlap", default="24h", show_default=True, help="How long the old secret stays valid.")
@accept_global_options
def rotate(context: CliContext, key_id: str, overlap: str) -> None:
    """Give the access key ID a new secret and print it."""
    with context.open_library() as library:
        key, secret = library.rotate_key(key_id, overlap_seconds=parse_duration(overlap, "--overlap"))
    _print_new_key(context, key, secret)


@keys.command()
@click.argument("key_id", metavar="ID")
@accept_global_options
def revoke(context: CliContext, key_id: str) -> None:
    """Refuse the access key ID from the next request on."""
    from ..key_view import encode_view, view_key

    with context.open_library() as library:
        view = view_key(library.revoke_key(key_id))
    context.print_result(encode_view(view), lambda: f"revoked {view.id} ({view.name})")


def parse_duration(text: str, option: str) -> float:
    """Return the seconds of a time such as `90d`; InvalidError names the option."""
    match = _DURATION.fullmatch(text)
    if match is None and text != "0":
        raise InvalidError(f"{option} {text[:40]!r} is no time; write a number and s, m, h, d or w, such as 90d")
    return 0.0 if match is None else float(match[1]) * _UNIT_SECONDS[match[2]]


def format_keys(views: "list[KeyView]") -> str:
    """Return a line for each key, or a hint if there is none."""
    if not views:
        return "no access keys; create one: semsearch keys create NAME"
    return "\n".join(map(_format_key, views))


def _print_keys(context: CliContext) -> None:
    from ..key_view import encode_view, view_key

    with context.open_library() as library:
        views = [view_key(key) for key in library.list_keys()]
    context.print_result([encode_view(view) for view in views], lambda: format_keys(views))


def _format_key(view: "KeyView") -> str:
    parts = [view.id, view.name, f"owner {view.owner}", " ".join(view.scopes)]
    parts.append("all collections" if view.collections is None else f"collections {' '.join(view.collections)}")
    if view.filter is not None:
        parts.append("filtered")
    if view.revoked is not None:
        parts.append(f"revoked {view.revoked:%Y-%m-%d}")
    elif view.expires is not None:
        is_over = view.expires.timestamp() <= time.time()
        parts.append(f"{'expired' if is_over else 'expires'} {view.expires:%Y-%m-%d}")
    return " · ".join(parts)


def _print_new_key(context: CliContext, key: Any, secret: str) -> None:
    from ..key_view import encode_view, view_new_key

    view = view_new_key(key, secret)
    context.print_result(encode_view(view), lambda: secret)
    if not context.as_json:
        output.print_err(f"{_format_key(view)}\nkeep the key above: it is not shown again")
