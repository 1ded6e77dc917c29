"""Turns of work on pages: one for each file at a time, and failures that are remembered within bounds."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.billing import Clock

from semsearch.core.errors import DeadlineError, NotFoundError, SemsearchError, UnavailableError
from semsearch.ingest.readers import page_turns
from semsearch.ingest.readers.page_turns import PageTurns, Work

FIRST: Work = ("image", (1,))
SECOND: Work = ("image", (2,))


def run_failing(turns: PageTurns, sha256: str, error: SemsearchError, work: Work = FIRST) -> SemsearchError | None:
    """Return the error of work that fails; None if it is another one, without the work."""
    with pytest.raises(type(error)) as caught, turns.take(sha256, [work], 1.0):
        raise error
    return error if caught.value is error else None


def run(turns: PageTurns, sha256: str, *works: Work) -> bool:
    """Do work that succeeds."""
    with turns.take(sha256, works, 0.1):
        return True


def test_failure_is_remembered_for_five_minutes() -> None:
    """Only that of the work itself; other pages and files are tried."""
    clock = Clock()
    turns = PageTurns(lambda: clock.now)
    assert run_failing(turns, "a", DeadlineError("too slow"))
    assert not run_failing(turns, "a", DeadlineError("again"))
    with pytest.raises(DeadlineError, match="too slow"):
        run(turns, "a", ("image", (1, 2)), FIRST)
    assert run(turns, "a", SECOND)
    assert run(turns, "b", FIRST)
    clock.now += page_turns.FAILURE_SECONDS
    assert run(turns, "a", FIRST)


def test_other_errors_are_not_remembered() -> None:
    """Such as a page that does not exist, or processes that are all busy."""
    turns = PageTurns()
    assert run_failing(turns, "a", NotFoundError("no page"))
    assert run_failing(turns, "a", UnavailableError("busy"))
    assert run(turns, "a", FIRST)


def test_remembered_failures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten."""
    monkeypatch.setattr(page_turns, "MAX_FAILURES", 2)
    turns = PageTurns()
    for sha256 in "abc":
        run_failing(turns, sha256, DeadlineError("too slow"))
    assert run(turns, "a", FIRST)
    for sha256 in "bc":
        assert not run_failing(turns, sha256, DeadlineError("again"))


def test_threads_do_not_all_wait_for_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """One waits until its time is over; further ones give up earlier. Another file needs no turn of this one."""
    monkeypatch.setattr(page_turns, "CROWD_SECONDS", 0.02)
    turns, is_over = PageTurns(), threading.Event()

    def wait() -> bool:
        with turns.take("a", [SECOND], 20.0):
            return is_over.is_set()

    with ThreadPoolExecutor(2) as threads:
        with turns.take("a", [FIRST], 1.0):
            waiting = [threads.submit(wait) for _ in range(2)]
            while not any(future.done() for future in waiting):
                is_over.wait(0.001)
            assert run(turns, "b", FIRST)
            is_over.set()
        outcomes = [future.exception() or future.result() for future in waiting]
    assert sorted(map(str, outcomes), key=len)[0] == "True"
    assert [str(outcome)[:11] for outcome in outcomes if outcome is not True] == ["other pages"]
