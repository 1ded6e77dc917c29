"""The local model in a child process: the vectors are the same even if the process dies."""

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
from semsearch.core import child_process
from semsearch.core.child_process import ChildProcess
from semsearch.core.errors import UnavailableError
from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext
from semsearch.models import embedders
from semsearch.models.embedders import local_process
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.models.embedders.local_process import SubprocessEmbedder, open_subprocess_embedder

pytestmark = pytest.mark.slow

TEXTS = [f"The lamp in lighthouse {number} shines over 東京." for number in range(300)] + ["", "x" * 5000]
CONTEXT = RequestContext("ingest")


def embed(embedder: SubprocessEmbedder, texts: Sequence[str]) -> Vectors:
    """Return the vectors of these texts."""
    return asyncio.run(embedder.embed(texts, CONTEXT))


class ScriptProcess(ChildProcess):
    """A child process that runs the given code instead of the model."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def make_ready_embedder(model: LocalEmbedder) -> SubprocessEmbedder:
    """Return the model with a child process that is ready."""
    embedder = SubprocessEmbedder(model, min_texts=0)
    give_up_at = time.monotonic() + 30
    embed(embedder, TEXTS[:1])
    while embedder.concurrency == 1 and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert embedder.concurrency == 2
    assert embedder._child is not None
    return embedder


def test_the_child_computes_with_the_same_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors that other instructions round differently are still equal."""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    code = "import sys; from semsearch.models.embedders.local import LocalEmbedder as E;"
    code += "sys.stdout.buffer.write(E().embed_sync(['The lamp in lighthouse 7 shines over the sea. ' * 9]).tobytes())"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    with closing(make_ready_embedder(LocalEmbedder())) as embedder:
        vectors = embed(embedder, ["The lamp in lighthouse 7 shines over the sea. " * 9])
    assert vectors.tobytes() == alone


def test_vectors_are_bit_identical() -> None:
    """Vectors of this process and of the child equal those of the model; the child ends with the run."""
    model = LocalEmbedder()
    expected = model.embed_sync(TEXTS)
    with open_subprocess_embedder(model) as embedder:
        assert isinstance(embedder, SubprocessEmbedder)
        assert (embedder.name, embedder.dim, embedder.concurrency) == (model.name, model.dim, 1)
        assert np.array_equal(embed(embedder, TEXTS), expected)
        assert embedder._child is None
    with closing(make_ready_embedder(model)) as embedder:
        assert embedder._child is not None
        pid = embedder._child.process.pid
        assert np.array_equal(embed(embedder, TEXTS), expected)
        assert embed(embedder, []).shape == (0, model.dim)
    assert has_exited(pid)


def test_texts_are_embedded_here_until_the_child_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call waits for the child to become ready."""
    monkeypatch.setattr(local_process, "_start_process", lambda: ScriptProcess("import time; time.sleep(60)"))
    model = LocalEmbedder()
    with closing(SubprocessEmbedder(model, min_texts=0)) as embedder:
        for _ in range(3):
            assert np.array_equal(embed(embedder, TEXTS), model.embed_sync(TEXTS))
            assert embedder.concurrency == 1
        assert embedder._child is not None


def test_child_that_dies_before_it_is_ready_is_not_restarted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning is logged, and this process embeds all texts."""
    children = []

    def start_child() -> ChildProcess:
        children.append(ScriptProcess("raise SystemExit(3)"))
        return children[-1]

    monkeypatch.setattr(local_process, "_start_process", start_child)
    model = LocalEmbedder()
    with closing(SubprocessEmbedder(model, min_texts=0)) as embedder:
        embed(embedder, TEXTS)
        children[0].process.wait()
        for _ in range(3):
            assert np.array_equal(embed(embedder, TEXTS), model.embed_sync(TEXTS))
    assert len(children) == 1
    assert [record.getMessage()[:49] for record in caplog.records] == [
        "the process for embeddings has ended (status 3); "
    ]


def test_texts_are_embedded_here_after_the_child_dies(caplog: pytest.LogCaptureFixture) -> None:
    """No text is lost, one warning is logged, and no other child is started."""
    model = LocalEmbedder()
    embedder = make_ready_embedder(model)
    assert embedder._child is not None
    pid = embedder._child.process.pid
    embedder._child.process.kill()
    for _ in range(2):
        assert np.array_equal(embed(embedder, TEXTS), model.embed_sync(TEXTS))
        assert embedder.concurrency == 1
    assert [record.getMessage()[:50] for record in caplog.records] == [
        "the process for embeddings has ended (status -9); "
    ]
    assert has_exited(pid)


def test_texts_are_embedded_here_if_no_child_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without memory for a process, for example; one warning is logged."""

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    model = LocalEmbedder()
    embedder = SubprocessEmbedder(model, min_texts=0)
    monkeypatch.setattr("subprocess.Popen", fails)
    for _ in range(2):
        assert np.array_equal(embed(embedder, TEXTS), model.embed_sync(TEXTS))
    assert ["Cannot allocate memory" in record.getMessage() for record in caplog.records] == [True]


def test_close_does_not_wait_for_a_response(caplog: pytest.LogCaptureFixture) -> None:
    """The pending texts are not embedded here either, and no warning is logged."""
    embedder = make_ready_embedder(LocalEmbedder())
    with ThreadPoolExecutor(1) as thread:
        pending = thread.submit(embed, embedder, TEXTS * 2_000)
        while not embedder._lock.locked():
            pass
        embedder.close()
        with pytest.raises(UnavailableError):
            pending.result()
    assert not caplog.records


def test_no_child_is_left_after_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that starts during close is ended, and none is started after it."""
    start_process, starting, may_go = local_process._start_process, threading.Event(), threading.Event()
    children = []

    def start_child() -> ChildProcess:
        starting.set()
        assert may_go.wait(30)
        children.append(start_process())
        return children[-1]

    monkeypatch.setattr(local_process, "_start_process", start_child)
    embedder = SubprocessEmbedder(LocalEmbedder(), min_texts=0)
    with ThreadPoolExecutor(2) as threads:
        pending = threads.submit(embed, embedder, TEXTS)
        assert starting.wait(30)
        closing_call = threads.submit(embedder.close)
        may_go.set()
        pending.result()
        closing_call.result()
    assert has_exited(children[0].process.pid)
    embed(embedder, TEXTS)
    assert len(children) == 1


def test_only_the_local_model_gets_a_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets one only if the machine has a second core."""
    model, other_embedder = LocalEmbedder(), HashEmbedder()
    with embedders.open_bulk_embedder(other_embedder) as embedder:
        assert embedder is other_embedder
    monkeypatch.setattr(child_process, "count_usable_cores", lambda: 2)
    with embedders.open_bulk_embedder(model) as embedder:
        assert isinstance(embedder, SubprocessEmbedder)
    monkeypatch.setattr(child_process, "count_usable_cores", lambda: 1)
    with embedders.open_bulk_embedder(model) as embedder:
        assert embedder is model


def test_ingest_with_a_child_stores_the_same_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every document is stored in order, with the same vectors as without a child."""
    monkeypatch.setattr("semsearch.models.embedders.local_process.MIN_TEXTS_FOR_PROCESS", 200)
    children, sent_frames = [], []

    class RecordingProcess(ChildProcess):
        def __init__(self, module: str) -> None:
            super().__init__(module)
            children.append(self)
            while not self.has_output():
                time.sleep(0.01)

        def send(self, *parts: bytes) -> bool:
            sent_frames.append(parts)
            return super().send(*parts)

    monkeypatch.setattr(local_process, "ChildProcess", RecordingProcess)
    texts = [f"Lamp {number} shines. " * 40 for number in range(700)]
    stored = []
    for cores in (1, 2):
        monkeypatch.setattr(child_process, "count_usable_cores", lambda cores=cores: cores)
        with Library(tmp_path / str(cores)) as library:
            collection = library.create("lamps")
            report = collection.ingest(text_source(f"t/{number:03}", text) for number, text in enumerate(texts))
            assert (report.added, report.failures) == (700, [])
            assert report.embedded_chunks == 700
            with collection.backends.store.snapshot() as snapshot:
                ids = list(range(1, len(snapshot) + 1))
                chunks = [(chunk.uri, chunk.ordinal) for chunk in snapshot.load(ids)]
                stored.append((chunks, snapshot.vectors(ids).tobytes()))
    assert stored[0] == stored[1]
    assert len(children) == 1
    assert sent_frames
    assert not caplog.records
