"""The support desk as its users see it: over HTTP and at the shell, with a real receiver of webhooks."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.http_service import fill_collection, run_service
from support.upstream import KEY, Upstream, run_upstream
from support.webhook_receiver import WebhookReceiver, run_receiver, write_secret

from semsearch import Library, text_source
from semsearch.core.settings import Settings
from semsearch.core.types.access import Caller
from semsearch.core.types.answer_requests import GenerationOptions
from semsearch.interfaces.cli.main import main

PROFILE = """
[profiles.desk]
policy = "strict"
on_no_answer = "escalate"
no_answer_text = { en = "A colleague will write to you.", de = "Eine Kollegin meldet sich." }
escalate_on = ["talk to a human", "mit einem Menschen sprechen"]
on_forbidden_topic = "escalate"
webhook_url = "URL"
webhook_secret_file = "webhook.secret"
[[profiles.desk.forbidden_topics]]
description = "legal advice"
examples = ["Can I sue the company?", "Do I need a lawyer?"]
"""
UNANSWERED = "Who painted the Mona Lisa?"


def write_config(folder: Path, url: str, more: str = "") -> Path:
    """Write the settings of the desk and its secret, and return the path."""
    write_secret(folder)
    path = folder / "desk.toml"
    path.write_text(more + PROFILE.replace("URL", url))
    return path


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """A receiver on the loopback."""
    with run_receiver() as receiver:
        yield receiver


@contextmanager
def run_desk(folder: Path, url: str) -> Iterator[httpx.Client]:
    """Yield a client of a service with the profile `desk` and the collection `hb`."""
    settings = Settings.load(
        {}, folder=folder, config=write_config(folder, url, 'public_url = "http://desk.example"\n')
    )
    with run_service(folder / "indexes", settings) as client:
        if client.get("/v1/collections/hb").status_code == 404:
            fill_collection(client, "hb")
        yield client


def ask(client: httpx.Client, question: str, **fields: Any) -> dict[str, Any]:
    """Return the answer of the profile `desk`."""
    response = client.post("/v1/collections/hb/ask", json={"question": question, "profile": "desk", **fields})
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.mark.slow
def test_unanswered_question_reaches_the_desk_with_its_conversation(receiver: WebhookReceiver, tmp_path: Path) -> None:
    """The payload is what docs/support.md shows; an answered question sends nothing."""
    with run_desk(tmp_path, receiver.url) as client:
        session = client.post("/v1/sessions", json={"collection": "hb", "profile": "desk"}).json()["id"]
        first = ask(client, "How many weeks of leave do parents take?", session_id=session)
        assert (first["answered"], first["escalated"]) == (True, False)
        answer = ask(client, UNANSWERED, session_id=session)
        assert (answer["answered"], answer["escalated"], answer["warnings"]) == (False, True, [])
        (message,) = receiver.wait(1)
    assert message.body.keys() == {"type", "timestamp", "data"}
    assert message.body["type"] == "answer.escalated"
    data = message.body["data"]
    (turn,) = data.pop("transcript")
    passages = data.pop("passages")
    assert data == {
        "answer_id": answer["id"],
        "session_id": session,
        "collection": "hb",
        "profile": "desk",
        "owner": "local",
        "question": UNANSWERED,
        "reason": answer["reason"],
        "answer": "A colleague will write to you.",
        "transcript_complete": True,
    }
    assert (turn["question"], turn["answer_id"]) == ("How many weeks of leave do parents take?", first["id"])
    assert "26 weeks" in turn["answer"]
    assert "[1]" not in turn["answer"]
    shown = answer["passages"]
    assert [(passage["uri"], passage["text"]) for passage in passages] == [
        (each["uri"], each["text"]) for each in shown
    ]
    assert passages[0]["url"].startswith("http://desk.example/view/hb/")
    assert passages[0].keys() == {"uri", "title", "heading", "page", "start", "end", "text", "url"}
    assert receiver.errors == []


@pytest.mark.slow
def test_receiver_does_not_delay_the_answer_and_a_restart_delivers(receiver: WebhookReceiver, tmp_path: Path) -> None:
    """The answer comes while the receiver has not answered; a message that waits is sent by the next service."""
    receiver.gate.clear()
    with run_desk(tmp_path, receiver.url) as client:
        answer = ask(client, UNANSWERED)
        assert (answer["escalated"], receiver.received) == (True, [])
        receiver.gate.set()
        receiver.wait(1)
    with run_desk(tmp_path, "http://127.0.0.1:9/") as client:
        second = ask(client, UNANSWERED)
    with run_desk(tmp_path, receiver.url):
        messages = receiver.wait(2)
    assert {message.body["data"]["answer_id"] for message in messages} == {answer["id"], second["id"]}


def test_message_shows_only_what_its_caller_may_see(tmp_path: Path) -> None:
    """Passages of documents behind the filter are not in it, nor is the conversation of another owner."""
    settings = Settings.load({}, folder=tmp_path, config=write_config(tmp_path, "http://127.0.0.1:9/"))
    options = GenerationOptions(profile="desk")
    with Library(tmp_path / "indexes", settings=settings) as library:
        library.create("hb").upsert(
            [
                text_source("open.txt", "The canteen is open from noon.", metadata={"team": "all"}),
                text_source("secret.txt", "The Mona Lisa hangs in the cellar.", metadata={"team": "board"}),
            ]
        )
        callers = {team: Caller(owner=team, filter={"team": team}) for team in ("all", "board")}
        for caller in callers.values():
            library.open("hb", caller=caller).ask("Who painted the Mona Lisa in 1503?", options=options)
        bodies = {message.owner: message.body.decode() for message in library.ledger.claim_messages(8, 30.0)}
    assert "secret.txt" in bodies["board"]
    assert "secret" not in bodies["all"]
    assert "cellar" not in bodies["all"]
    assert "board" not in bodies["all"]


@pytest.mark.parametrize(
    ("question", "reason", "text"),
    [
        ("Could I please talk to a human now?", "person_requested", "I am passing you on to a person."),
        ("Kann ich mit einem Menschen sprechen?", "person_requested", "I am passing you on to a person."),
        ("Hello. Can I sue your company?", "forbidden_topic", "I cannot help with this topic, so I am passing"),
        ("Do I need lawyers for this?", "forbidden_topic", "I cannot help with this topic, so I am passing"),
    ],
)
def test_refused_question_calls_no_model_and_searches_nothing(
    tmp_path: Path, question: str, reason: str, text: str
) -> None:
    """The answer is recorded and escalated."""
    with run_upstream() as upstream:
        chat = f'[chat]\nmodel = "m"\nbase_url = "{upstream.url}"\napi_key = "{KEY}"\n'
        settings = Settings.load({}, folder=tmp_path, config=write_config(tmp_path, "http://127.0.0.1:9/", chat))
        with Library(tmp_path / "indexes", settings=settings) as library:
            handbook = library.create("hb")
            handbook.upsert([text_source("law.txt", "Lawyers may sue a company. A human can talk.")])
            answer = handbook.ask(question, options=GenerationOptions(profile="desk"))
            assert (answer.answered, answer.reason, answer.escalated) == (False, reason, True)
            assert answer.text.startswith(text)
            assert (upstream.calls, answer.hits, answer.passages) == ([], (), ())
            assert library.get_answer(answer.id)[0].answer.reason == reason
            (message,) = library.ledger.claim_messages(8, 30.0)
    assert json.loads(message.body)["data"]["reason"] == reason


def test_text_without_an_answer_is_in_the_language_of_the_question(tmp_path: Path) -> None:
    """A language without a text of its own gets the first one."""
    settings = Settings.load({}, folder=tmp_path, config=write_config(tmp_path, "http://127.0.0.1:9/"))
    with Library(tmp_path / "indexes", settings=settings) as library:
        handbook = library.create("hb")
        handbook.upsert([text_source("leave", "Parental leave is 26 weeks at full pay.")])
        texts = {
            question: handbook.ask(question, options=GenerationOptions(profile="desk")).text
            for question in ("Wer malte die Mona Lisa?", UNANSWERED, "Qui a peint la Joconde ?")
        }
    assert list(texts.values()) == ["Eine Kollegin meldet sich.", *["A colleague will write to you."] * 2]


def test_condensed_question_is_checked_for_forbidden_topics(tmp_path: Path) -> None:
    """A follow-up does not name the topic; the question that the model makes of it does, and is not answered."""
    with run_upstream(Upstream()) as upstream:
        upstream.answer = lambda messages: "Can I sue the company for the lost parcel?"
        chat = f'[chat]\nmodel = "m"\nbase_url = "{upstream.url}"\napi_key = "{KEY}"\n'
        settings = Settings.load({}, folder=tmp_path, config=write_config(tmp_path, "http://127.0.0.1:9/", chat))
        with Library(tmp_path / "indexes", settings=settings) as library:
            handbook = library.create("hb")
            handbook.upsert([text_source("parcels.txt", "A lost parcel is replaced. The company pays for it.")])
            session = handbook.create_session("desk").id
            handbook.ask("Who pays for a lost parcel?", session=session)
            before = len(upstream.calls)
            answer = handbook.ask("And what about taking them to one?", session=session)
            assert (answer.reason, len(upstream.calls) - before) == ("forbidden_topic", 1)


def run_shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """Run a verb that succeeds, and return what it printed on stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["semsearch", *arguments])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 0
    out, err = capsys.readouterr()
    return out, err


@pytest.mark.slow
def test_shell_tries_the_delivery_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a receiver that is down it says so, and the message waits for a service."""
    monkeypatch.chdir(tmp_path)
    with Library(tmp_path / "indexes") as library:
        library.create("default").upsert([text_source("leave", "Parental leave is 26 weeks at full pay.")])
    with run_receiver() as receiver:
        config = str(write_config(tmp_path, receiver.url))
        out, err = run_shell(monkeypatch, capsys, "ask", UNANSWERED, "--profile", "desk", "--config", config)
        assert "A colleague will write to you." in out
        assert (len(receiver.received), err) == (1, "")
    out, err = run_shell(monkeypatch, capsys, "ask", UNANSWERED, "--profile", "desk", "--config", config, "--json")
    assert json.loads(out)["escalated"]
    assert "the escalation was not delivered: the connection failed: ConnectError; semsearch serve tries it" in err
    with Library(tmp_path / "indexes") as library:
        assert library.ledger.claim_messages(8, 30.0) == []  # not before the first retry is due


def test_answer_of_a_full_queue_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is complete and recorded; its warning says that nobody was told."""
    from semsearch.storage.ledger.local import outbox

    monkeypatch.setattr(outbox, "MAX_PENDING", 0)
    settings = Settings.load({}, folder=tmp_path, config=write_config(tmp_path, "http://127.0.0.1:9/"))
    with Library(tmp_path / "indexes", settings=settings) as library:
        handbook = library.create("hb")
        answer = handbook.ask("Can I sue you?", options=GenerationOptions(profile="desk"))
        assert answer.escalated
        assert answer.warnings[-1].startswith("nobody was told of this escalation")


def test_no_secret_is_in_the_database(tmp_path: Path) -> None:
    """Neither the address, which may contain a token, nor the secret that signs is stored."""
    settings = Settings.load({}, folder=tmp_path, config=write_config(tmp_path, "http://127.0.0.1:9/token-7f3a"))
    with Library(tmp_path / "indexes", settings=settings) as library:
        library.create("hb").ask("Can I sue you?", options=GenerationOptions(profile="desk"))
    stored = b"".join(path.read_bytes() for path in (tmp_path / "indexes").glob("ledger.db*"))
    assert b"answer.escalated" in stored
    assert b"token-7f3a" not in stored
    assert (tmp_path / "webhook.secret").read_bytes().strip() not in stored
    assert "token-7f3a" not in repr(settings)
