"""The embedded model in a process of its own: the same vectors, whatever becomes of the process."""

import asyncio
import errno
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from support.fakes import HashEmbedder
from support.processes import has_exited

from semsearch import Library, text_source
from semsearch.core import child_process as processes
from semsearch.core.child_process import ChildProcess
from semsearch.core.errors import UnavailableError
from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext
from semsearch.models import embedders
from semsearch.models.embedders import local_process as beside_module
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.models.embedders.local_process import SubprocessEmbedder, open_subprocess_embedder

pytestmark = pytest.mark.slow

TEXTS = [f"The lamp in lighthouse {number} shines over 東京." for number in range(300)] + ["", "x" * 5000]
ERRAND = RequestContext("ingest")


def embedded(embedder: SubprocessEmbedder, texts: Sequence[str]) -> Vectors:
    """The vectors of these texts."""
    return asyncio.run(embedder.embed(texts, ERRAND))


class Doing(ChildProcess):
    """A process that runs some code of ours in place of the model."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def started(model: LocalEmbedder) -> SubprocessEmbedder:
    """The model with its process, which has said that it is ready."""
    made = SubprocessEmbedder(model, min_texts=0)
    patience = time.monotonic() + 30
    embedded(made, TEXTS[:1])
    while made.concurrency == 1 and time.monotonic() < patience:
        time.sleep(0.01)
    assert made.concurrency == 2
    assert made._child is not None
    return made


def test_vectors_are_the_same_to_the_bit() -> None:
    """Those of the first texts, made here, and those of the others, made there; the process ends with the run."""
    model = LocalEmbedder()
    wanted = model.embed_sync(TEXTS)
    with open_subprocess_embedder(model) as made:
        assert isinstance(made, SubprocessEmbedder)
        assert (made.name, made.dim, made.concurrency) == (model.name, model.dim, 1)
        assert np.array_equal(embedded(made, TEXTS), wanted)
        assert made._child is None
    with closing(started(model)) as made:
        assert made._child is not None
        pid = made._child.process.pid
        assert np.array_equal(embedded(made, TEXTS), wanted)
        assert embedded(made, []).shape == (0, model.dim)
    assert has_exited(pid)


def test_until_the_process_is_ready_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it to get ready, however long that takes."""
    monkeypatch.setattr(beside_module, "_start_process", lambda: Doing("import time; time.sleep(60)"))
    model = LocalEmbedder()
    with closing(SubprocessEmbedder(model, min_texts=0)) as made:
        for _ in range(3):
            assert np.array_equal(embedded(made, TEXTS), model.embed_sync(TEXTS))
            assert made.concurrency == 1
        assert made._child is not None


def test_a_process_that_dies_before_it_is_ready_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and all is done here."""
    children = []

    def _started() -> ChildProcess:
        children.append(Doing("raise SystemExit(3)"))
        return children[-1]

    monkeypatch.setattr(beside_module, "_start_process", _started)
    model = LocalEmbedder()
    with closing(SubprocessEmbedder(model, min_texts=0)) as made:
        embedded(made, TEXTS)
        children[0].process.wait()
        for _ in range(3):
            assert np.array_equal(embedded(made, TEXTS), model.embed_sync(TEXTS))
    assert len(children) == 1
    assert [record.getMessage()[:48] for record in caplog.records] == [
        "the process that embedded has ended (status 3); "
    ]


def test_when_the_process_dies_the_rest_is_done_here(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost, it is said once, and no other process is started."""
    model = LocalEmbedder()
    made = started(model)
    assert made._child is not None
    pid = made._child.process.pid
    made._child.process.kill()
    for _ in range(2):
        assert np.array_equal(embedded(made, TEXTS), model.embed_sync(TEXTS))
        assert made.concurrency == 1
    assert [record.getMessage()[:49] for record in caplog.records] == [
        "the process that embedded has ended (status -9); "
    ]
    assert has_exited(pid)


def test_where_no_process_can_be_started_it_is_done_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without memory for another one, for example; it is said once."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    model = LocalEmbedder()
    made = SubprocessEmbedder(model, min_texts=0)
    monkeypatch.setattr("subprocess.Popen", fails)
    for _ in range(2):
        assert np.array_equal(embedded(made, TEXTS), model.embed_sync(TEXTS))
    assert ["Cannot allocate memory" in record.getMessage() for record in caplog.records] == [True]


def test_closing_does_not_wait_for_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    """What was asked for is not computed here either, and nothing is said to have died."""
    made = started(LocalEmbedder())
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(embedded, made, TEXTS * 2_000)
        while not made._lock.locked():
            pass
        made.close()
        with pytest.raises(UnavailableError):
            asked.result()
    assert not caplog.records


def test_a_process_that_comes_after_the_end_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was about to start it; and one that is being started meanwhile is ended."""
    start, began, may_go = beside_module._start_process, threading.Event(), threading.Event()
    children = []

    def _started() -> ChildProcess:
        began.set()
        assert may_go.wait(30)
        children.append(start())
        return children[-1]

    monkeypatch.setattr(beside_module, "_start_process", _started)
    made = SubprocessEmbedder(LocalEmbedder(), min_texts=0)
    with ThreadPoolExecutor(2) as threads:
        asked = threads.submit(embedded, made, TEXTS)
        assert began.wait(30)
        closed = threads.submit(made.close)
        may_go.set()
        asked.result()
        closed.result()
    assert has_exited(children[0].process.pid)
    embedded(made, TEXTS)
    assert len(children) == 1


def test_only_what_computes_in_python_gets_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """And only where there is a core for it."""
    model, other = LocalEmbedder(), HashEmbedder()
    with embedders.open_bulk_embedder(other) as made:
        assert made is other
    monkeypatch.setattr(processes, "count_usable_cores", lambda: 2)
    with embedders.open_bulk_embedder(model) as made:
        assert isinstance(made, SubprocessEmbedder)
    monkeypatch.setattr(processes, "count_usable_cores", lambda: 1)
    with embedders.open_bulk_embedder(model) as made:
        assert made is model


def test_an_ingestion_beside_is_as_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every document is stored, in its order, with the vectors it has anyway."""
    monkeypatch.setattr("semsearch.models.embedders.local_process.MIN_TEXTS_FOR_PROCESS", 200)
    children, asked = [], []

    class Told(ChildProcess):
        def __init__(self, module: str) -> None:
            super().__init__(module)
            children.append(self)
            while not self.has_output():
                time.sleep(0.01)

        def send(self, *parts: bytes) -> bool:
            asked.append(parts)
            return super().send(*parts)

    monkeypatch.setattr(beside_module, "ChildProcess", Told)
    texts = [f"Lamp {number} shines. " * 40 for number in range(700)]
    found = []
    for cores in (1, 2):
        monkeypatch.setattr(processes, "count_usable_cores", lambda cores=cores: cores)
        with Library(tmp_path / str(cores)) as library:
            collection = library.create("lamps")
            report = collection.ingest(text_source(f"t/{number:03}", text) for number, text in enumerate(texts))
            assert (report.added, report.failures) == (700, [])
            assert report.embedded_chunks == 700
            with collection.store.snapshot() as snapshot:
                ids = list(range(1, len(snapshot) + 1))
                chunks = [(chunk.uri, chunk.ordinal) for chunk in snapshot.load(ids)]
                found.append((chunks, snapshot.vectors(ids).tobytes()))
    assert found[0] == found[1]
    assert len(children) == 1
    assert asked
    assert not caplog.records
