"""Isolation of the tests: no settings of the developer, no shared state, no long waits."""

import gc
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from semsearch.ingest.readers.worker_pool import ReaderPool

REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"
"""For the judgement of a change: no test is skipped, and hypothesis tries the same examples each time."""

# No deadline: the time of an example depends on the load of the machine. 50 examples instead of hypothesis' 100:
# another 50 of each of the 80 properties without a number of their own would take ten CPU seconds.
settings.register_profile("random", deadline=None, max_examples=50)
settings.register_profile("fast", deadline=None, max_examples=5)  # for scripts/test --fast
settings.register_profile("reproducible", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("reproducible" if REQUIRE_ALL else "random")

REPO = Path(__file__).parent.parent

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with SIGINT ignored
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # Under `nohup` child processes would inherit SIG_IGN. A handler is reset to the default in them, and keeps the
    # tests alive here.
    signal.signal(signal.SIGHUP, lambda signum, frame: None)


LONGEST_FILES = (
    "test_tour.py",
    "scripts/test_proofs.py",
    "storage/collections/index/test_generations.py",
    "promises/test_examples.py",
    "scripts/test_benchmarks.py",
    "scripts/test_service_proofs.py",
    "test_readme.py",
    "answers/test_verification.py",
    "interfaces/http/test_server.py",
    "promises/test_page.py",
    "ingest/readers/test_hostile_files.py",
    "models/embedders/test_openai.py",
    "scripts/test_http_proofs.py",
    "interfaces/http/test_stopping.py",
    "models/openai/test_faults.py",
    "scripts/test_canaries.py",
    "interfaces/cli/test_commands.py",
    "promises/test_hostile_replies.py",
    "promises/test_usage.py",
    "promises/test_page_access.py",
    "promises/test_page_learning.py",
    "scripts/test_key_proofs.py",
    "test_example_programs.py",
    "ingest/test_pipeline.py",
    "search/test_retrieval.py",
    "interfaces/cli/test_terminal.py",
    "contracts/test_store.py",
    "models/embedders/test_openai_batch.py",
    "interfaces/cli/test_config.py",
    "promises/test_cross_key.py",
)
"""The files that take longest, about in this order: over 10 s on two busy cores."""


_ALL_SLOW = re.compile(r"^pytestmark = .*pytest\.mark\.slow", re.MULTILINE)
"""In a file all of whose tests are slow."""


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist keep the order below: its own begins with the files of most tests, which end soonest."""
    config.option.loadscopereorder = False
    gc.disable()  # until the tests are collected: hardly anything is garbage before


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without slow tests leave out the files that have no other ones: importing them takes long."""
    if config.getoption("markexpr") != "not slow" or collection_path.suffix != ".py":
        return None
    return bool(_ALL_SLOW.search(collection_path.read_text(encoding="utf-8"))) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest files, so that at the end no process waits long for another."""
    ranks = {f"tests/{name}": rank for rank, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(ranks)))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over the collected tests and modules: it would walk them again and again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def clean_environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove the settings, proxies, certificates and trusted files of the developer from the environment.

    The fixture has the scope of the session, because fixtures of a module run before those of a test.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("SEMSEARCH_", "OPENAI_", "SSL_CERT_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture(autouse=True)
def no_settings_are_left() -> Iterator[None]:
    """Fail a test that leaves settings or trusted files, which the tests after it would read."""
    yield
    folders = [os.path.join(os.environ[name], "semsearch") for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")]
    left = [folder for folder in folders if os.path.exists(folder)]
    for folder in left:  # so that only this test fails
        shutil.rmtree(folder)
    assert left == []


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without waiting."""
    monkeypatch.setattr("semsearch.models.openai.client.compute_backoff", lambda attempt, rng: 0.001)
    monkeypatch.setattr("semsearch.models.openai.errors.compute_backoff", lambda attempt, rng: 0.001)


@pytest.fixture(scope="session")
def reader_pool() -> Iterator["ReaderPool"]:
    """Two reader processes for all tests that share them."""
    from semsearch.ingest.readers.worker_pool import ReaderPool

    with ReaderPool(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def shared_readers(reader_pool: "ReaderPool") -> Iterator[None]:
    """Let all ingestions of a module read with the same processes: starting two for each costs .3 CPU seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semsearch.ingest.loading.ReaderPool", lambda worker_count: nullcontext(reader_pool))
        yield


@pytest.fixture
def own_readers(shared_readers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start reader processes for each ingestion, as outside the tests."""
    from semsearch.ingest.readers.worker_pool import ReaderPool

    monkeypatch.setattr("semsearch.ingest.loading.ReaderPool", ReaderPool)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of the judged collections; skip the test if it is absent, or fail with REQUIRE_ALL=1."""
    folder = Path(os.environ.get("SHARED_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        reason = f"no shared data at {folder}"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
