"""The verb `serve`: the HTTP service."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .context import CliContext, accept_global_options

if TYPE_CHECKING:
    from ...core.settings import LogFormat, Settings


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Number of processes.")
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Accept requests under this name, such as that of a proxy; repeatable.",
)
@click.option("--access-log/--no-access-log", default=True, show_default=True, help="A line on stderr per request.")
@click.option("--log-format", type=click.Choice(("text", "json")), help="Format of the log on stderr.  [default: text]")
@accept_global_options
def serve(
    context: CliContext,
    host: str,
    port: int,
    workers: int,
    allowed_hosts: tuple[str, ...],
    access_log: bool,
    log_format: "LogFormat | None",
) -> None:
    """Serve search and answers over HTTP."""
    from ..http.application_log import install_log_handler
    from .serving import load_settings, print_notice

    # once: a worker that starts later uses the same settings, even if a configuration file has changed
    settings = load_settings(context, allowed_hosts, log_format)
    install_log_handler(settings.log_format)

    def on_listening(url: str) -> None:
        message = f"semsearch serves {url}, documented at {url}/docs; in a browser, open {url}/"
        print_notice(settings, "info", message)

    from ..http.data_folder import find_write_problem

    if problem := find_write_problem(Path(context.data_dir or settings.data_dir)):
        print_notice(settings, "warning", f"semsearch: warning: {problem}")
    if workers > 1:
        _serve_with_workers(context, settings, host, port, workers, on_listening, has_access_log=access_log)
    else:
        _serve_alone(context, settings, host, port, on_listening, has_access_log=access_log)


def _serve_with_workers(
    context: CliContext,
    settings: "Settings",
    host: str,
    port: int,
    workers: int,
    on_listening: Callable[[str], None],
    *,
    has_access_log: bool,
) -> None:
    from ...library import Library
    from ...library.keys import may_be_exposed
    from ..http import prefork

    def open_library() -> Library:
        return Library(context.data_dir, settings=settings)

    prefork.serve(
        open_library,
        host,
        port,
        workers,
        on_listening,
        may_be_exposed=may_be_exposed(Path(context.data_dir or settings.data_dir), settings),
        has_access_log=has_access_log,
        log_format=settings.log_format,
    )


def _serve_alone(
    context: CliContext,
    settings: "Settings",
    host: str,
    port: int,
    on_listening: Callable[[str], None],
    *,
    has_access_log: bool,
) -> None:
    gc.disable()  # until the server listens: imports leave no garbage, and collections take a tenth of the start-up
    try:
        from ...library import Library
        from ..http import server
        from ..http.garbage_collection import prepare_for_serving

        def on_server_listening(url: str) -> None:
            prepare_for_serving()
            on_listening(url)

        with Library(context.data_dir, settings=settings) as library:
            server.serve(library, host, port, on_server_listening, has_access_log=has_access_log)
    finally:
        gc.enable()
