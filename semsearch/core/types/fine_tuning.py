"""The type of a fine-tuning job of a model server."""

from dataclasses import dataclass

FINAL_STATUSES = frozenset(("succeeded", "failed", "cancelled"))
"""Of jobs that have ended. Others are validating_files, queued, running and paused; some servers have their own."""


@dataclass(frozen=True, slots=True)
class FineTuningJob:
    """A fine-tuning job of a model server, as it was last reported."""

    id: str
    owner: str
    created: float
    """Seconds since 1970."""
    base_url: str
    """The server that runs it."""
    model: str
    training_file: str
    """Id of the uploaded file."""
    validation_file: str | None = None
    epochs: int = 1
    status: str = "queued"
    fine_tuned_model: str | None = None
    """Name of the resulting model, once the job has succeeded."""
    trained_tokens: int | None = None
    error: str | None = None
    reservation: int | None = None
    """Id of the reservation of its cost in the ledger."""
