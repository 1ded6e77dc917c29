"""Errors about a model that the server does not have."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from support.upstream import (
    CUT,
    HANG,
    KEY,
    ReceivedCall,
    ScriptedReply,
    Upstream,
    chat_once,
    error_reply,
    run_upstream,
    run_with_client,
)

from semsearch.core.errors import UpstreamError as UpstreamError
from semsearch.core.types.usage import RequestContext
from semsearch.models.openai import model_list
from semsearch.models.openai.client import OpenAIClient
from semsearch.models.openai.responses import MAX_MODELS_READ, parse_model_names

MISSING_MODEL_REPLY = error_reply(404, "The model `o1` does not exist.", "model_not_found")
Rule = Callable[[ReceivedCall], ScriptedReply | None]


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    """Run one server for all tests of this file."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    """Return the server in its initial state."""
    server.reset()
    return server


def make_models_reply(*names: object) -> ScriptedReply:
    """Return a list of models with these names."""
    rows = [{"id": name, "object": "model", "created": 1, "owned_by": "x"} for name in names]
    return ScriptedReply([json.dumps({"object": "list", "data": rows}).encode()])


def reply_to_all_but_models(other_reply: ScriptedReply, models_reply: ScriptedReply) -> Rule:
    """Reply to GET /models with `models_reply`, and to everything else with `other_reply`."""
    return lambda call: models_reply if call.path == "/v1/models" else other_reply


def make_chat_action(model: str) -> Callable[[OpenAIClient], Awaitable[Any]]:
    """Return an action that calls this chat model."""
    return lambda client: chat_once(client, model=model)


def get_error(upstream: Upstream, action: Callable[[OpenAIClient], Awaitable[Any]]) -> str:
    """Return the message of the UpstreamError that the action raises."""
    with pytest.raises(UpstreamError) as raised:
        run_with_client(upstream, action)
    return str(raised.value)


def count_lookups(upstream: Upstream) -> int:
    """Return the number of GET /models requests."""
    return sum(call.path == "/v1/models" for call in upstream.calls)


def test_missing_chat_model_names_shutdown_and_other_models(upstream: Upstream) -> None:
    """The message has the server's message, the shutdown, the server's models, and the setting to change."""
    upstream.reply_rule = reply_to_all_but_models(MISSING_MODEL_REPLY, make_models_reply("gpt-6-luna", "gpt-6-sol"))
    assert get_error(upstream, make_chat_action("o1")) == (
        f"{upstream.url}/chat/completions answered 404 because it has no model 'o1': The model `o1` does not exist"
        "; OpenAI's o1 was shut down on 2026-10-23 (developers.openai.com/api/docs/deprecations, as of 2026-11-29)"
        "; GET /models there lists gpt-6-sol, gpt-6-luna"
        "; choose another chat model with SEMSEARCH_CHAT__MODEL or in the request"
    )
    assert [call.headers["authorization"] for call in upstream.calls] == [f"Bearer {KEY}"] * 2


def test_missing_chat_model_names_its_replacement(upstream: Upstream) -> None:
    """The table of shutdowns has a replacement for some models."""
    upstream.reply_rule = reply_to_all_but_models(MISSING_MODEL_REPLY, make_models_reply())
    message = get_error(upstream, make_chat_action("gpt-4o-mini"))
    assert "shut down on 2027-01-14, and its replacement is gpt-6-luna" in message
    assert "GET /models" not in message


def test_missing_embedding_model_names_other_models(upstream: Upstream) -> None:
    """A collection keeps its embedder, so the remedy is another collection."""
    upstream.reply_rule = reply_to_all_but_models(
        error_reply(404, "model 'm' not found"), make_models_reply("nomic-embed-text")
    )
    message = get_error(upstream, lambda client: client.create_embeddings("m", ["a"], RequestContext("query")))
    assert message.endswith("; GET /models there lists nomic-embed-text; create a collection with another embedder")


MISSING_MODEL_REPLIES = {
    "OpenAI": error_reply(404, "The model `m` does not exist or you do not have access to it.", "model_not_found"),
    "Ollama": ScriptedReply([b'{"error": "model \\"m\\" not found, try pulling it first"}'], 404),
    "vLLM": ScriptedReply([b'{"object": "error", "message": "The model `m` does not exist.", "code": 404}'], 404),
    "Azure": error_reply(404, "The API deployment for this resource does not exist.", "DeploymentNotFound"),
    "Groq": error_reply(
        400, "The model `m` has been decommissioned and is no longer supported.", "model_decommissioned"
    ),
    "Mistral": ScriptedReply([b'{"object": "error", "message": "Invalid model: m", "type": "invalid_model"}'], 400),
    "LiteLLM": ScriptedReply([b'{"error": {"message": "Invalid model name passed in model=m", "code": "400"}}'], 400),
    "DeepSeek": error_reply(400, "Model Not Exist"),
    "OpenRouter": ScriptedReply([b'{"error": {"message": "m is not a valid model ID", "code": 400}}'], 400),
    "OpenRouter without a host": error_reply(404, "No endpoints found for m ."),
}


@pytest.mark.parametrize("server_name", MISSING_MODEL_REPLIES)
def test_missing_model_is_recognized_for_many_servers(upstream: Upstream, server_name: str) -> None:
    """Compatible servers use other codes, other statuses, or only a message."""
    upstream.reply_rule = reply_to_all_but_models(MISSING_MODEL_REPLIES[server_name], make_models_reply("other"))
    assert "GET /models there lists other;" in get_error(upstream, make_chat_action("m"))


OTHER_ERRORS = {
    "no such address": error_reply(404, "Not Found"),
    "an empty 404": ScriptedReply([], 404),
    "a long prompt": error_reply(400, "This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
    "a wrong value": error_reply(400, "'temperature' does not support 7 with this model.", "unsupported_value", "stop"),
    "a wrong key": error_reply(401, "The model `m` does not exist", "model_not_found"),
    "no quota": error_reply(429, "The model `m` does not exist", "insufficient_quota"),
}


@pytest.mark.parametrize("reason", OTHER_ERRORS)
def test_other_errors_cause_no_lookup(upstream: Upstream, reason: str) -> None:
    """There is one request, and the error is unchanged."""
    upstream.reply_rule = reply_to_all_but_models(OTHER_ERRORS[reason], make_models_reply("other"))
    assert "other" not in get_error(upstream, make_chat_action("m"))
    assert count_lookups(upstream) == 0


def test_message_says_if_the_missing_model_is_listed(upstream: Upstream) -> None:
    """For example, the key has no access to it."""
    upstream.reply_rule = reply_to_all_but_models(MISSING_MODEL_REPLY, make_models_reply("m", "other"))
    assert "GET /models lists it, but" in get_error(upstream, make_chat_action("m"))


FAILED_LOOKUPS = {
    "500": error_reply(500, "broken"),
    "429": error_reply(429, "slow down"),
    "401": error_reply(401, f"no {KEY}"),
    "404": error_reply(404, "no model here", "model_not_found"),
    "a redirect": ScriptedReply([], 307, {"location": "http://127.0.0.1:9/"}),
    "a page": ScriptedReply([b"<html>"]),
    "a list": ScriptedReply([b"[1]"]),
    "cut off": ScriptedReply([b'{"data": [', CUT]),
    "no data": ScriptedReply([b'{"data": null}']),
    "other data": ScriptedReply([b'{"data": [null, 1, {"id": 1}, {"id": null}, {}, []]}']),
    "too long": ScriptedReply([b" " * (1 << 20), b" " * (1 << 20)]),
    "never ending": ScriptedReply([b"{", HANG]),
}


@pytest.mark.parametrize("kind", FAILED_LOOKUPS)
def test_failed_lookup_keeps_the_error(upstream: Upstream, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lookup is sent once, has its own timeout, and does not hide the error."""
    monkeypatch.setattr(model_list, "LOOKUP_SECONDS", 0.2)
    upstream.reply_rule = reply_to_all_but_models(MISSING_MODEL_REPLY, FAILED_LOOKUPS[kind])
    start = time.monotonic()
    message = get_error(upstream, make_chat_action("o1"))
    assert time.monotonic() - start < 3
    assert "answered 404 because it has no model 'o1'" in message
    assert "was shut down on 2026-10-23" in message
    assert "lists" not in message
    assert KEY not in message
    assert count_lookups(upstream) == 1


def test_many_errors_cause_one_lookup(upstream: Upstream) -> None:
    """This holds for concurrent and successive calls, and for a failed lookup."""

    async def chat_many_times(client: OpenAIClient) -> list[BaseException | object]:
        concurrent_results = await asyncio.gather(*(chat_once(client) for _ in range(5)), return_exceptions=True)
        return [*concurrent_results, *await asyncio.gather(chat_once(client), return_exceptions=True)]

    for models_reply, has_models in ((make_models_reply("other"), True), (error_reply(500, "broken"), False)):
        upstream.reset()
        upstream.reply_rule = reply_to_all_but_models(MISSING_MODEL_REPLY, models_reply)
        results = run_with_client(upstream, chat_many_times)
        assert [isinstance(result, UpstreamError) and "lists other" in str(result) for result in results] == [
            has_models
        ] * 6
        assert count_lookups(upstream) == 1


def test_most_similar_names_are_shown_and_the_others_counted(upstream: Upstream) -> None:
    """A server may have hundreds of models."""
    upstream.reply_rule = reply_to_all_but_models(
        MISSING_MODEL_REPLY, make_models_reply(*(f"model-{number}" for number in range(100)), "gpt-6-luna")
    )
    message = get_error(upstream, make_chat_action("gpt-5-luna"))
    assert "lists gpt-6-luna, model-" in message
    assert f" and {101 - model_list.MAX_NAMES_SHOWN} more;" in message


def test_invalid_model_names_are_left_out() -> None:
    """This includes control characters, markup, keys, long names, duplicates and long lists."""
    invalid_names = [
        "\x1b[31mred",
        "<b>",
        "a b",
        "",
        "x" * 81,
        "sk-abc",
        f"my{KEY}",
        "müller",
        None,
        7,
        ["a"],
        {"id": "a"},
    ]
    rows = [{"id": name} for name in [*invalid_names, "a/b:c@1.0", "a/b:c@1.0"]]
    assert parse_model_names({"data": rows}, KEY) == ["a/b:c@1.0"]
    assert len(parse_model_names({"data": [{"id": f"m{number}"} for number in range(9_999)]}, None)) == MAX_MODELS_READ
    assert parse_model_names({}, None) == parse_model_names({"data": {"id": "a"}}, None) == []
