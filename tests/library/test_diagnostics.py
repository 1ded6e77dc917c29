"""Diagnostics of an installation: what is broken is found by name, nothing is changed, no secret is repeated."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from support.upstream import HANG, KEY, ReceivedCall, ScriptedReply, Upstream, error_reply, run_upstream

from semsearch import KeyGrants, Library, text_source
from semsearch.core.endpoints import Endpoint, Secret
from semsearch.core.settings import OPENAI_URL, Settings, list_setting_sources
from semsearch.core.types.access import AccessKey
from semsearch.core.types.diagnostics import Finding
from semsearch.core.types.escalations import OutboxState
from semsearch.evaluation.run_history import HISTORY_FILE
from semsearch.library.diagnostics import diagnose
from semsearch.library.diagnostics.access import check_access, check_keys
from semsearch.library.diagnostics.databases import check_clock
from semsearch.library.diagnostics.disk import judge_free_space
from semsearch.library.diagnostics.escalations import check_escalations
from semsearch.library.diagnostics.servers import ModelUse, check_models, check_servers, list_uses
from semsearch.models.openai.errors import RequestFailedError
from semsearch.models.openai.server_check import ask_servers

NOW = 1_796_000_000.0  # 2026-11-30
DAY = 86_400.0


@pytest.fixture(scope="module")
def healthy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an indexed collection and an access key; tests copy it."""
    folder = tmp_path_factory.mktemp("healthy") / "indexes"
    with Library(folder, settings=Settings()) as library:
        collection = library.create("handbook")
        collection.upsert([text_source(f"{number}.txt", f"The lamp {number} is lit.") for number in range(40)])
        collection.reindex()
        library.create_key(KeyGrants("intranet", "ann"))
    return folder


@pytest.fixture
def folder(tmp_path: Path, healthy_folder: Path) -> Path:
    """A copy of the healthy data directory."""
    return shutil.copytree(healthy_folder, tmp_path / "indexes")


def check(folder: Path, settings: Settings | None = None, environ: dict[str, str] | None = None) -> list[Finding]:
    """Return what is found in a folder, without asking a server."""
    sources = list_setting_sources(environ or {}, folder=folder.parent)
    return diagnose(settings or Settings(), sources, folder, is_offline=True)


def list_bad(findings: list[Finding]) -> list[tuple[str, str]]:
    """Return severity and check of the findings that are not ok."""
    return [(finding.severity, finding.check) for finding in findings if finding.severity != "ok"]


def record_files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return mode, size and time of change of each file below a folder, and of the folder."""
    states = {str(path): path.stat() for path in (folder, *folder.rglob("*"))}
    return {name: (state.st_mode, state.st_size, state.st_mtime_ns) for name, state in states.items()}


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Write bytes into a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def replace_by_pipe(path: Path) -> None:
    """Put a named pipe in the place of a file."""
    path.unlink()
    os.mkfifo(path)


def change_row(path: Path, sql: str) -> None:
    """Run one statement on a database."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(sql)
        db.commit()


def test_healthy_installation_is_ok_and_unchanged(folder: Path) -> None:
    """Neither a file nor a mode or a time of change differs afterwards."""
    before = record_files(folder)
    findings = check(folder)
    assert list_bad(findings) == []
    assert "documents: 40, chunks: 40, not indexed: 0, embedder: local" in {finding.what for finding in findings}
    assert record_files(folder) == before


def test_missing_data_directory_is_not_made(tmp_path: Path) -> None:
    """Its parents neither."""
    assert list_bad(check(tmp_path / "a" / "b")) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_collection_that_is_written_is_read_without_change(folder: Path) -> None:
    """The last commit is only in the write-ahead log; shared memory is not made or changed."""
    with Library(folder, settings=Settings()) as library:
        library.open("handbook").upsert([text_source("new.txt", "Oil is in the shed.")])
        assert (folder / "handbook" / "catalog.db-wal").stat().st_size
        before, shared = record_files(folder), (folder / "handbook" / "catalog.db-shm").read_bytes()
        findings = check(folder)
        assert list_bad(findings) == []
        assert any("documents: 41" in finding.what for finding in findings)
        assert record_files(folder) == before
        assert (folder / "handbook" / "catalog.db-shm").read_bytes() == shared


BREAKS: dict[str, tuple[Callable[[Path], object], tuple[str, str], str]] = {
    "index file damaged": (
        lambda folder: overwrite(next(folder.glob("handbook/index.*/floats")), 5_000, b"xx"),
        ("problem", "collection handbook"), "floats is damaged",
    ),
    "index file lost": (
        lambda folder: next(folder.glob("handbook/index.*/words.hashes")).unlink(),
        ("problem", "collection handbook"), "words.hashes cannot be read",
    ),
    "catalogue damaged": (
        lambda folder: overwrite(folder / "handbook" / "catalog.db", 4096 * 20, b"\0" * 4096 * 20),
        ("problem", "collection handbook"), "catalog.db",
    ),
    "catalogue empty": (
        lambda folder: os.truncate(folder / "handbook" / "catalog.db", 0),
        ("problem", "collection handbook"), "catalog.db is empty",
    ),
    "commits lost": (
        lambda folder: change_row(folder / "handbook" / "catalog.db", "UPDATE meta SET seq = 1"),
        ("problem", "collection handbook"), "the catalogue of handbook is at commit 1",
    ),
    "newer format": (
        lambda folder: change_row(folder / "handbook" / "catalog.db", "PRAGMA user_version = 99"),
        ("problem", "collection handbook"), "has format 99",
    ),
    "older analyser": (
        lambda folder: change_row(folder / "handbook" / "catalog.db", "UPDATE meta SET analysis = '0'"),
        ("problem", "collection handbook"), "another version of semsearch",
    ),
    "embedder lost": (
        lambda folder: change_row(folder / "handbook" / "catalog.db", "UPDATE space SET spec = 'static:/no/model'"),
        ("problem", "collection handbook"), "the folder /no/model does not exist",
    ),
    "plugin lost": (
        lambda folder: change_row(folder / "handbook" / "catalog.db", "UPDATE space SET spec = 'acme:x'"),
        ("problem", "collection handbook"), "no installed plugin has the embedder 'acme:x'",
    ),
    "journal of another program": (
        lambda folder: (folder / "handbook" / "catalog.db-journal").write_text("x"),
        ("problem", "collection handbook"), "catalog.db-journal is not from semsearch",
    ),
    "ledger damaged": (
        lambda folder: overwrite(folder / "ledger.db", 0, b"x"), ("problem", "ledger"), "file is not a database",
    ),
    "key row damaged": (
        lambda folder: change_row(folder / "ledger.db", "UPDATE access_key SET grants = '{'"),
        ("problem", "ledger"), "a row of the ledger has changed",
    ),
    "clock behind the ledger": (
        lambda folder: change_row(folder / "ledger.db", f"UPDATE access_key SET created = {time.time() + 5 * DAY}"),
        ("problem", "clock"), "the clock is 5 days behind the newest entry of the ledger",
    ),
    "readable ledger": (
        lambda folder: (folder / "ledger.db").chmod(0o644), ("problem", "stored files"), "ledger.db",
    ),
    "readable history of evaluations": (
        lambda folder: (folder / HISTORY_FILE).touch(0o644), ("problem", "stored files"), HISTORY_FILE,
    ),
    "readable collection": (
        lambda folder: (folder / "handbook").chmod(0o750), ("problem", "stored files"), "handbook",
    ),
    "readable data directory": (
        lambda folder: folder.chmod(0o755), ("warning", "data directory"), "other users of this machine may enter",
    ),
    "foreign files": (
        lambda folder: [(folder / name).write_text("x") for name in ("notes.txt", "handbook/copy.db")],
        ("warning", "other files"), "notes.txt, handbook/copy.db",
    ),
}  # fmt: skip
"""What breaks a data directory, and the severity, the check and a part of the finding."""


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_found_with_a_remedy(folder: Path, name: str) -> None:
    """It is the only finding that is not ok, and nothing is changed."""
    break_something, expected, text = BREAKS[name]
    break_something(folder)
    before = record_files(folder)
    findings = [finding for finding in check(folder) if finding.severity != "ok"]
    assert [(finding.severity, finding.check) for finding in findings] == [expected]
    assert text in findings[0].what
    assert findings[0].why
    assert findings[0].remedy
    assert record_files(folder) == before


def test_log_without_shared_memory_is_a_warning(folder: Path, tmp_path: Path) -> None:
    """Reading it would make the file; the remedy is a verb that may."""
    with Library(folder, settings=Settings()) as library:
        library.open("handbook").upsert([text_source("new.txt", "Oil is in the shed.")])
        copy = tmp_path / "copy"
        subprocess.run(["cp", "-a", folder, copy], check=True)
    (copy / "handbook" / "catalog.db-shm").unlink()
    (finding,) = [each for each in check(copy) if each.severity != "ok"]
    assert "was not closed properly" in finding.what
    assert not (copy / "handbook" / "catalog.db-shm").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "text"), [(0o500, "may not write in indexes"), (0o000, "may not read indexes")])
def test_folder_that_the_user_may_not_use_is_a_problem(folder: Path, mode: int, text: str) -> None:
    """A child process checks it as another user than root, who may read and write everything."""
    folder.chmod(mode)
    code = (
        "import os\nfrom pathlib import Path\nfrom semsearch.library.diagnostics.permissions import check_data_dir\n"
        "if os.geteuid() == 0:\n    os.chmod('.', 0o711)\n    os.chown('indexes', 65534, 65534)\n    os.setgroups([])\n"
        "    os.setresgid(65534, 65534, 65534)\n    os.setresuid(65534, 65534, 65534)\n"
        "print([(each.severity, each.what) for each in check_data_dir(Path('indexes'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=folder.parent, capture_output=True, text=True, check=True)
    folder.chmod(0o700)
    assert run.stdout.startswith(f"[('problem', 'this user {text}')")


@pytest.mark.parametrize(
    ("prepare", "severity", "text"),
    [
        (lambda path: path.chmod(0o600), "ok", "only its owner may read"),
        (lambda path: path.chmod(0o640), "problem", "other users of this machine may read"),
        (lambda path: path.unlink(), "problem", "cannot be found"),
        (replace_by_pipe, "problem", "is no regular file"),
    ],
)
def test_key_file_is_readable_by_its_owner_only(
    tmp_path: Path, prepare: Callable[[Path], object], severity: str, text: str
) -> None:
    """A pipe is not read: that would never end."""
    path = tmp_path / "key"
    path.write_text(KEY)
    prepare(path)
    settings = Settings(chat=Endpoint("http://127.0.0.1:9/v1", Secret(file=path)), chat_model="m")
    (finding,) = [each for each in check(tmp_path / "indexes", settings) if each.check == "key file"]
    assert (finding.severity, text in finding.what) == (severity, True)
    assert KEY not in repr(finding)


def test_configuration_file_with_a_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """A file without a key may be readable."""
    config = tmp_path / "own.toml"
    config.write_text(f'[chat]\napi_key = "{KEY}"\n')
    config.chmod(0o644)
    findings = check(tmp_path / "indexes", environ={"SEMSEARCH_CONFIG": str(config)})
    assert list_bad(findings) == [("problem", "configuration file with a key")]
    config.write_text('[chat]\nmodel = "m"\n')
    assert list_bad(check(tmp_path / "indexes", environ={"SEMSEARCH_CONFIG": str(config)})) == []


def make_models_reply(call: ReceivedCall) -> ScriptedReply:
    """List two models for the right key; repeat a wrong key, as some servers do."""
    if call.headers.get("authorization") != f"Bearer {KEY}":
        return error_reply(401, f"Incorrect API key: {call.headers.get('authorization')}")
    models = [{"id": "gpt-6-luna"}, {"id": "old", "shutdown_date": "2026-01-01"}]
    return ScriptedReply([json.dumps({"object": "list", "data": models}).encode()])


@pytest.mark.parametrize(
    ("reply", "key", "expected"),
    [
        (None, KEY, ("ok", "answers, and lists 2 models")),
        (None, "sk-wrong-canary", ("problem", "rejects the key (401)")),
        (None, None, ("problem", "requires a key (401)")),
        (None, "sk-\u00e9-canary", ("problem", "its key has a line break or a character that no key has")),
        (error_reply(404, "not here"), KEY, ("warning", "has no list of models")),
        (error_reply(500, "sk-wrong-canary"), KEY, ("warning", "answers 500 to GET /models")),
        (ScriptedReply(["<html>"]), KEY, ("problem", "does not answer as an OpenAI-compatible server")),
    ],
)
def test_server_is_asked_with_its_key(reply: ScriptedReply | None, key: str | None, expected: tuple[str, str]) -> None:
    """Nothing of the key or of what the server says is in the finding."""
    with run_upstream() as upstream:
        upstream.reply_rule = lambda call: reply or make_models_reply(call)
        endpoint = Endpoint(upstream.url, Secret(key))
        (finding,) = check_servers([ModelUse("CHAT", endpoint, "old", "CHAT__MODEL")], is_offline=False).findings
    assert (finding.severity, finding.what.startswith(expected[1])) == (expected[0], True)
    assert "canary" not in repr(finding)


def test_wrong_path_and_refused_connection_are_problems(unused_url: str) -> None:
    """The remedy names the setting of the section."""
    uses = [ModelUse("EMBEDDINGS", Endpoint(unused_url), "e", "the collection a")]
    (refused,) = check_servers(uses, is_offline=False).findings
    assert refused.what == "no connection (connection refused)"
    assert "SEMSEARCH_EMBEDDINGS__BASE_URL" in refused.remedy
    with run_upstream() as upstream:
        endpoint = Endpoint(upstream.url.removesuffix("/v1"))
        (wrong,) = check_servers([ModelUse("CHAT", endpoint, "m", "x")], is_offline=False).findings
    assert (wrong.severity, "most addresses end with /v1" in wrong.remedy) == ("problem", True)


@pytest.fixture
def unused_url() -> str:
    """An address at which no server listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


@pytest.mark.slow
def test_server_that_hangs_does_not_delay_the_others() -> None:
    """Nor does a name whose address is never found: the thread that asks for it is left behind."""
    may_return, returned = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        if host in ("slow.example", b"slow.example"):
            may_return.wait(10)
            returned.set()
        return real("127.0.0.1" if returned.is_set() else host, *args, **options)

    with run_upstream() as hanging, run_upstream() as working, pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", resolve)
        hanging.reply_rule = lambda call: ScriptedReply([HANG])
        working.reply_rule = make_models_reply
        urls = (hanging.url, "http://slow.example/v1", working.url)
        replies = list(ask_servers({Endpoint(url): KEY for url in urls}, seconds=0.5).values())
        assert not returned.is_set()
        may_return.set()
    outcomes = [reply.outcome if isinstance(reply, RequestFailedError) else type(reply).__name__ for reply in replies]
    assert outcomes == ["deadline", "deadline", "ServerReply"]


def test_offline_asks_no_server(upstream: Upstream) -> None:
    """Nor is a server asked twice that the chat model and the check model have."""
    chat = Endpoint(upstream.url, Secret(KEY))
    settings = Settings(chat=chat, chat_model="m", check=replace(chat, timeout=10.0), check_model="n")
    uses = list_uses(settings, {"a": "openai:e@64", "b": "local"})
    assert [use.model for use in uses] == ["m", "n", "e"]
    assert all("--offline" in finding.what for finding in check_servers(uses[:2], is_offline=True).findings)
    assert upstream.calls == []
    check_servers(uses[:2], is_offline=False)
    assert len(upstream.calls) == 1


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A model server that lists models."""
    with run_upstream() as upstream:
        upstream.reply_rule = make_models_reply
        yield upstream


@pytest.mark.parametrize(
    ("model", "url", "listed", "expected"),
    [
        ("gpt-4", OPENAI_URL, {}, ("problem", "was shut down on 2026-10-23")),
        ("gpt-4", "http://a/v1", {"gpt-4": None}, ("warning", "was shut down on 2026-10-23")),
        ("gpt-5", OPENAI_URL, {"gpt-5": None}, ("warning", "is shut down on 2026-12-11")),
        ("own", "http://a/v1", {"own": date(2026, 1, 1)}, ("problem", "was shut down on 2026-01-01")),
        ("lama3", "http://a/v1", {"llama3": None}, ("warning", "did you mean llama3?")),
        ("llama3", "http://a/v1", {"llama3:latest": None}, None),
        ("own", "http://a/v1", {"own": date(2028, 1, 1)}, None),
        ("anything", "http://a/v1", {}, None),
    ],
)
def test_models_that_are_shut_down_or_not_listed_are_named(
    model: str, url: str, listed: dict[str, date | None], expected: tuple[str, str] | None
) -> None:
    """A date of OpenAI is certain at OpenAI only, one of a server for that server."""
    uses = [ModelUse("CHAT", Endpoint(url), model, "SEMSEARCH_CHAT__MODEL")]
    findings = check_models(uses, {url: listed}, NOW)
    assert [(each.severity, expected is not None and expected[1] in each.what) for each in findings] == (
        [(expected[0], True)] if expected else []
    )


def make_key(name: str, days: float | None, *, is_revoked: bool = False, collection: str | None = None) -> AccessKey:
    """Return a key that expires in so many days."""
    collections = None if collection is None else frozenset({collection})
    grants = KeyGrants(name, "ann", collections=collections, expires=None if days is None else NOW + days * DAY)
    return AccessKey(name, grants, b"", NOW - DAY, revoked=NOW if is_revoked else None)


def test_keys_that_expire_are_named() -> None:
    """Up to 14 days before; a revoked key is not. It is a problem if no key is valid any more."""
    valid = [make_key("valid", None), make_key("late", 15)]
    assert list_bad(check_keys(valid, [], NOW)) == []
    soon = check_keys(
        [*valid, make_key("soon", 13), make_key("over", -1), make_key("gone", 1, is_revoked=True)], [], NOW
    )
    assert [finding.what.split(" (")[0] for finding in soon] == ["soon", "over"]
    assert {finding.severity for finding in soon} == {"warning"}
    assert ("problem", "access keys") in list_bad(check_keys([make_key("over", -1)], [], NOW))
    (missing,) = check_keys([make_key("hr", None, collection="hr")], ["handbook"], NOW)
    assert "is for hr, which does not exist" in missing.what


@pytest.mark.parametrize(
    ("settings", "has_keys", "text"),
    [
        (Settings(allowed_hosts=("*",)), True, "every host name"),
        (Settings(allowed_hosts=("search.example.org",)), False, "there is no access key"),
        (Settings(public_url="http://search.example.org"), True, "is http, not https"),
        (Settings(allowed_hosts=("search.example.org",), public_url="https://search.example.org"), True, None),
        (Settings(), False, None),
    ],
)
def test_settings_that_expose_the_service_are_named(settings: Settings, has_keys: bool, text: str | None) -> None:
    """Each is a warning: a proxy may protect the service."""
    findings = check_access(settings, has_keys=has_keys)
    assert [(each.severity, (text or "?") in each.what) for each in findings] == ([("warning", True)] if text else [])


def test_escalations_that_reach_nobody_are_named() -> None:
    """A message that waits for its first attempts is no finding."""
    assert check_escalations(OutboxState(3, 0, NOW - 3_000), NOW) == []
    given_up, waiting = check_escalations(OutboxState(3, 1, NOW - 3 * 3_600), NOW)
    assert (given_up.severity, given_up.what) == (
        "warning",
        "1 escalation given up: no attempt of a whole day was accepted",
    )
    assert (waiting.severity, waiting.what) == ("warning", "3 escalations in the queue, the oldest for 3 hours")


def test_ledger_of_an_earlier_version_has_no_escalations(folder: Path) -> None:
    """Diagnostics do not migrate it."""
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        db.execute("DROP TABLE outbox")
        db.execute("PRAGMA user_version = 6")
    assert [finding for finding in check(folder) if finding.check == "escalations"] == []


def test_clock_and_disk_are_judged_by_their_bounds() -> None:
    """Small differences between clocks are ok, as several machines may have written."""
    assert list_bad(check_clock(NOW, NOW + 50, 100.0)) == []
    assert list_bad(check_clock(NOW, NOW + 70, None)) == [("problem", "clock")]
    assert list_bad(check_clock(NOW, 0.0, -400.0)) == [("warning", "clock")]
    assert list_bad(check_clock(0.0, 0.0, None)) == [("problem", "clock")]
    severities = [judge_free_space(Path("x"), size << 20).severity for size in (99, 101, 1025)]
    assert severities == ["problem", "warning", "ok"]
    assert judge_free_space(Path("x"), 1 << 40, has_room_for_files=False).severity == "problem"
