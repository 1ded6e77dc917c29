"""Named configurations to compare: read them, and apply each to a collection. Does not run questions."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast, get_args

from ..answers.prompt_files import read_prompt
from ..answers.requests import choose_answer_config, validate_answer_request
from ..collection import Collection
from ..core.errors import InvalidError, NotFoundError, UnavailableError
from ..core.types.answer_requests import AnswerRequest, GenerationOptions, SupportPolicy
from ..core.types.search import SearchMode
from ..search.query_cache import QueryVectorCache
from .runner import Variant

NO_MODEL = "none"
"""As the model: answers are extractive."""

MAX_CONFIGURATIONS = 8
MAX_NAME_CHARACTERS = 60
_ANSWER_FIELDS = ("profile", "prompt_file", "model", "k", "temperature", "policy")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What differs from the settings; None leaves a value to them."""

    name: str
    profile: str | None = None
    prompt_file: Path | None = None
    model: str | None = None
    k: int | None = None
    """Number of hits that an answer is generated from."""
    temperature: float | None = None
    policy: str | None = None
    mode: str | None = None
    diversity: float | None = None
    rerank: bool | None = None

    @property
    def answer_fields(self) -> list[str]:
        """Return the names of the fields that are set and have an effect on answers only."""
        return [name for name in _ANSWER_FIELDS if getattr(self, name) is not None]

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set; of the prompt file its name only."""
        values = {name: value for name, value in asdict(self).items() if value is not None and name != "name"}
        return {name: value.name if isinstance(value, Path) else value for name, value in values.items()}


def choose_configurations(specs: Sequence[str], file: Path | None) -> list[Configuration]:
    """Return the configurations to compare, at least two with different names; InvalidError says what is wrong.

    A spec is the name of a configuration of the file, or `default`, or pairs such as `k=5,mode=dense`, which may have a
    `name`. Without specs those of the file are compared.
    """
    named = {} if file is None else _read_file(file)
    chosen = [_find_or_parse(spec, named) for spec in specs] if specs else list(named.values())
    if not 2 <= len(chosen) <= MAX_CONFIGURATIONS:
        raise InvalidError(
            f"a comparison takes 2 to {MAX_CONFIGURATIONS} configurations, not {len(chosen)}: give --compare for each,"
            " such as --compare default --compare k=5"
        )
    names = [configuration.name for configuration in chosen]
    if len(set(names)) < len(names):
        raise InvalidError("two configurations have the same name; give each its own, such as name=short,k=5")
    return chosen


def make_variant(collection: Collection, configuration: Configuration, *, mode: SearchMode, ask: bool) -> Variant:
    """Return the collection as this configuration searches and answers; InvalidError if a value is not allowed.

    Searches and answers each have their own cache of query vectors: every configuration pays for its own.
    """
    if not ask and configuration.answer_fields:
        raise InvalidError(
            f"{configuration.name}: {', '.join(configuration.answer_fields)} matters for answers only; add --ask"
        )
    backends = _apply(collection, configuration, mode)
    options = GenerationOptions(
        model=None if configuration.model == NO_MODEL else configuration.model,
        temperature=configuration.temperature,
        policy=cast("SupportPolicy | None", configuration.policy),
        profile=configuration.profile,
    )
    validate_answer_request(AnswerRequest("?", configuration.k, options=options))
    config = choose_answer_config(options, None, backends.embedder, backends.answerer_deps)
    used = {"model": config.answerer.name, "prompt": config.prompt_version} if ask else {}
    search_backends = replace(backends, query_cache=QueryVectorCache())
    return Variant(
        configuration.name,
        Collection(collection.name, search_backends, collection.caller),
        Collection(collection.name, replace(backends, query_cache=QueryVectorCache()), collection.caller),
        backends.answer_mode,
        backends.result_options.diversity,
        configuration.k,
        options,
        {"configuration": configuration.to_json(), **used},
    )


def _apply(collection: Collection, configuration: Configuration, mode: SearchMode) -> Any:
    """Return the backends of the collection with the settings, prompt and result options of a configuration."""
    backends, deps = collection.backends, collection.backends.answerer_deps
    settings = deps.settings
    if configuration.model is not None:
        chat_model = None if configuration.model == NO_MODEL else settings.chat_model or configuration.model
        settings = replace(settings, chat_model=chat_model)
    if settings.chat_model is None and (configuration.prompt_file or configuration.temperature is not None):
        raise InvalidError(
            f"{configuration.name}: prompt_file and temperature need a chat model; set SEMSEARCH_CHAT__MODEL, or add"
            " model=NAME"
        )
    prompt = None if configuration.prompt_file is None else _read_prompt(configuration)
    options = backends.result_options
    return replace(
        backends,
        answerer_deps=replace(deps, settings=settings, prompt=prompt),
        answer_mode=cast(SearchMode, configuration.mode or mode),
        result_options=replace(
            options,
            diversity=options.diversity if configuration.diversity is None else configuration.diversity,
            rerank=options.rerank if configuration.rerank is None else configuration.rerank,
        ),
    )


def _read_prompt(configuration: Configuration) -> Any:
    path = configuration.prompt_file
    assert path is not None
    try:
        return read_prompt(path)
    except UnavailableError as exc:
        raise InvalidError(f"{configuration.name}: {path}: {exc}") from exc


def _find_or_parse(spec: str, named: Mapping[str, Configuration]) -> Configuration:
    if spec in named:
        return named[spec]
    if spec == "default":
        return Configuration(spec)
    pairs = [part.partition("=") for part in spec.split(",")]
    if not all(separator for _, separator, _ in pairs):
        names = ", ".join(["default", *named])
        raise InvalidError(f"{spec[:80]!r} is neither a configuration ({names}) nor pairs such as k=5,mode=dense")
    table = {key.strip(): value.strip() for key, _, value in pairs}
    return _parse_table(table.pop("name", spec), table, Path())


def _read_file(path: Path) -> dict[str, Configuration]:
    """Return the configurations of a TOML file, each a table; a relative prompt file starts at its folder."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise NotFoundError(f"there is no file {path}") from exc
    except (OSError, ValueError, RecursionError) as exc:
        raise InvalidError(f"{path} cannot be read as TOML: {exc}") from exc
    if wrong := next((name for name, table in tables.items() if not isinstance(table, Mapping)), None):
        raise InvalidError(f"{path}: {wrong} is not a table; begin a configuration with [NAME]")
    return {name: _parse_table(name, table, path.parent) for name, table in tables.items()}


def _parse_table(name: str, table: Mapping[str, Any], folder: Path) -> Configuration:
    allowed = [each.name for each in fields(Configuration) if each.name != "name"]
    if unknown := [key for key in table if key not in allowed]:
        raise InvalidError(f"{name[:80]}: there is no {unknown[0][:40]!r}; it may have {', '.join(allowed)}")
    values = {key: _convert(f"{name[:80]}: {key}", key, value) for key, value in table.items()}
    if "prompt_file" in values:
        values["prompt_file"] = folder / values["prompt_file"]
    return Configuration(name[:MAX_NAME_CHARACTERS], **values)


def _convert(location: str, key: str, value: Any) -> Any:
    """Return the value of a field; a text from the command line becomes a number or a truth value."""
    if key == "rerank":
        flags = {"true": True, "false": False}
        if str(value).lower() not in flags:
            raise InvalidError(f"{location} is true or false, not {value!r:.40}")
        return flags[str(value).lower()]
    if key in ("k", "temperature", "diversity"):
        return _convert_number(location, value, int if key == "k" else float)
    if not isinstance(value, str) or not value:
        raise InvalidError(f"{location} is a text, not {value!r:.40}")
    if key == "mode" and value not in get_args(SearchMode):
        raise InvalidError(f"{location} is one of {', '.join(get_args(SearchMode))}, not {value!r:.40}")
    return value


def _convert_number(location: str, value: Any, convert: type[int] | type[float]) -> float:
    try:
        if isinstance(value, bool) or (convert is int and isinstance(value, float)):
            raise ValueError
        number = convert(value)
    except (TypeError, ValueError) as exc:
        kind = "a whole number" if convert is int else "a number"
        raise InvalidError(f"{location} is {kind}, not {value!r:.40}") from exc
    if location.endswith(": diversity") and not 0 <= number <= 1:
        raise InvalidError(f"{location} is between 0 and 1, not {number:g}")
    return number
