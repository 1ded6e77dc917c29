"""The `init` command: its flags. The questions are in `init_dialog`, which loads only when the command runs."""

import click

from .context import CliContext, accept_global_options


@click.command(short_help="Set up a model server: key, models and their costs.")
@click.option(
    "--server", metavar="openai|URL|none", help="Model server: OpenAI, a base URL such as http://localhost:11434/v1."
)
@click.option("--key-file", metavar="FILE", help="File that holds the key; only its path is stored.")
@click.option("--key-env", metavar="NAME", help="Environment variable that holds the key; only its name is stored.")
@click.option("--chat-model", metavar="MODEL", help="Model that writes answers; none: sentences of the documents.")
@click.option("--embedding-model", metavar="MODEL", help="Model of new collections; local: the built-in one.")
@click.option("--yes", is_flag=True, help="Accept every proposal, and change an existing file without asking.")
@click.option("--no-check", is_flag=True, help="Send no request: key and models are not checked.")
@accept_global_options
def init(
    context: CliContext,
    server: str | None,
    key_file: str | None,
    key_env: str | None,
    chat_model: str | None,
    embedding_model: str | None,
    yes: bool,
    no_check: bool,
) -> None:
    """Set up a model server in your own configuration file: its key, models, and what they cost.

    Asks on a terminal; elsewhere --server is needed. The key is checked with one request that costs nothing. It is
    never stored in the configuration file, and never read from the command line.
    """
    from .init_dialog import InitOptions, run_init

    run_init(
        context, InitOptions(server, key_file, key_env, chat_model, embedding_model, yes=yes, has_check=not no_check)
    )
