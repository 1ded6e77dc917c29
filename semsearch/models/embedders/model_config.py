"""What a sentence-transformers folder says of its model: how long a text may be, what is put in front of it, and how
one vector is made of those of its tokens. Reads settings only; does not open the weights.

Models that say nothing get what that library would give them: the mean of all tokens, and no prefix.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ...core.errors import InvalidError
from .model_folder import ModelFolder

MAX_TOKENS = 1024
"""Of a text that are looked at, whatever a model can take: attention costs their square, a chunk has 150."""

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
"""Positions that no token takes, by the type of model."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """How vectors are made with a model; another recipe makes another space."""

    pooling: Literal["mean", "cls"]
    max_tokens: int
    """Tokens of a text that the model takes, its markers included."""
    do_lower_case: bool
    """Whether texts are put into lower case first."""
    query_prefix: str
    """What is put in front of a question."""
    passage_prefix: str
    unsupported_modules: tuple[str, ...]
    """Modules that only a model file which ends in ready vectors can hold."""


def load_model_config(folder: ModelFolder) -> ModelConfig:
    """Read the recipe; Invalid where it asks for what is not done here."""
    modules = _read_modules(folder)
    place = next((path for kind, path in modules if kind == "Pooling"), "1_Pooling")
    query, passage = _read_prompts(folder)
    return ModelConfig(
        pooling=_read_pooling(folder, f"{place}/config.json", has_prompts=bool(query or passage)),
        max_tokens=_read_max_tokens(folder),
        do_lower_case=folder.read_settings("sentence_bert_config.json").get("do_lower_case") is True,
        query_prefix=query,
        passage_prefix=passage,
        unsupported_modules=tuple(kind for kind, _ in modules if kind not in _SUPPORTED_MODULES),
    )


def _read_modules(folder: ModelFolder) -> list[tuple[str, str]]:
    """Kind and folder of each module, in order."""
    listed = folder.read_list("modules.json")
    found = [(str(each.get("type", "")), str(each.get("path", ""))) for each in listed if isinstance(each, dict)]
    return [(kind.rpartition(".")[2], Path(path).name) for kind, path in found]


def _read_pooling(folder: ModelFolder, file: str, *, has_prompts: bool) -> Literal["mean", "cls"]:
    said = folder.read_settings(file)
    old = [mode for key, mode in _POOLING_KEYS.items() if said.get(key) is True]
    mode: Any = said.get("pooling_mode") or old or "mean"
    if isinstance(mode, list) and len(mode) == 1:
        mode = mode[0]
    if mode not in ("mean", "cls"):
        raise InvalidError(f"{folder.spec}: the model pools by {mode}; take one that pools by mean or by cls")
    if has_prompts and said.get("include_prompt") is False:
        raise InvalidError(f"{folder.spec}: the model leaves its prompts out of the pooling; take one that does not")
    return cast(Literal["mean", "cls"], mode)


def _read_max_tokens(folder: ModelFolder) -> int:
    stated = folder.read_number("sentence_bert_config.json", "max_seq_length")
    stated = stated or folder.read_number("tokenizer_config.json", "model_max_length")
    positions = folder.read_number("config.json", "max_position_embeddings")
    if positions is not None:
        positions -= _RESERVED_POSITIONS.get(str(folder.read_settings("config.json").get("model_type")), 0)
    limit = min(each for each in (stated, positions, MAX_TOKENS) if each is not None)
    if limit < MIN_TOKENS:
        raise InvalidError(f"{folder.spec}: the model takes {limit} tokens, which hold no sentence; take another")
    return limit


def _read_prompts(folder: ModelFolder) -> tuple[str, str]:
    """What is put in front of questions and of passages."""
    said = folder.read_settings("config_sentence_transformers.json")
    prompts = said.get("prompts")
    known = {name: text for name, text in prompts.items() if isinstance(text, str)} if isinstance(prompts, dict) else {}
    usual = known.get(str(said.get("default_prompt_name")), "")
    passage = next((known[name] for name in ("document", "passage", "corpus") if name in known), usual)
    return known.get("query", usual), passage
