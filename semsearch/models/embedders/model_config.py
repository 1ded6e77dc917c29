"""Read the configuration of a model from a sentence-transformers folder: text length, prefixes and pooling.

Reads settings only; does not open the weights. Defaults are those of sentence-transformers: mean pooling, no prefix.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ...core.errors import InvalidError
from .model_folder import ModelFolder

MAX_TOKENS = 1024
"""Upper bound for any model, because attention has quadratic cost. A chunk has about 150 tokens."""

MIN_TOKENS = 8

_POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_SUPPORTED_MODULES = ("Transformer", "Pooling", "Normalize")
_RESERVED_POSITIONS = {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "mpnet": 2}
"""Positions that are reserved, so that no token has them, by model type."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """How vectors are computed with a model. Another configuration gives another vector space."""

    pooling: Literal["mean", "cls"]
    max_tokens: int
    """Tokens of a text that the model accepts, special tokens included."""
    do_lower_case: bool
    """Whether texts are converted to lower case first."""
    query_prefix: str
    """Text before a query."""
    passage_prefix: str
    """Text before a passage."""
    unsupported_modules: tuple[str, ...]
    """Modules that are applied only if the model file itself contains them, that is, outputs sentence vectors."""


def load_model_config(folder: ModelFolder) -> ModelConfig:
    """Read the configuration of a model; InvalidError if it needs an unsupported feature."""
    modules = _read_modules(folder)
    pooling_dir = next((path for kind, path in modules if kind == "Pooling"), "1_Pooling")
    query_prefix, passage_prefix = _read_prompts(folder)
    return ModelConfig(
        pooling=_read_pooling(folder, f"{pooling_dir}/config.json", has_prompts=bool(query_prefix or passage_prefix)),
        max_tokens=_read_max_tokens(folder),
        do_lower_case=folder.read_settings("sentence_bert_config.json").get("do_lower_case") is True,
        query_prefix=query_prefix,
        passage_prefix=passage_prefix,
        unsupported_modules=tuple(kind for kind, _ in modules if kind not in _SUPPORTED_MODULES),
    )


def _read_modules(folder: ModelFolder) -> list[tuple[str, str]]:
    """Return type and folder of each module, in order."""
    entries = [entry for entry in folder.read_list("modules.json") if isinstance(entry, dict)]
    modules = [(str(entry.get("type", "")), str(entry.get("path", ""))) for entry in entries]
    return [(kind.rpartition(".")[2], Path(path).name) for kind, path in modules]


def _read_pooling(folder: ModelFolder, file: str, *, has_prompts: bool) -> Literal["mean", "cls"]:
    settings = folder.read_settings(file)
    legacy_modes = [mode for key, mode in _POOLING_KEYS.items() if settings.get(key) is True]
    mode: Any = settings.get("pooling_mode") or legacy_modes or "mean"
    if isinstance(mode, list) and len(mode) == 1:
        mode = mode[0]
    if mode not in ("mean", "cls"):
        raise InvalidError(f"{folder.spec}: the model uses {mode} pooling; use a model with mean or cls pooling")
    if has_prompts and settings.get("include_prompt") is False:
        raise InvalidError(
            f"{folder.spec}: the model excludes its prompts from pooling; use a model that includes them"
        )
    return cast(Literal["mean", "cls"], mode)


def _read_max_tokens(folder: ModelFolder) -> int:
    max_length = folder.read_number("sentence_bert_config.json", "max_seq_length")
    max_length = max_length or folder.read_number("tokenizer_config.json", "model_max_length")
    positions = folder.read_number("config.json", "max_position_embeddings")
    if positions is not None:
        positions -= _RESERVED_POSITIONS.get(str(folder.read_settings("config.json").get("model_type")), 0)
    limit = min(value for value in (max_length, positions, MAX_TOKENS) if value is not None)
    if limit < MIN_TOKENS:
        raise InvalidError(
            f"{folder.spec}: the model accepts only {limit} tokens, too few for a sentence; use another model"
        )
    return limit


def _read_prompts(folder: ModelFolder) -> tuple[str, str]:
    """Return the prefixes of queries and of passages."""
    settings = folder.read_settings("config_sentence_transformers.json")
    raw_prompts = settings.get("prompts")
    prompts = (
        {name: text for name, text in raw_prompts.items() if isinstance(text, str)}
        if isinstance(raw_prompts, dict)
        else {}
    )
    default = prompts.get(str(settings.get("default_prompt_name")), "")
    passage = next((prompts[name] for name in ("document", "passage", "corpus") if name in prompts), default)
    return prompts.get("query", default), passage
