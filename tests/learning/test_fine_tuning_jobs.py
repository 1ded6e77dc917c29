"""Training jobs on a server: plan, submit, refresh, cancel, their costs and their owner."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from support.fine_tuning_server import FineTuningServer

from semsearch import Caller, Library
from semsearch.core.errors import (
    BudgetError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
    UpstreamError,
)
from semsearch.core.settings import Endpoint, Settings
from semsearch.core.types.usage import Budget, BudgetLimits
from semsearch.learning.fine_tuning_jobs import FineTuningJobs, check_new_jobs
from semsearch.models.openai import fine_tuning


def write_examples(path: Path, count: int = 12) -> Path:
    """Write a chat file with this many examples."""
    messages = [
        [
            {"role": "user", "content": f"How often is lamp {number} checked?"},
            {"role": "assistant", "content": "Daily."},
        ]
        for number in range(count)
    ]
    path.write_text("".join(json.dumps({"messages": each}) + "\n" for each in messages))
    return path


@pytest.fixture
def make_library(tmp_path: Path) -> Callable[[Settings], Library]:
    """Return a function that opens the library of this test with other settings."""
    return lambda settings: Library(tmp_path / "indexes", settings=settings)


@pytest.mark.slow
def test_job_from_submission_to_its_model(
    make_library: Callable[[Settings], Library], settings: Settings, server: FineTuningServer, tmp_path: Path
) -> None:
    """The file arrives byte for byte; the job survives a restart; its cost is what the server counted."""
    path = write_examples(tmp_path / "train.jsonl")
    with make_library(settings) as library:
        jobs = FineTuningJobs(library)
        plan = jobs.plan(path, validation_path=path, suffix="handbook")
        assert (plan.training.examples, plan.epochs, plan.notice) == (12, 8, None)
        job = jobs.submit(plan)
        assert (job.status, job.owner, job.model) == ("validating_files", "local", "m")
    assert list(server.files.values()) == [path.read_bytes()] * 2
    with make_library(settings) as library:
        jobs = FineTuningJobs(library)
        assert jobs.list() == [job]
        server.finish(job.id, "ft:m:handbook", trained_tokens=3_000)
        finished = jobs.refresh(job.id)
        assert (finished.status, finished.fine_tuned_model) == ("succeeded", "ft:m:handbook")
        (row,) = library.usage(by="purpose").rows
        assert (row.name, row.input_tokens, row.cost_usd, row.estimated_requests) == ("train", 3_000, 0.006, 0)
        requests = len(server.requests)
        assert jobs.refresh(job.id) == finished
        assert len(server.requests) == requests  # a job that has ended is not asked for again
        with pytest.raises(ConflictError, match="has ended: succeeded"):
            jobs.cancel(job.id)


def test_jobs_belong_to_their_owner(library: Library, tmp_path: Path) -> None:
    """Another owner neither sees nor cancels them."""
    job = FineTuningJobs(library).submit(FineTuningJobs(library).plan(write_examples(tmp_path / "train.jsonl")))
    stranger = FineTuningJobs(library, Caller("stranger"))
    assert stranger.list() == []
    for call in (stranger.refresh, stranger.cancel):
        with pytest.raises(NotFoundError, match="there is no fine-tuning job 'ftjob-1'"):
            call(job.id)


def test_cancelled_job_costs_nothing(library: Library, tmp_path: Path) -> None:
    """Its reservation is released."""
    jobs = FineTuningJobs(library)
    job = jobs.submit(jobs.plan(write_examples(tmp_path / "train.jsonl")))
    assert jobs.cancel(job.id).status == "cancelled"
    (row,) = library.usage(by="purpose").rows
    assert (row.input_tokens, row.cost_usd) == (0, 0.0)


def test_budget_is_respected_before_anything_is_sent(
    make_library: Callable[[Settings], Library], settings: Settings, server: FineTuningServer, tmp_path: Path
) -> None:
    """A job above the budget of the day, and one without a price where a budget is in dollars."""
    path = write_examples(tmp_path / "train.jsonl")
    for limits, model in ((BudgetLimits(day_usd=0.001), "m"), (BudgetLimits(day_usd=9.0), "unpriced")):
        with make_library(replace(settings, budget=Budget(limits))) as library:
            jobs = FineTuningJobs(library)
            with pytest.raises(BudgetError, match=r"budget\.day_usd|the price of 'unpriced' is unknown"):
                jobs.submit(jobs.plan(path, model=model))
    assert server.requests == []
    with make_library(replace(settings, budget=Budget(BudgetLimits(day_usd=1.0)))) as library:
        FineTuningJobs(library).submit(FineTuningJobs(library).plan(path))


def test_refused_and_unreachable_jobs_leave_no_cost(
    make_library: Callable[[Settings], Library], settings: Settings, server: FineTuningServer, tmp_path: Path
) -> None:
    """The server's reason is passed on, and nothing stays reserved."""
    path = write_examples(tmp_path / "train.jsonl")
    with make_library(settings) as library:
        jobs = FineTuningJobs(library)
        plan = jobs.plan(path)
        broken = replace(plan, training=plan.training._replace(data=b"{}\n"))
        with pytest.raises(UpstreamError, match="10 at least"):
            jobs.submit(broken)
        assert (jobs.list(), library.usage().rows[0].cost_usd) == ([], 0.0)
    with make_library(replace(settings, chat=Endpoint("http://127.0.0.1:9/v1"))) as library:
        jobs = FineTuningJobs(library)
        with pytest.raises(UnavailableError, match="no connection"):
            jobs.submit(jobs.plan(path))
        assert sum(row.input_tokens for row in library.usage().rows) == 0


def test_job_of_another_server_is_not_asked_for_here(
    make_library: Callable[[Settings], Library], settings: Settings, server: FineTuningServer, tmp_path: Path
) -> None:
    """The message names both servers."""
    with make_library(settings) as library:
        job = FineTuningJobs(library).submit(FineTuningJobs(library).plan(write_examples(tmp_path / "train.jsonl")))
    message = r"SEMSEARCH_CHAT__BASE_URL is http://127\.0\.0\.1:9/v1"
    elsewhere = replace(settings, chat=Endpoint("http://127.0.0.1:9/v1"))
    with make_library(elsewhere) as library, pytest.raises(ConflictError, match=message):
        FineTuningJobs(library).refresh(job.id)


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "https://eu.api.openai.com/v1"])
def test_openai_takes_no_new_jobs_from_2027(url: str) -> None:
    """A warning with the date before, a refusal with the remedy from that day on; other servers are not concerned."""
    notice = check_new_jobs(url, date(2027, 1, 5))
    assert notice is not None
    assert "from 2027-01-06 on" in notice
    with pytest.raises(ForbiddenError, match="since 2027-01-06; set SEMSEARCH_CHAT__BASE_URL to another"):
        check_new_jobs(url, date(2027, 1, 6))
    assert check_new_jobs("https://api.openai.com.example.org/v1", date(2027, 1, 6)) is None


def test_plan_for_openai_is_refused_in_time(
    make_library: Callable[[Settings], Library], settings: Settings, tmp_path: Path
) -> None:
    """By the day in UTC; nothing is sent."""
    with make_library(replace(settings, chat=Endpoint("https://api.openai.com/v1"))) as library:
        day = datetime(2027, 1, 6, tzinfo=UTC).timestamp()
        with pytest.raises(ForbiddenError):
            FineTuningJobs(library, clock=lambda: day).plan(tmp_path / "train.jsonl")
        assert FineTuningJobs(library, clock=lambda: day - 1).plan(write_examples(tmp_path / "train.jsonl")).notice


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "line 12: is not valid JSON"),
        ('{"prompt": "a", "completion": "b"}', "line 12: it has no list of messages"),
        ('{"messages": [{"role": "robot", "content": "a"}]}', "none of the roles"),
        ('{"messages": [{"role": "user", "content": " "}]}', "has no content"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "the last message is not of the role assistant"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "no message of the role user"),
    ],
)
def test_invalid_file_is_refused_with_its_line(library: Library, tmp_path: Path, line: str, problem: str) -> None:
    """Before anything is uploaded."""
    path = write_examples(tmp_path / "train.jsonl", 11)
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(InvalidError, match=problem):
        FineTuningJobs(library).plan(path)


def test_too_few_and_too_long_examples_are_refused(library: Library, tmp_path: Path) -> None:
    """Ten examples at least, 65,536 tokens at most."""
    jobs = FineTuningJobs(library)
    with pytest.raises(InvalidError, match="has 9 examples; a job needs 10 at least"):
        jobs.plan(write_examples(tmp_path / "few.jsonl", 9))
    long_line = {"messages": [{"role": "user", "content": "word " * 80_000}, {"role": "assistant", "content": "a"}]}
    path = write_examples(tmp_path / "long.jsonl")
    path.write_text(path.read_text() + json.dumps(long_line) + "\n")
    with pytest.raises(InvalidError, match="the limit is 65,536"):
        jobs.plan(path)
    with pytest.raises(NotFoundError, match="semsearch finetune export"):
        jobs.plan(tmp_path / "missing.jsonl")


@pytest.mark.parametrize(
    "reply",
    [{}, {"id": "../files", "status": "queued"}, {"id": "ftjob-2", "status": "queued"}, {"id": "ftjob-1", "status": 5}],
)
def test_invalid_reply_of_a_server_is_an_error(reply: dict[str, object]) -> None:
    """An id that is no id would become a part of a URL; a key in the message of a job is not shown."""
    with pytest.raises(UpstreamError):
        fine_tuning._parse_job(reply, "ftjob-1")
    job = fine_tuning._parse_job({"id": "j", "status": "failed", "error": {"message": "bad sk-abcdefghijklmnop1234"}})
    assert job.error == "bad [key]"
