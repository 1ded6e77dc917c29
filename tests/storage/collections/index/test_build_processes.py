"""Index parts built in child processes: the same index, also when the processes fail."""

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.processes import has_exited
from support.stores import NewStore
from support.writing import make_document, put_document

from semsearch.core.child_process import ChildProcess
from semsearch.storage.collections.local.index import build_processes, term_stream, wire_format
from semsearch.storage.collections.local.index.postings_slices import map_merged
from semsearch.storage.collections.local.index.segment_builder import INDEX_VERSION, IndexPart, PartMerger, build_part
from semsearch.storage.collections.local.rows.terms import TermRow

pytestmark = pytest.mark.slow

ROWS: list[TermRow] = [
    (2 * number, f"lamp {number % 5}", f"the fog of bell k {number} is\n東京 haus{number % 9} x509\nv3")
    for number in range(1, 60)
]
_texts = st.lists(st.sampled_from("the of lamp k 17 東京 x509".split()), max_size=9)
_bodies = st.lists(_texts.map(" ".join), min_size=1, max_size=4).map("\n".join)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ChildProcess]]:
    """The started processes, on two cores with eight rows per part; all must have exited at the end."""
    processes = list[ChildProcess]()

    class RecordedProcess(ChildProcess):
        def __init__(self, module: str, *arguments: str) -> None:
            super().__init__(module, *arguments)
            processes.append(self)

    monkeypatch.setattr(build_processes, "ChildProcess", RecordedProcess)
    monkeypatch.setattr(build_processes, "count_usable_cores", lambda: 2)
    monkeypatch.setattr(build_processes, "MAX_BACKGROUND_ROWS_IN_PROCESS", 8)
    for module in (term_stream, build_processes):
        monkeypatch.setattr(module, "BATCH_ROWS", 8)
    yield processes
    assert all(has_exited(child.process.pid) for child in processes)


def read_columns(parts: Iterator[IndexPart]) -> list[tuple[str, str, list[int]]]:
    """Return name, type and elements of each array of an index."""
    merger = PartMerger(parts)
    numbers = np.concatenate(list(merger.iter_sentence_terms()))
    arrays = {"numbers": numbers, "starts": merger.compute_sentence_starts()}
    for kind, parts_of_kind in zip(("words", "grams"), merger.get_postings(), strict=True):
        arrays |= {f"{kind}.{name}": column for name, column in map_merged(parts_of_kind).to_columns().items()}
    return [(name, str(column.dtype), column.tolist()) for name, column in arrays.items()]


EXPECTED = read_columns(iter([build_part(ROWS)]))


def test_version_identifies_the_output() -> None:
    """Index files are reused by version alone: a change of the output needs another version."""
    digest = hashlib.sha256(repr(EXPECTED).encode()).hexdigest()
    assert (INDEX_VERSION, digest[:16]) == ("1", "dac63bd64082f06b")


@given(st.lists(st.tuples(_texts.map(" ".join), _bodies), min_size=1, max_size=9))
def test_frames_round_trip(texts: list[tuple[str, str]]) -> None:
    """Rows and index parts are equal after encoding and decoding."""
    rows = [(3 * index, title, body) for index, (title, body) in enumerate(texts)]
    assert wire_format.decode_rows(wire_format.encode_rows(rows)) == rows
    part = build_part(rows)
    assert read_columns(iter([wire_format.decode_part(wire_format.encode_part(part))])) == read_columns(iter([part]))


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_index_is_the_same_on_any_number_of_cores(
    started: list[ChildProcess], monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    """The index equals that of one process; the processes are few, and have a lower priority than searches."""
    monkeypatch.setattr(build_processes, "count_usable_cores", lambda: cores)
    with build_processes.build_in_processes(iter(ROWS), len(ROWS)) as parts:
        assert read_columns(parts) == EXPECTED
        for child in started:
            assert os.getpriority(os.PRIO_PROCESS, child.process.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    assert len(started) == {1: 1, 2: 2, 64: build_processes.MAX_PROCESSES}[cores]


def test_no_process_is_started_for_few_rows(started: list[ChildProcess]) -> None:
    """Starting one would take longer than indexing them."""
    with build_processes.build_in_processes(iter(ROWS[:8]), 8) as parts:
        assert read_columns(parts) == read_columns(iter([build_part(ROWS[:8])]))
    assert not started


@pytest.mark.parametrize("returned_parts", [0, 1, 3])
def test_parts_of_a_dead_process_are_built_here(
    started: list[ChildProcess], caplog: pytest.LogCaptureFixture, returned_parts: int
) -> None:
    """Whenever it dies, no part is missing or repeated, and there is one warning."""
    with build_processes.build_in_processes(iter(ROWS), len(ROWS)) as parts:
        first_parts = [next(parts) for _ in range(returned_parts)]
        started[0].process.kill()
        assert read_columns(iter([*first_parts, *parts])) == EXPECTED
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "an index process has ended (status -9)"
    ]


def test_parts_are_built_here_if_no_process_can_be_started(
    started: list[ChildProcess], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without memory for a process, for example."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("subprocess.Popen", fails)
    with build_processes.build_in_processes(iter(ROWS), len(ROWS)) as parts:
        assert read_columns(parts) == EXPECTED
    assert not started
    assert all("Cannot allocate memory" in record.getMessage() for record in caplog.records)
    assert caplog.records


@pytest.mark.parametrize("code", ["print('no frame', flush=True)", "import time; time.sleep(60)"])
def test_parts_of_a_slow_or_wrong_process_are_built_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, started: list[ChildProcess], code: str
) -> None:
    """It may be of another version, or hang."""

    class FailingProcess(ChildProcess):
        def __init__(self, module: str, *arguments: str) -> None:
            command = [sys.executable, "-c", code]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            started.append(self)

    monkeypatch.setattr(build_processes, "ChildProcess", FailingProcess)
    monkeypatch.setattr(build_processes, "PART_TIMEOUT_SECONDS", 0.5)
    with build_processes.build_in_processes(iter(ROWS), len(ROWS)) as parts:
        assert read_columns(parts) == EXPECTED
    assert len(caplog.records) == 2


def test_parts_in_a_malformed_frame_are_built_here(
    monkeypatch: pytest.MonkeyPatch, started: list[ChildProcess]
) -> None:
    """A malformed frame does not stop the build."""
    monkeypatch.setattr(ChildProcess, "receive", lambda self: b"something else")
    with build_processes.build_in_processes(iter(ROWS), len(ROWS)) as parts:
        assert read_columns(parts) == EXPECTED


def test_process_of_another_version_exits() -> None:
    """A semsearch that was updated under a running service may build another index."""
    for version, status in ((INDEX_VERSION, 0), ("another", 1)):
        child = ChildProcess("semsearch.storage.collections.local.index.build_worker", version, "0")
        assert child.process.stdin is not None
        child.process.stdin.close()
        assert child.process.wait(30) == status
        child.kill_and_wait()


def test_process_ends_if_the_next_does_not_start(started: list[ChildProcess], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may arrive between the two starts."""

    class InterruptedProcess(build_processes.ChildProcess):  # type: ignore[misc, name-defined]
        def __init__(self, module: str, *arguments: str) -> None:
            if started:
                raise KeyboardInterrupt
            super().__init__(module, *arguments)

    monkeypatch.setattr(build_processes, "ChildProcess", InterruptedProcess)
    with pytest.raises(KeyboardInterrupt):
        build_processes.build_in_processes(iter(ROWS), len(ROWS)).__enter__()
    assert has_exited(started[0].process.pid)


def test_processes_end_with_an_interruption(started: list[ChildProcess]) -> None:
    """An interrupted build ends its processes at once."""

    def interrupted() -> None:
        with build_processes.build_in_processes(iter(ROWS), len(ROWS)) as parts:
            next(parts)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(started) == 2


def test_generation_files_are_the_same_with_any_number_of_processes(
    started: list[ChildProcess], new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Builds without a process, with one and with several write the same bytes."""
    store = new_store("lamps")
    for number in range(40):
        put_document(
            store, make_document(f"docs/{number}", f"Lamp {number} in the fog.\n\nDas Haus Nr. {number % 7} am Hafen.")
        )
    generations = []
    for max_rows_in_process, cores, process_count in ((1_000, 3, 0), (8, 1, 1), (8, 3, 3)):
        monkeypatch.setattr(build_processes, "MAX_BACKGROUND_ROWS_IN_PROCESS", max_rows_in_process)
        monkeypatch.setattr(build_processes, "count_usable_cores", lambda cores=cores: cores)
        started.clear()
        store.reindex()
        assert len(started) == process_count
        generations += [digests(folder) for folder in store.folder.glob("index.*")]
    assert all(files == generations[0] for files in generations)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a generation."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
