"""Portions indexed in processes of their own: the same index, whatever becomes of the processes."""

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.processes import is_gone
from support.writing import document, put

from semsearch.core.child_process import Child
from semsearch.storage.collections.local.index import build_processes as indexers
from semsearch.storage.collections.local.index import term_stream as occurrences
from semsearch.storage.collections.local.index import wire_format as frames
from semsearch.storage.collections.local.index.segment_builder import VERSION, Joined, Portion, portion
from semsearch.storage.collections.local.rows.terms import Row
from semsearch.storage.collections.local.store import LocalStore

NewStore = Callable[[str], LocalStore]
ROWS: list[Row] = [
    (2 * number, f"lamp {number % 5}", f"the fog of bell k {number} is\n東京 haus{number % 9} x509\nv3")
    for number in range(1, 60)
]
_texts = st.lists(st.sampled_from("the of lamp k 17 東京 x509".split()), max_size=9)
_bodies = st.lists(_texts.map(" ".join), min_size=1, max_size=4).map("\n".join)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Child]]:
    """The processes that were started, where there are two cores and eight rows are a portion; all must end."""
    made = list[Child]()

    class Told(Child):
        def __init__(self, module: str, *arguments: str) -> None:
            super().__init__(module, *arguments)
            made.append(self)

    monkeypatch.setattr(indexers, "Child", Told)
    monkeypatch.setattr(indexers, "cores", lambda: 2)
    for module in (occurrences, indexers):
        monkeypatch.setattr(module, "TOGETHER", 8)
    yield made
    assert all(is_gone(child.process.pid) for child in made)


def columns(portions: Iterator[Portion]) -> list[tuple[str, str, list[int]]]:
    """All numbers of an index, and of which kind they are."""
    whole = Joined(portions)
    numbers = np.concatenate(list(whole.sentences()))
    made = {"numbers": numbers, "starts": whole.starts()}
    for kind, index in (("words", whole.words()), ("grams", whole.grams())):
        made |= {f"{kind}.{name}": column for name, column in index.columns().items()}
    return [(name, str(column.dtype), column.tolist()) for name, column in made.items()]


WANTED = columns(iter([portion(ROWS)]))


def test_its_version_stands_for_what_it_makes() -> None:
    """An index is taken over by its version alone: whoever makes another one of the same rows must change that."""
    made = hashlib.sha256(repr(WANTED).encode()).hexdigest()
    assert (VERSION, made[:16]) == ("1", "dac63bd64082f06b")


@given(st.lists(st.tuples(_texts.map(" ".join), _bodies), min_size=1, max_size=9))
def test_frames_bring_all_of_it(texts: list[tuple[str, str]]) -> None:
    """Rows, and what they come to."""
    rows = [(3 * place, title, body) for place, (title, body) in enumerate(texts)]
    assert frames.to_rows(frames.of_rows(rows)) == rows
    made = portion(rows)
    assert columns(iter([frames.to_portion(frames.of_portion(made))])) == columns(iter([made]))


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_the_index_is_the_same(started: list[Child], monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    """Number for number, by however many processes; they give way to searches, and there are few of them."""
    monkeypatch.setattr(indexers, "cores", lambda: cores)
    with indexers.beside(iter(ROWS), len(ROWS)) as portions:
        assert columns(portions) == WANTED
        for child in started:
            assert os.getpriority(os.PRIO_PROCESS, child.process.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    assert len(started) == {1: 0, 2: 2, 64: indexers.MOST}[cores]


def test_a_single_portion_needs_no_process(started: list[Child]) -> None:
    """It would take longer to start one."""
    with indexers.beside(iter(ROWS[:8]), 8) as portions:
        assert columns(portions) == columns(iter([portion(ROWS[:8])]))
    assert not started


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_what_a_dead_process_leaves_is_done_here(
    started: list[Child], caplog: pytest.LogCaptureFixture, answered: int
) -> None:
    """Whenever it dies: nothing is missing, nothing is there twice, and it is said once."""
    with indexers.beside(iter(ROWS), len(ROWS)) as portions:
        done = [next(portions) for _ in range(answered)]
        started[0].process.kill()
        assert columns(iter([*done, *portions])) == WANTED
    assert [record.getMessage()[:44] for record in caplog.records] == ["a process that indexed has ended (status -9)"]


def test_where_no_process_can_be_started_it_is_done_here(
    started: list[Child], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without memory for another one, for example."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("subprocess.Popen", fails)
    with indexers.beside(iter(ROWS), len(ROWS)) as portions:
        assert columns(portions) == WANTED
    assert not started
    assert all("Cannot allocate memory" in record.getMessage() for record in caplog.records)
    assert caplog.records


@pytest.mark.parametrize("code", ["print('no frame', flush=True)", "import time; time.sleep(60)"])
def test_what_a_process_does_not_do_in_time_or_says_badly_is_done_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, started: list[Child], code: str
) -> None:
    """It may be of another version by now, or stand still."""

    class Other(Child):
        def __init__(self, module: str, *arguments: str) -> None:
            command = [sys.executable, "-c", code]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            started.append(self)

    monkeypatch.setattr(indexers, "Child", Other)
    monkeypatch.setattr(indexers, "SECONDS", 0.5)
    with indexers.beside(iter(ROWS), len(ROWS)) as portions:
        assert columns(portions) == WANTED
    assert len(caplog.records) == 2


def test_a_frame_that_is_none_of_ours_is_done_here(monkeypatch: pytest.MonkeyPatch, started: list[Child]) -> None:
    """What cannot be read ends no build."""
    monkeypatch.setattr(Child, "receive", lambda self: b"something else")
    with indexers.beside(iter(ROWS), len(ROWS)) as portions:
        assert columns(portions) == WANTED


def test_a_process_of_another_version_does_nothing() -> None:
    """A semsearch that was renewed under a running service indexes otherwise, perhaps."""
    for version, status in ((VERSION, 0), ("another", 1)):
        child = Child("semsearch.storage.collections.local.index.build_worker", version)
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.process.wait(30) == status
        child.end()


def test_a_process_whose_neighbour_does_not_start_ends(started: list[Child], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come between the two."""

    class Second(indexers.Child):  # type: ignore[misc, name-defined]
        def __init__(self, module: str, *arguments: str) -> None:
            if started:
                raise KeyboardInterrupt
            super().__init__(module, *arguments)

    monkeypatch.setattr(indexers, "Child", Second)
    with pytest.raises(KeyboardInterrupt):
        indexers.beside(iter(ROWS), len(ROWS)).__enter__()
    assert is_gone(started[0].process.pid)


def test_no_process_outlives_an_interruption(started: list[Child]) -> None:
    """Whoever breaks off waits for none."""

    def interrupted() -> None:
        with indexers.beside(iter(ROWS), len(ROWS)) as portions:
            next(portions)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(started) == 2


def test_generations_are_the_same_to_the_byte(
    started: list[Child], new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one core, without a process, and of several."""
    store = new_store("lamps")
    for number in range(40):
        put(store, document(f"docs/{number}", f"Lamp {number} in the fog.\n\nDas Haus Nr. {number % 7} am Hafen."))
    for cores in (1, 3):
        monkeypatch.setattr(indexers, "cores", lambda cores=cores: cores)
        store.reindex()
        assert len(started) == {1: 0, 3: 3}[cores]
    one, other = (digests(folder) for folder in store.folder.glob("index.*"))
    assert one == other


def digests(folder: Path) -> dict[str, str]:
    """What each file of a generation holds."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
