"""What a sentence-transformers folder says of its model: how long a text may be, what is put in front of it, and how
one vector is made of those of its tokens. Reads settings only; does not open the weights.

Models that say nothing get what that library would give them: the mean of all tokens, and no prefix.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ...core.errors import Invalid
from .model_folder import ModelFolder

MOST_TOKENS = 1024
"""Of a text that are looked at, whatever a model can take: attention costs their square, a chunk has 150."""

LEAST_TOKENS = 8

_POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_USUAL = ("Transformer", "Pooling", "Normalize")
_POSITIONS_BEFORE = {"roberta": 2, "xlm-roberta": 2, "camembert": 2, "mpnet": 2}
"""Positions that no token takes, by the type of model."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How vectors are made with a model; another recipe makes another space."""

    pooling: Literal["mean", "cls"]
    limit: int
    """Tokens of a text that the model takes, its markers included."""
    lower: bool
    """Whether texts are put into lower case first."""
    query: str
    """What is put in front of a question."""
    passage: str
    beyond: tuple[str, ...]
    """Modules that only a model file which ends in ready vectors can hold."""


def recipe_of(folder: ModelFolder) -> Recipe:
    """Read the recipe; Invalid where it asks for what is not done here."""
    modules = _modules(folder)
    place = next((path for kind, path in modules if kind == "Pooling"), "1_Pooling")
    query, passage = _prompts(folder)
    return Recipe(
        pooling=_pooling(folder, f"{place}/config.json", prompted=bool(query or passage)),
        limit=_limit(folder),
        lower=folder.settings("sentence_bert_config.json").get("do_lower_case") is True,
        query=query,
        passage=passage,
        beyond=tuple(kind for kind, _ in modules if kind not in _USUAL),
    )


def _modules(folder: ModelFolder) -> list[tuple[str, str]]:
    """Kind and folder of each module, in order."""
    listed = folder.listed("modules.json")
    found = [(str(each.get("type", "")), str(each.get("path", ""))) for each in listed if isinstance(each, dict)]
    return [(kind.rpartition(".")[2], Path(path).name) for kind, path in found]


def _pooling(folder: ModelFolder, file: str, *, prompted: bool) -> Literal["mean", "cls"]:
    said = folder.settings(file)
    old = [mode for key, mode in _POOLING_KEYS.items() if said.get(key) is True]
    mode: Any = said.get("pooling_mode") or old or "mean"
    if isinstance(mode, list) and len(mode) == 1:
        mode = mode[0]
    if mode not in ("mean", "cls"):
        raise Invalid(f"{folder.spec}: the model pools by {mode}; take one that pools by mean or by cls")
    if prompted and said.get("include_prompt") is False:
        raise Invalid(f"{folder.spec}: the model leaves its prompts out of the pooling; take one that does not")
    return cast(Literal["mean", "cls"], mode)


def _limit(folder: ModelFolder) -> int:
    stated = folder.number("sentence_bert_config.json", "max_seq_length")
    stated = stated or folder.number("tokenizer_config.json", "model_max_length")
    positions = folder.number("config.json", "max_position_embeddings")
    if positions is not None:
        positions -= _POSITIONS_BEFORE.get(str(folder.settings("config.json").get("model_type")), 0)
    limit = min(each for each in (stated, positions, MOST_TOKENS) if each is not None)
    if limit < LEAST_TOKENS:
        raise Invalid(f"{folder.spec}: the model takes {limit} tokens, which hold no sentence; take another")
    return limit


def _prompts(folder: ModelFolder) -> tuple[str, str]:
    """What is put in front of questions and of passages."""
    said = folder.settings("config_sentence_transformers.json")
    prompts = said.get("prompts")
    known = {name: text for name, text in prompts.items() if isinstance(text, str)} if isinstance(prompts, dict) else {}
    usual = known.get(str(said.get("default_prompt_name")), "")
    passage = next((known[name] for name in ("document", "passage", "corpus") if name in known), usual)
    return known.get("query", usual), passage
