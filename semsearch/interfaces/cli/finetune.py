"""The work of the `finetune` commands: call `learning` and print what it returns."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...core.errors import ConflictError
from ...core.escapes import escape_text
from ...core.types.fine_tuning import FINAL_STATUSES, FineTuningJob
from ...core.types.usage import NANOUSD_PER_USD
from ...learning.fine_tuning_export import ExportOptions, ExportReport, TrainingEstimate, export_training_data
from ...learning.fine_tuning_jobs import FineTuningJobs, JobPlan
from . import output
from .confirmation import confirm
from .context import CliContext
from .exit_codes import SOME_FAILED
from .usage import validate_date

_KINDS = {"chat": ("chat",), "embedding": ("embedding",), "both": ("chat", "embedding")}


def run_export(
    context: CliContext,
    folder: Path,
    *,
    collection: str,
    kind: str,
    held_out: float,
    since: str | None,
    all_owners: bool,
    mask: bool,
) -> int:
    """Export the training data and print the report; 1 if a file cannot be used for a job."""
    day = validate_date(since)
    start = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() if day else 0.0
    kinds: Any = _KINDS[kind]
    options = ExportOptions(folder, collection, kinds, held_out, start, all_owners, mask)
    with context.open_library() as library:
        report = export_training_data(library, options)
    context.print_result(asdict(report), lambda: _format_report(report))
    return SOME_FAILED if report.problems else 0


def run_submit(
    context: CliContext,
    file: Path,
    *,
    model: str | None,
    validation: Path | None,
    epochs: int | None,
    suffix: str | None,
    yes: bool,
) -> None:
    """Show the cost of a job, ask, and submit it."""
    with context.open_library() as library:
        jobs = FineTuningJobs(library)
        plan = jobs.plan(file, model=model, validation_path=validation, epochs=epochs, suffix=suffix)
        if plan.notice:
            output.print_err(f"semsearch: {plan.notice}")
        output.print_err(_format_plan(plan))
        confirm(f"Train {plan.model}?", "finetune submit", yes=yes)
        job = jobs.submit(plan)
    context.print_result(encode_job(job), lambda: f"{_format_job(job)}\nnext: semsearch finetune status {job.id}")


def run_status(context: CliContext, job_id: str | None) -> None:
    """Print one job as its server reports it now, or all jobs."""
    with context.open_library() as library:
        jobs = FineTuningJobs(library)
        if job_id is not None:
            job = jobs.refresh(job_id)
            context.print_result(encode_job(job), lambda: _format_job(job))
            return
        # A job of another server is shown as it was last reported.
        current = library.settings.chat.base_url
        is_open = {job.id: job.status not in FINAL_STATUSES and job.base_url == current for job in jobs.list()}
        rows = [jobs.refresh(job.id) if is_open[job.id] else job for job in jobs.list()]
    context.print_result([encode_job(job) for job in rows], lambda: _format_jobs(rows))


def run_cancel(context: CliContext, job_id: str) -> None:
    """Cancel a job and print its state."""
    with context.open_library() as library:
        job = FineTuningJobs(library).cancel(job_id)
    context.print_result(encode_job(job), lambda: _format_job(job))


def find_model(context: CliContext, job_or_model: str) -> str:
    """Return the resulting model of a remembered job, else the text itself; ConflictError if the job has none."""
    with context.open_library() as library:
        job = next((job for job in FineTuningJobs(library).list() if job.id == job_or_model), None)
    if job is None:
        return job_or_model
    if job.fine_tuned_model is None:
        raise ConflictError(
            f"the fine-tuning job {job.id} has no model: it is {job.status}; see semsearch finetune status {job.id}"
        )
    return job.fine_tuned_model


def encode_job(job: FineTuningJob) -> dict[str, Any]:
    """Return the fields of the JSON output."""
    created = datetime.fromtimestamp(job.created, UTC).isoformat().replace("+00:00", "Z")
    hidden = ("owner", "reservation")
    return {**{key: value for key, value in asdict(job).items() if key not in hidden}, "created": created}


def _format_jobs(rows: Sequence[FineTuningJob]) -> str:
    return "\n".join(map(_format_job, rows)) or "no fine-tuning jobs; start one: semsearch finetune submit FILE"


def _format_job(job: FineTuningJob) -> str:
    parts = [job.id, job.status, job.model, f"{datetime.fromtimestamp(job.created, UTC):%Y-%m-%d}"]
    if job.fine_tuned_model:
        parts.append(f"model {job.fine_tuned_model}")
    if job.trained_tokens is not None:
        parts.append(f"{job.trained_tokens:,} tokens")
    return " · ".join([*parts, *([escape_text(job.error)] if job.error else [])])


def _format_plan(plan: JobPlan) -> str:
    nanousd, max_nanousd = plan.estimate.expected_nanousd, plan.estimate.max_nanousd
    if nanousd is None or max_nanousd is None:
        cost = f'unknown: set training under [prices."{plan.model}"] in semsearch.toml'
    else:
        cost = f"likely ${nanousd / NANOUSD_PER_USD:,.2f}, at most ${max_nanousd / NANOUSD_PER_USD:,.2f}"
    return (
        f"{output.format_count(plan.training.examples, 'example')}, {output.format_count(plan.epochs, 'epoch')}, about"
        f" {plan.estimate.tokens.expected:,} tokens with {plan.model} at {plan.base_url}; cost {cost}"
    )


def _format_report(report: ExportReport) -> str:
    lines = [f"read {output.format_count(report.answers, 'answer')}; examples are split by {report.split_by}"]
    lines += [
        f"{file.path}: {output.format_count(file.examples, 'example')}, about {file.tokens:,} tokens"
        for file in report.files
    ]
    if report.duplicates:
        lines.append(f"left out {output.format_count(report.duplicates, 'duplicate')}")
    if report.limited:
        lines.append(f"left out {output.format_count(report.limited, 'example')} of owners who rated too many")
    lines += [f"no chat example: {output.format_count(n, 'answer')} ({why})" for why, n in report.skipped.items()]
    verb = "masked" if report.masked else "left out"
    lines += [f"{verb} {output.format_count(n, 'example')} with {name}" for name, n in report.screened.items()]
    if report.training is not None:
        lines.append(_format_estimate(report.training))
    return "\n".join([*lines, *report.problems])


def _format_estimate(estimate: TrainingEstimate) -> str:
    cost = "unknown" if estimate.usd is None else f"${estimate.usd:,.2f}"
    return (
        f"training on chat.train.jsonl: {output.format_count(estimate.epochs, 'epoch')}, about {estimate.tokens:,}"
        f" tokens, cost {cost} with {estimate.model or 'no chat model'}"
    )
