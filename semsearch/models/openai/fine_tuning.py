"""Fine-tuning jobs of an OpenAI-compatible server: upload a file, create, read and cancel a job.

Replies are untrusted input. A server may have statuses of its own; they are passed on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...core.errors import UpstreamError
from ...core.types.usage import RequestContext
from .client import OpenAIClient
from .responses import redact

MAX_SUFFIX_CHARACTERS = 64

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,299}")
_MAX_TOKENS = 10**15


@dataclass(frozen=True, slots=True)
class JobReport:
    """What a server reports about a job."""

    id: str
    status: str
    fine_tuned_model: str | None = None
    trained_tokens: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class FineTuningClient:
    """The routes `/files` and `/fine_tuning/jobs` of one server."""

    client: OpenAIClient
    context: RequestContext
    """With the purpose `train`."""

    async def upload(self, data: bytes) -> str:
        """Upload a training or validation file and return its id."""
        return _read_id(await self.client.upload(data, self.context), "file")

    async def create_job(
        self, model: str, training_file: str, validation_file: str | None, *, epochs: int, suffix: str | None = None
    ) -> JobReport:
        """Create a job for supervised fine-tuning with uploaded files."""
        body: dict[str, Any] = {
            "model": model,
            "training_file": training_file,
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": epochs}}},
        }
        if validation_file is not None:
            body["validation_file"] = validation_file
        if suffix is not None:
            body["suffix"] = suffix
        return _parse_job(await self.client.fetch("POST", "fine_tuning/jobs", self.context, body))

    async def get_job(self, job_id: str) -> JobReport:
        """Return the present state of a job."""
        return _parse_job(await self.client.fetch("GET", f"fine_tuning/jobs/{job_id}", self.context), job_id)

    async def cancel_job(self, job_id: str) -> JobReport:
        """Cancel a job and return its state."""
        reply = await self.client.fetch("POST", f"fine_tuning/jobs/{job_id}/cancel", self.context)
        return _parse_job(reply, job_id)


def _parse_job(reply: Mapping[str, Any], expected_id: str | None = None) -> JobReport:
    job_id = _read_id(reply, "fine-tuning job")
    if expected_id not in (None, job_id):
        raise UpstreamError(f"the server was asked for the fine-tuning job {expected_id} and sent another one")
    status = reply.get("status")
    if not isinstance(status, str) or not _ID.fullmatch(status):
        raise UpstreamError("the server sent a fine-tuning job without a valid status")
    return JobReport(
        job_id, status.lower(), _read_model(reply), _read_trained_tokens(reply), _read_error(reply.get("error"))
    )


def _read_id(reply: Mapping[str, Any], noun: str) -> str:
    value = reply.get("id")
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise UpstreamError(f"the server sent a {noun} without a valid id")
    return value


def _read_model(reply: Mapping[str, Any]) -> str | None:
    model = reply.get("fine_tuned_model")
    return model if isinstance(model, str) and _MODEL.fullmatch(model) else None


def _read_trained_tokens(reply: Mapping[str, Any]) -> int | None:
    tokens = reply.get("trained_tokens")
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and 0 <= tokens <= _MAX_TOKENS else None


def _read_error(error: object) -> str | None:
    """Return the message of a failed job without keys; OpenAI sends an object without values if there is none."""
    message = error.get("message") if isinstance(error, Mapping) else error
    return redact(message, None) if isinstance(message, str) and message else None
