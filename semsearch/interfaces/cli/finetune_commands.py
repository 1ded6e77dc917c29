"""The `finetune` commands: their arguments. `finetune` and `profile_model` have the work, and load only when run."""

from pathlib import Path
from typing import Any

import click

from .context import CliContext, accept_global_options
from .options import collection_option

_file_path = click.Path(dir_okay=False, path_type=Path)


@click.group(invoke_without_command=True)
@accept_global_options
def finetune(context: CliContext) -> None:
    """List training jobs; export training data from recorded answers and feedback; start, watch and cancel a job."""
    if click.get_current_context().invoked_subcommand is None:
        from .finetune import run_status

        run_status(context, None)


@finetune.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@collection_option
@click.option("--kind", type=click.Choice(["chat", "embedding", "both"]), default="both", show_default=True)
@click.option(
    "--held-out", default=0.1, show_default=True, metavar="0..0.5", help="Largest share of held-out examples."
)
@click.option("--since", metavar="DATE", help="First day (UTC) of the answers, such as 2026-10-01.")
@click.option("--all-owners", is_flag=True, help="Use the answers of all owners, not only those of the command line.")
@click.option("--mask", is_flag=True, help="Mask secrets and personal data instead of leaving the example out.")
@accept_global_options
def export(context: CliContext, folder: Path, **options: Any) -> int:
    """Write training and held-out files into DIR.

    Chat examples are the messages that `ask` sends with the cited answer; embedding examples are triplets of a query,
    a right and a wrong passage. Sends no request.
    """
    from .finetune import run_export

    return run_export(context, folder, **options)


@finetune.command()
@click.argument("file", type=_file_path)
@click.option("--model", help="Model to train (default: the chat model).")
@click.option("--validation", type=_file_path, help="Held-out file, with which the server measures the model.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the file (default: 3; more for a small file).")
@click.option("--suffix", metavar="TEXT", help="Part of the name of the resulting model.")
@click.option("--yes", is_flag=True, help="Accept the cost without asking.")
@accept_global_options
def submit(context: CliContext, file: Path, **options: Any) -> None:
    """Upload the chat file FILE to the chat server and start a training job.

    Shows the estimated cost and asks first. The job is remembered: see finetune status.
    """
    from .finetune import run_submit

    run_submit(context, file, **options)


@finetune.command()
@click.argument("job_id", metavar="[ID]", required=False)
@accept_global_options
def status(context: CliContext, job_id: str | None) -> None:
    """Print the state of the job ID, or of all jobs."""
    from .finetune import run_status

    run_status(context, job_id)


@finetune.command()
@click.argument("job_id", metavar="ID")
@accept_global_options
def cancel(context: CliContext, job_id: str) -> None:
    """Cancel the job ID."""
    from .finetune import run_cancel

    run_cancel(context, job_id)


@finetune.command()
@click.argument("job_or_model", metavar="JOB|MODEL")
@click.option("--profile", required=True, metavar="NAME", help="Profile that shall use the model.")
@click.option("--yes", is_flag=True, help="Change the file without asking.")
@accept_global_options
def use(context: CliContext, job_or_model: str, profile: str, yes: bool) -> None:
    """Set the chat model of a profile, in your own configuration file, to the result of a job or to MODEL.

    Shows the change and asks first.
    """
    from .finetune import find_model
    from .profile_model import set_profile_model

    set_profile_model(context, find_model(context, job_or_model), profile, yes=yes)
