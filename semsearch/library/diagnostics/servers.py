"""Check the model servers with one request each, and the shutdown dates of the models that the settings name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from ...core.endpoints import OPENAI_URL, Endpoint
from ...core.errors import SemsearchError, UnavailableError
from ...core.names import find_nearest_name
from ...core.setting_sources import mask_url
from ...core.settings import Settings
from ...core.types.diagnostics import Finding
from .permissions import is_regular_file

SERVER_SECONDS = 5.0
"""How long each server is waited for; all are asked at the same time."""

SOON_DAYS = 90
_WHY = {
    "CHAT": "no answer can be written",
    "CHECK": "sentences stay partly checked",
    "EMBEDDINGS": "nothing can be embedded",
}
_SKIPPED = "not asked, because of --offline"


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model of a server, and what names it."""

    section: str
    """Part of the names of its settings, such as CHAT."""
    endpoint: Endpoint
    model: str
    named_by: str


@dataclass(slots=True)
class ServerAnswers:
    """What the servers said: the models of each, by its URL, with their shutdown dates."""

    findings: list[Finding] = field(default_factory=list)
    models: dict[str, dict[str, date | None]] = field(default_factory=dict)
    seconds_behind: float | None = None


def list_uses(settings: Settings, specs: Mapping[str, str]) -> list[ModelUse]:
    """Return the models of servers that are used; `specs` are the embedders by the name of the collection."""
    uses = []
    if settings.chat_model:
        uses.append(ModelUse("CHAT", settings.chat, settings.chat_model, "SEMSEARCH_CHAT__MODEL"))
    for name, profile in settings.profiles.items():
        if profile.model:
            uses.append(ModelUse("CHAT", settings.chat, profile.model, f"the profile {name}"))
    if settings.check_model:
        uses.append(ModelUse("CHECK", settings.check, settings.check_model, "SEMSEARCH_CHECK__MODEL"))
    named = {f"the collection {name}": spec for name, spec in specs.items()}
    for named_by, spec in {**named, "SEMSEARCH_EMBEDDINGS__EMBEDDER": settings.embedder or ""}.items():
        kind, _, model = spec.partition(":")
        if kind == "openai":
            uses.append(ModelUse("EMBEDDINGS", settings.embeddings, model.partition("@")[0], named_by))
    return uses


def check_servers(uses: Sequence[ModelUse], *, is_offline: bool) -> ServerAnswers:
    """Ask each server for its models, with its key; nothing is sent with `is_offline`."""
    result = ServerAnswers()
    # the first use of a server names its settings; its timeout does not matter here
    endpoints = {replace(use.endpoint, timeout=SERVER_SECONDS): use.section for use in reversed(uses)}
    if not endpoints:
        result.findings.append(Finding("ok", "model servers", "none is used"))
    elif is_offline:
        result.findings += [Finding("ok", _name_server(endpoint), _SKIPPED) for endpoint in endpoints]
    else:
        _ask(result, endpoints)
    return result


def check_models(
    uses: Sequence[ModelUse], listed: Mapping[str, Mapping[str, date | None]], now: float
) -> list[Finding]:
    """Check that servers list the models and do not shut them down soon; `listed` is empty for servers not reached."""
    from ...models.openai.server_check import find_shutdown

    today = datetime.fromtimestamp(now, UTC).date()
    findings = []
    for use in uses:
        models = listed.get(use.endpoint.base_url, {})
        listed_name = _find_listed(use.model, models)
        listed_day = models[listed_name] if listed_name else None
        shutdown = listed_day or find_shutdown(use.model)
        if shutdown is not None and (shutdown - today).days <= SOON_DAYS:
            findings.append(_describe_shutdown(use, shutdown, today, is_listed=listed_day is not None))
        elif models and listed_name is None:
            findings.append(_describe_missing(use, models))
    return findings


def _ask(result: ServerAnswers, endpoints: Mapping[Endpoint, str]) -> None:
    from ...models.openai.server_check import ServerReply, ask_servers

    keys: dict[Endpoint, str | None] = {}
    for endpoint, section in endpoints.items():
        try:
            keys[endpoint] = _read_key(endpoint, section)
        except UnavailableError as exc:
            remedy = f"correct SEMSEARCH_{section}__API_KEY, _FILE or _ENV, whichever is set"
            result.findings.append(Finding("problem", _name_server(endpoint), str(exc), _WHY[section], remedy))
    for endpoint, reply in ask_servers(keys, seconds=SERVER_SECONDS).items():
        if not isinstance(reply, ServerReply):
            result.findings.append(
                _describe_failure(endpoint, endpoints[endpoint], reply, has_key=bool(keys[endpoint]))
            )
            continue
        result.models[endpoint.base_url] = {model.name: model.shutdown for model in reply.models}
        result.seconds_behind = reply.seconds_behind if result.seconds_behind is None else result.seconds_behind
        what = f"answers, and lists {len(reply.models):,} models"
        result.findings.append(Finding("ok", _name_server(endpoint), what))


def _read_key(endpoint: Endpoint, section: str) -> str | None:
    """Return the key; UnavailableError without any part of it if it cannot be read or sent."""
    secret, setting = endpoint.key, f"SEMSEARCH_{section}__API_KEY"
    if secret.file is not None and not is_regular_file(secret.file):
        raise UnavailableError("its key file cannot be read, so it was not asked")
    if secret.variable and not secret.value:
        raise UnavailableError(f"the variable that {setting}_ENV names is not set, so it was not asked")
    key = secret.read()
    if key is not None and not (key.isascii() and key.isprintable()):
        raise UnavailableError("its key has a line break or a character that no key has, so it was not asked")
    return key


def _describe_failure(
    endpoint: Endpoint, section: str, failure: "SemsearchError | Exception", *, has_key: bool
) -> Finding:
    """Return the finding for a failed request; it repeats nothing that the server sent."""
    from ...models.openai.connection_causes import describe_cause
    from ...models.openai.errors import RequestFailedError

    setting, check = f"SEMSEARCH_{section}__BASE_URL", _name_server(endpoint)
    if not isinstance(failure, RequestFailedError):
        return Finding("problem", check, str(failure), _WHY[section], f"correct {setting}")
    outcome = failure.outcome
    if outcome == "no connection":
        what = f"no connection{describe_cause(failure)}"
        return Finding(
            "problem", check, what, _WHY[section], f"start the server, check the network, or correct {setting}"
        )
    if outcome == "deadline":
        what = f"no answer within {SERVER_SECONDS:g} seconds"
        return Finding("problem", check, what, _WHY[section], f"check that the server works, or correct {setting}")
    if outcome in ("401", "403"):
        what = f"rejects the key ({outcome})" if has_key else f"requires a key ({outcome})"
        remedy = f"set a valid key with SEMSEARCH_{section}__API_KEY_FILE or SEMSEARCH_{section}__API_KEY"
        return Finding("problem", check, what, _WHY[section], remedy)
    if outcome in ("404", "405", "501"):
        return _describe_wrong_path(endpoint, outcome, section)
    if outcome.isdecimal() and outcome != "200":
        what, why = f"answers {outcome} to GET /models", "it may be overloaded, or out of order"
        return Finding("warning", check, what, why, "try again later, or see the log of the server")
    what = "does not answer as an OpenAI-compatible server does"
    return Finding("problem", check, what, _WHY[section], f"correct {setting}; most addresses end with /v1")


def _describe_wrong_path(endpoint: Endpoint, status: str, section: str) -> Finding:
    """Return a problem if the path is likely wrong; some servers have no list of models."""
    what, setting = (
        f"has no list of models at {mask_url(endpoint.base_url)}/models ({status})",
        f"SEMSEARCH_{section}__BASE_URL",
    )
    if endpoint.base_url.endswith("/v1"):
        remedy = f"ask a question to see whether it works; else correct {setting}"
        return Finding("warning", _name_server(endpoint), what, "key and models could not be checked", remedy)
    remedy = f"correct the path of {setting}: most addresses end with /v1"
    return Finding("problem", _name_server(endpoint), what, _WHY[section], remedy)


def _describe_shutdown(use: ModelUse, day: date, today: date, *, is_listed: bool) -> Finding:
    is_past = day <= today
    is_certain = is_listed or use.endpoint.base_url == OPENAI_URL
    if is_past:
        what, why = f"{use.model}, of {use.named_by}, was shut down on {day}", "requests to it fail"
    else:
        what, why = f"{use.model}, of {use.named_by}, is shut down on {day}", "from then on requests to it fail"
    if not is_certain:
        why += "; the date is OpenAI's, and this server may keep it longer"
    remedy = "choose another model: " + (
        "make a collection with another embedder, and ingest the documents into it"
        if use.section == "EMBEDDINGS"
        else f"correct {use.named_by}"
    )
    return Finding("problem" if is_past and is_certain else "warning", "models", what, why, remedy)


def _describe_missing(use: ModelUse, models: Mapping[str, object]) -> Finding:
    nearest = find_nearest_name(use.model, models)
    hint = f"; did you mean {nearest}?" if nearest else ""
    what = f"{mask_url(use.endpoint.base_url)} does not list {use.model}, of {use.named_by}{hint}"
    return Finding("warning", "models", what, "requests to it probably fail", f"correct {use.named_by}")


def _find_listed(model: str, models: Mapping[str, object]) -> str | None:
    """Return the name under which a server lists a model; Ollama adds `:latest`."""
    return next((name for name in (model, f"{model}:latest") if name in models), None)


def _name_server(endpoint: Endpoint) -> str:
    return f"model server {mask_url(endpoint.base_url)}"
