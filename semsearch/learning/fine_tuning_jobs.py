"""Fine-tuning jobs: plan with costs, submit within the budget, remember in the ledger, refresh and cancel."""

import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from ..core.errors import (
    BudgetError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    SemsearchError,
    UnavailableError,
    UpstreamError,
)
from ..core.types.access import LOCAL_CALLER, Caller
from ..core.types.fine_tuning import FINAL_STATUSES, FineTuningJob
from ..core.types.usage import (
    ALL_OWNERS,
    CostEstimate,
    ModelRequest,
    Price,
    RequestContext,
    Reservation,
    SettledUsage,
)
from ..library import Library
from ..models.openai.endpoint_client import make_client
from ..models.openai.fine_tuning import MAX_SUFFIX_CHARACTERS, FineTuningClient, JobReport
from ..usage.metering import LedgerMeter
from ..usage.pricing import PriceTable
from ..usage.training_costs import choose_epochs, compute_training_cost, estimate_training
from .training_files import TrainingFile, read_training_file

OPENAI_LAST_JOBS = date(2027, 1, 6)
"""From this day on OpenAI takes no new jobs (developers.openai.com/api/docs/deprecations, read 2026-08)."""

MAX_EPOCHS = 50
RESERVATION_SECONDS = 7 * 86_400.0
"""After that the expected cost of a job counts, until its status is read."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class JobPlan:
    """A job before it is submitted, with its cost."""

    base_url: str
    model: str
    epochs: int
    training: TrainingFile
    validation: TrainingFile | None
    suffix: str | None
    estimate: CostEstimate
    notice: str | None
    """Warning about the end of fine-tuning at OpenAI."""


@dataclass(frozen=True, slots=True)
class FineTuningJobs:
    """The jobs of one caller on the configured chat server."""

    library: Library
    caller: Caller = LOCAL_CALLER
    clock: Callable[[], float] = time.time

    def plan(
        self,
        path: Path,
        *,
        model: str | None = None,
        validation_path: Path | None = None,
        epochs: int | None = None,
        suffix: str | None = None,
    ) -> JobPlan:
        """Check the files and return the plan; ForbiddenError if the server takes no new jobs."""
        base_url, model = self.library.settings.chat.base_url, model or self.library.settings.chat_model
        notice = check_new_jobs(base_url, datetime.fromtimestamp(self.clock(), UTC).date())
        if not model:
            raise InvalidError("no model to train; name one with --model, or set SEMSEARCH_CHAT__MODEL")
        if suffix is not None and not 1 <= len(suffix) <= MAX_SUFFIX_CHARACTERS:
            raise InvalidError(f"the suffix has 1 to {MAX_SUFFIX_CHARACTERS} characters, not {len(suffix)}")
        training = read_training_file(path)
        validation = None if validation_path is None else read_training_file(validation_path, min_examples=1)
        epochs = epochs or choose_epochs(training.examples)
        if not 1 <= epochs <= MAX_EPOCHS:
            raise InvalidError(f"the number of epochs is between 1 and {MAX_EPOCHS}, not {epochs}")
        estimate = estimate_training(training.tokens, epochs, self._find_price(base_url, model, self.clock()))
        return JobPlan(base_url, model, epochs, training, validation, suffix, estimate, notice)

    def submit(self, plan: JobPlan) -> FineTuningJob:
        """Reserve the cost, upload the files, create the job and remember it; BudgetError if it exceeds a budget."""
        reservation = self._reserve(plan)
        try:
            files = self._run(lambda client: _upload(client, plan))
        except (SemsearchError, KeyboardInterrupt):
            self._release(reservation)
            raise
        try:
            report = self._run(lambda client: _create(client, plan, files))
        except SemsearchError as exc:
            if _was_not_created(exc):
                self._release(reservation)
            raise
        job = FineTuningJob(
            report.id,
            self.caller.owner,
            self.clock(),
            plan.base_url,
            plan.model,
            files[0],
            files[1],
            plan.epochs,
            reservation=reservation,
        )
        return self._update(job, report)

    def list(self) -> list[FineTuningJob]:
        """Return the remembered jobs, the newest first, as they were last reported."""
        return self.library.ledger.list_fine_tuning_jobs(self.caller.owner)

    def get(self, job_id: str) -> FineTuningJob:
        """Return a remembered job; NotFoundError if there is none of this id."""
        job = next((job for job in self.list() if job.id == job_id), None)
        if job is None:
            raise NotFoundError(f"there is no fine-tuning job {job_id[:80]!r}; list them: semsearch finetune status")
        return job

    def refresh(self, job_id: str) -> FineTuningJob:
        """Ask the server for the state of a job, and store it; a job that has ended is not asked for again."""
        job = self.get(job_id)
        if job.status in FINAL_STATUSES:
            return job
        self._check_server(job)
        return self._update(job, self._run(lambda client: client.get_job(job_id)))

    def cancel(self, job_id: str) -> FineTuningJob:
        """Cancel a job; ConflictError if it has ended."""
        job = self.get(job_id)
        if job.status in FINAL_STATUSES:
            raise ConflictError(f"the fine-tuning job {job_id} has ended: {job.status}")
        self._check_server(job)
        return self._update(job, self._run(lambda client: client.cancel_job(job_id)))

    def _update(self, job: FineTuningJob, report: JobReport) -> FineTuningJob:
        """Store what the server reports; if the job has ended, settle its cost."""
        updated = replace(
            job,
            status=report.status,
            fine_tuned_model=report.fine_tuned_model,
            trained_tokens=report.trained_tokens,
            error=report.error,
        )
        self.library.ledger.save_fine_tuning_job(updated)
        if updated.status in FINAL_STATUSES and job.reservation is not None:
            self._settle(updated, job.reservation)
        return updated

    def _settle(self, job: FineTuningJob, reservation: int) -> None:
        """Record the tokens that the server counted. Without a count, a successful job keeps its estimate."""
        tokens = job.trained_tokens
        if tokens is None and job.status == "succeeded":
            return
        cost = compute_training_cost(self._find_price(job.base_url, job.model, job.created), tokens or 0)
        settled = SettledUsage(job.status, tokens or 0, 0, 0, cost if tokens else 0, tokens is None)
        self.library.ledger.settle(reservation, settled)

    def _release(self, reservation: int) -> None:
        self.library.ledger.settle(reservation, SettledUsage("not created", 0, 0, 0, 0, False))

    def _reserve(self, plan: JobPlan) -> int:
        now, budget = self.clock(), self.library.settings.budget
        request = ModelRequest("training", plan.base_url, plan.model, ())
        reservation = Reservation(self._context(), request, plan.estimate, now, now + RESERVATION_SECONDS)
        limits = {ALL_OWNERS: budget.total, self.caller.owner: budget.per_owner}
        reservation_id = self.library.ledger.reserve(reservation, limits)
        if reservation_id is None:
            raise BudgetError("the rest of the budget is reserved by other requests; try again when they have ended")
        return reservation_id

    def _run(self, operation: Callable[[FineTuningClient], Coroutine[object, object, _T]]) -> _T:
        with self._open_client() as client:
            return self.library.loop.wait(operation(client))

    @contextmanager
    def _open_client(self) -> Iterator[FineTuningClient]:
        settings = self.library.settings
        meter = LedgerMeter(self.library.ledger, PriceTable(settings.prices), settings.budget)
        client = make_client(settings.chat, meter)
        try:
            yield FineTuningClient(client, self._context())
        finally:
            self.library.loop.wait(client.aclose())
            meter.close()

    def _context(self) -> RequestContext:
        return RequestContext("train", self.caller.owner, self.caller.key, key_budget=self.caller.budget)

    def _find_price(self, base_url: str, model: str, now: float) -> Price | None:
        return PriceTable(self.library.settings.prices).find(base_url, model, now)

    def _check_server(self, job: FineTuningJob) -> None:
        configured = self.library.settings.chat.base_url
        if job.base_url != configured:
            raise ConflictError(
                f"the fine-tuning job {job.id} runs on {job.base_url}, and SEMSEARCH_CHAT__BASE_URL is {configured};"
                " set it to the server of the job"
            )


def check_new_jobs(base_url: str, today: date) -> str | None:
    """Return a warning if OpenAI soon takes no new jobs; ForbiddenError if it takes none any more.

    Other servers are not concerned.
    """
    host = urlsplit(base_url).hostname or ""
    if host != "api.openai.com" and not host.endswith(".api.openai.com"):
        return None
    remedy = "set SEMSEARCH_CHAT__BASE_URL to another compatible server"
    if today >= OPENAI_LAST_JOBS:
        raise ForbiddenError(f"OpenAI takes no new fine-tuning jobs since {OPENAI_LAST_JOBS}; {remedy}")
    return (
        f"OpenAI takes no new fine-tuning jobs from {OPENAI_LAST_JOBS} on, and none already now from organisations that"
        f" have not used fine-tuning lately; to train later, {remedy}"
    )


async def _upload(client: FineTuningClient, plan: JobPlan) -> tuple[str, str | None]:
    """Upload the files of a plan and return their ids."""
    training_file = await client.upload(plan.training.data)
    return training_file, None if plan.validation is None else await client.upload(plan.validation.data)


async def _create(client: FineTuningClient, plan: JobPlan, files: tuple[str, str | None]) -> JobReport:
    return await client.create_job(plan.model, *files, epochs=plan.epochs, suffix=plan.suffix)


def _was_not_created(error: SemsearchError) -> bool:
    """Return whether no job can run after this error: the server refused the request, or was not reached."""
    if isinstance(error, UnavailableError):
        return not error.broken_off
    return isinstance(error, UpstreamError) and error.status is not None and 400 <= error.status < 500
