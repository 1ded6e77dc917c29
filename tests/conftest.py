"""A clean world for every test: no settings from outside, no shared state."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

REQUIRE_ALL = os.environ.get("REQUIRE_ALL") == "1"
"""Where a change is judged: nothing is skipped, and the same examples are tried each time."""

settings.register_profile("tried", deadline=None)  # how long an example takes depends on what else the machine does
settings.register_profile("judged", deadline=None, derandomize=True)
settings.register_profile("fast", deadline=None, max_examples=20)  # for scripts/test --fast
settings.load_profile("judged" if REQUIRE_ALL else "tried")

REPO = Path(__file__).parent.parent

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell makes what it starts with `&` deaf to it
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # Under `nohup` children would inherit SIG_IGN. In them a handler becomes the default; here it protects the tests.
    signal.signal(signal.SIGHUP, lambda signum, frame: None)


@pytest.fixture(scope="session", autouse=True)
def clean_environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings and trusted files of the person who runs the tests never reach them, nor do proxies and certificates.

    For the whole session: what a module makes for all of its tests is made before anything of a single test.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("SEMSEARCH_", "OPENAI_", "SSL_CERT_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried at once."""
    monkeypatch.setattr("semsearch.models.openai.client.compute_backoff", lambda attempt, dice: 0.001)
    monkeypatch.setattr("semsearch.models.openai.errors.compute_backoff", lambda attempt, dice: 0.001)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The judged collections beside the project; absent is a skip, and a failure where everything is required."""
    folder = Path(os.environ.get("SHARED_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        reason = f"no shared data at {folder}"
        if REQUIRE_ALL:
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
