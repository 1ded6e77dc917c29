"""What the client says of a model that a server does not have."""

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
from semsearch.models.openai import model_list as openai_models
from semsearch.models.openai.client import OpenAIClient
from semsearch.models.openai.responses import MAX_MODELS_READ, model_names

GONE = error_reply(404, "The model `o1` does not exist.", "model_not_found")
Rule = Callable[[ReceivedCall], ScriptedReply | None]


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    """One server for all tests of this file."""
    with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(server: Upstream) -> Upstream:
    """The server as if it were new."""
    server.reset()
    return server


def models(*names: object) -> ScriptedReply:
    """A list of models of these names."""
    rows = [{"id": name, "object": "model", "created": 1, "owned_by": "x"} for name in names]
    return ScriptedReply([json.dumps({"object": "list", "data": rows}).encode()])


def refusing(refused: ScriptedReply, listed: ScriptedReply) -> Rule:
    """Answer GET /models with `listed`, and everything else with `refused`."""
    return lambda call: listed if call.path == "/v1/models" else refused


def chat(model: str) -> Callable[[OpenAIClient], Awaitable[Any]]:
    """Ask this chat model."""
    return lambda client: chat_once(client, model=model)


def error(upstream: Upstream, deed: Callable[[OpenAIClient], Awaitable[Any]]) -> str:
    """The message of the Upstream error that this ends in."""
    with pytest.raises(UpstreamError) as raised:
        run_with_client(upstream, deed)
    return str(raised.value)


def looks(upstream: Upstream) -> int:
    """How often the list of models was asked for."""
    return sum(call.path == "/v1/models" for call in upstream.calls)


def test_a_missing_chat_model_names_shutdown_and_what_is_offered(upstream: Upstream) -> None:
    """The server's own words, the dated table, the list of the server, and the setting to change."""
    upstream.reply_rule = refusing(GONE, models("gpt-6-luna", "gpt-6-sol"))
    assert error(upstream, chat("o1")) == (
        f"{upstream.url}/chat/completions answered 404 because it has no model 'o1': The model `o1` does not exist"
        "; OpenAI's o1 was shut down on 2026-10-23 (developers.openai.com/api/docs/deprecations, as of 2026-11-29)"
        "; GET /models there lists gpt-6-sol, gpt-6-luna"
        "; name another chat model with SEMSEARCH_CHAT__MODEL, or in the request"
    )
    assert [call.headers["authorization"] for call in upstream.calls] == [f"Bearer {KEY}"] * 2


def test_a_missing_chat_model_names_its_replacement(upstream: Upstream) -> None:
    """Where the table has one."""
    upstream.reply_rule = refusing(GONE, models())
    said = error(upstream, chat("gpt-4o-mini"))
    assert "shut down on 2027-01-14, and its replacement is gpt-6-luna" in said
    assert "GET /models" not in said


def test_a_missing_embedding_model_names_what_is_offered(upstream: Upstream) -> None:
    """A collection keeps its embedder, and so the way out is another collection."""
    upstream.reply_rule = refusing(error_reply(404, "model 'm' not found"), models("nomic-embed-text"))
    said = error(upstream, lambda client: client.create_embeddings("m", ["a"], RequestContext("query")))
    assert said.endswith("; GET /models there lists nomic-embed-text; make a collection with another embedder")


MISSING = {
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


@pytest.mark.parametrize("server_name", MISSING)
def test_the_ways_of_servers_to_miss_a_model_are_known(upstream: Upstream, server_name: str) -> None:
    """Compatible servers have other codes, other statuses, or only words."""
    upstream.reply_rule = refusing(MISSING[server_name], models("other"))
    assert "GET /models there lists other;" in error(upstream, chat("m"))


OTHER = {
    "no such address": error_reply(404, "Not Found"),
    "an empty 404": ScriptedReply([], 404),
    "a long prompt": error_reply(400, "This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
    "a wrong value": error_reply(400, "'temperature' does not support 7 with this model.", "unsupported_value", "stop"),
    "a wrong key": error_reply(401, "The model `m` does not exist", "model_not_found"),
    "no quota": error_reply(429, "The model `m` does not exist", "insufficient_quota"),
}


@pytest.mark.parametrize("reason", OTHER)
def test_other_refusals_ask_for_no_models(upstream: Upstream, reason: str) -> None:
    """One request, and the error as it is."""
    upstream.reply_rule = refusing(OTHER[reason], models("other"))
    assert "other" not in error(upstream, chat("m"))
    assert looks(upstream) == 0


def test_a_model_that_is_listed_all_the_same_is_said(upstream: Upstream) -> None:
    """As where the key may not use it."""
    upstream.reply_rule = refusing(GONE, models("m", "other"))
    assert "GET /models lists it all the same" in error(upstream, chat("m"))


FAILING = {
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


@pytest.mark.parametrize("kind", FAILING)
def test_a_failed_look_up_leaves_the_error_as_it_is(
    upstream: Upstream, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried once, within its own time, and takes the place of nothing."""
    monkeypatch.setattr(openai_models, "LOOKUP_SECONDS", 0.2)
    upstream.reply_rule = refusing(GONE, FAILING[kind])
    began = time.monotonic()
    said = error(upstream, chat("o1"))
    assert time.monotonic() - began < 3
    assert "answered 404 because it has no model 'o1'" in said
    assert "was shut down on 2026-10-23" in said
    assert "lists" not in said
    assert KEY not in said
    assert looks(upstream) == 1


def test_many_refusals_ask_for_the_models_once(upstream: Upstream) -> None:
    """At the same moment or after each other, whether the look-up works or not."""

    async def many(client: OpenAIClient) -> list[BaseException | object]:
        at_once = await asyncio.gather(*(chat_once(client) for _ in range(5)), return_exceptions=True)
        return [*at_once, *await asyncio.gather(chat_once(client), return_exceptions=True)]

    for listed, said in ((models("other"), True), (error_reply(500, "broken"), False)):
        upstream.reset()
        upstream.reply_rule = refusing(GONE, listed)
        found = run_with_client(upstream, many)
        assert [isinstance(each, UpstreamError) and "lists other" in str(each) for each in found] == [said] * 6
        assert looks(upstream) == 1


def test_the_nearest_names_are_shown_and_the_others_counted(upstream: Upstream) -> None:
    """A server may offer hundreds."""
    upstream.reply_rule = refusing(GONE, models(*(f"model-{number}" for number in range(100)), "gpt-6-luna"))
    said = error(upstream, chat("gpt-5-luna"))
    assert "lists gpt-6-luna, model-" in said
    assert f" and {101 - openai_models.MAX_NAMES_SHOWN} more;" in said


def test_names_that_no_model_has_are_left_out() -> None:
    """Control characters, markup, keys, endless names, names twice, lists without end."""
    odd = ["\x1b[31mred", "<b>", "a b", "", "x" * 81, "sk-abc", f"my{KEY}", "müller", None, 7, ["a"], {"id": "a"}]
    rows = [{"id": name} for name in [*odd, "a/b:c@1.0", "a/b:c@1.0"]]
    assert model_names({"data": rows}, KEY) == ["a/b:c@1.0"]
    assert len(model_names({"data": [{"id": f"m{number}"} for number in range(9_999)]}, None)) == MAX_MODELS_READ
    assert model_names({}, None) == model_names({"data": {"id": "a"}}, None) == []
