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
from support.processes import has_exited
from support.writing import make_document, put_document

from semsearch.core.child_process import ChildProcess
from semsearch.storage.collections.local.index import build_processes as indexers
from semsearch.storage.collections.local.index import term_stream as occurrences
from semsearch.storage.collections.local.index import wire_format as frames
from semsearch.storage.collections.local.index.segment_builder import INDEX_VERSION, IndexPart, PartMerger, build_part
from semsearch.storage.collections.local.rows.terms import TermRow
from semsearch.storage.collections.local.store import LocalStore

pytestmark = pytest.mark.slow

NewStore = Callable[[str], LocalStore]
ROWS: list[TermRow] = [
    (2 * number, f"lamp {number % 5}", f"the fog of bell k {number} is\n東京 haus{number % 9} x509\nv3")
    for number in range(1, 60)
]
_texts = st.lists(st.sampled_from("the of lamp k 17 東京 x509".split()), max_size=9)
_bodies = st.lists(_texts.map(" ".join), min_size=1, max_size=4).map("\n".join)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ChildProcess]]:
    """The processes that were started, where there are two cores and eight rows are a portion; all must end."""
    made = list[ChildProcess]()

    class Told(ChildProcess):
        def __init__(self, module: str, *arguments: str) -> None:
            super().__init__(module, *arguments)
            made.append(self)

    monkeypatch.setattr(indexers, "ChildProcess", Told)
    monkeypatch.setattr(indexers, "count_usable_cores", lambda: 2)
    for module in (occurrences, indexers):
        monkeypatch.setattr(module, "BATCH_ROWS", 8)
    yield made
    assert all(has_exited(child.process.pid) for child in made)


def columns(portions: Iterator[IndexPart]) -> list[tuple[str, str, list[int]]]:
    """All numbers of an index, and of which kind they are."""
    whole = PartMerger(portions)
    numbers = np.concatenate(list(whole.iter_sentence_terms()))
    made = {"numbers": numbers, "starts": whole.compute_sentence_starts()}
    for kind, index in (("words", whole.merge_postings()), ("grams", whole.merge_trigram_postings())):
        made |= {f"{kind}.{name}": column for name, column in index.to_columns().items()}
    return [(name, str(column.dtype), column.tolist()) for name, column in made.items()]


WANTED = columns(iter([build_part(ROWS)]))


def test_its_version_stands_for_what_it_makes() -> None:
    """An index is taken over by its version alone: whoever makes another one of the same rows must change that."""
    made = hashlib.sha256(repr(WANTED).encode()).hexdigest()
    assert (INDEX_VERSION, made[:16]) == ("1", "dac63bd64082f06b")


@given(st.lists(st.tuples(_texts.map(" ".join), _bodies), min_size=1, max_size=9))
def test_frames_bring_all_of_it(texts: list[tuple[str, str]]) -> None:
    """Rows, and what they come to."""
    rows = [(3 * place, title, body) for place, (title, body) in enumerate(texts)]
    assert frames.decode_rows(frames.encode_rows(rows)) == rows
    made = build_part(rows)
    assert columns(iter([frames.decode_part(frames.encode_part(made))])) == columns(iter([made]))


@pytest.mark.parametrize("count_usable_cores", [1, 2, 64])
def test_the_index_is_the_same(started: list[ChildProcess], monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    """Number for number, by however many processes; they give way to searches, and there are few of them."""
    monkeypatch.setattr(indexers, "count_usable_cores", lambda: cores)
    with indexers.build_in_processes(iter(ROWS), len(ROWS)) as portions:
        assert columns(portions) == WANTED
        for child in started:
            assert os.getpriority(os.PRIO_PROCESS, child.process.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    assert len(started) == {1: 0, 2: 2, 64: indexers.MAX_PROCESSES}[cores]


def test_a_single_portion_needs_no_process(started: list[ChildProcess]) -> None:
    """It would take longer to start one."""
    with indexers.build_in_processes(iter(ROWS[:8]), 8) as portions:
        assert columns(portions) == columns(iter([build_part(ROWS[:8])]))
    assert not started


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_what_a_dead_process_leaves_is_done_here(
    started: list[ChildProcess], caplog: pytest.LogCaptureFixture, answered: int
) -> None:
    """Whenever it dies: nothing is missing, nothing is there twice, and it is said once."""
    with indexers.build_in_processes(iter(ROWS), len(ROWS)) as portions:
        done = [next(portions) for _ in range(answered)]
        started[0].process.kill()
        assert columns(iter([*done, *portions])) == WANTED
    assert [record.getMessage()[:44] for record in caplog.records] == ["a process that indexed has ended (status -9)"]


def test_where_no_process_can_be_started_it_is_done_here(
    started: list[ChildProcess], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without memory for another one, for example."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("subprocess.Popen", fails)
    with indexers.build_in_processes(iter(ROWS), len(ROWS)) as portions:
        assert columns(portions) == WANTED
    assert not started
    assert all("Cannot allocate memory" in record.getMessage() for record in caplog.records)
    assert caplog.records


@pytest.mark.parametrize("code", ["print('no frame', flush=True)", "import time; time.sleep(60)"])
def test_what_a_process_does_not_do_in_time_or_says_badly_is_done_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, started: list[ChildProcess], code: str
) -> None:
    """It may be of another version by now, or stand still."""

    class Other(ChildProcess):
        def __init__(self, module: str, *arguments: str) -> None:
            command = [sys.executable, "-c", code]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            started.append(self)

    monkeypatch.setattr(indexers, "ChildProcess", Other)
    monkeypatch.setattr(indexers, "PART_TIMEOUT_SECONDS", 0.5)
    with indexers.build_in_processes(iter(ROWS), len(ROWS)) as portions:
        assert columns(portions) == WANTED
    assert len(caplog.records) == 2


def test_a_frame_that_is_none_of_ours_is_done_here(
    monkeypatch: pytest.MonkeyPatch, started: list[ChildProcess]
) -> None:
    """What cannot be read ends no build."""
    monkeypatch.setattr(ChildProcess, "receive", lambda self: b"something else")
    with indexers.build_in_processes(iter(ROWS), len(ROWS)) as portions:
        assert columns(portions) == WANTED


def test_a_process_of_another_version_does_nothing() -> None:
    """A semsearch that was renewed under a running service indexes otherwise, perhaps."""
    for version, status in ((INDEX_VERSION, 0), ("another", 1)):
        child = ChildProcess("semsearch.storage.collections.local.index.build_worker", version)
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.process.wait(30) == status
        child.kill_and_wait()


def test_a_process_whose_neighbour_does_not_start_ends(
    started: list[ChildProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come between the two."""

    class Second(indexers.ChildProcess):  # type: ignore[misc, name-defined]
        def __init__(self, module: str, *arguments: str) -> None:
            if started:
                raise KeyboardInterrupt
            super().__init__(module, *arguments)

    monkeypatch.setattr(indexers, "ChildProcess", Second)
    with pytest.raises(KeyboardInterrupt):
        indexers.build_in_processes(iter(ROWS), len(ROWS)).__enter__()
    assert has_exited(started[0].process.pid)


def test_no_process_outlives_an_interruption(started: list[ChildProcess]) -> None:
    """Whoever breaks off waits for none."""

    def interrupted() -> None:
        with indexers.build_in_processes(iter(ROWS), len(ROWS)) as portions:
            next(portions)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(started) == 2


def test_generations_are_the_same_to_the_byte(
    started: list[ChildProcess], new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one core, without a process, and of several."""
    store = new_store("lamps")
    for number in range(40):
        put_document(
            store, make_document(f"docs/{number}", f"Lamp {number} in the fog.\n\nDas Haus Nr. {number % 7} am Hafen.")
        )
    for cores in (1, 3):
        monkeypatch.setattr(indexers, "count_usable_cores", lambda cores=cores: cores)
        store.reindex()
        assert len(started) == {1: 0, 3: 3}[cores]
    one, other = (digests(folder) for folder in store.folder.glob("index.*"))
    assert one == other


def digests(folder: Path) -> dict[str, str]:
    """What each file of a generation holds."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
