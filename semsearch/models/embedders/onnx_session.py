"""Runs a model file with onnxruntime: tokens in, unit vectors out, of whole texts or of their tokens.

Knows the inputs and outputs that such files have. Does not tokenize and makes no batches. One session may be run by
several threads at once, each run on one of them.
"""

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...core.errors import InvalidError
from ...core.types.documents import Vectors
from .model_config import ModelConfig
from .model_folder import ModelFolder

if TYPE_CHECKING:
    import onnxruntime

_SENTENCE_OUTPUTS = ("sentence_embedding",)
_TOKEN_OUTPUTS = ("last_hidden_state", "token_embeddings")
_SUPPORTED_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_NUMPY_TYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(bool)": np.bool_,
}
_QUANTIZE_OPERATOR_PREFIX = b"DynamicQuantize"
"""Begins the names of the operators that scale their input by all that is in a batch."""


class OnnxSession:
    """A loaded model."""

    def __init__(self, folder: ModelFolder, file: Path, config: ModelConfig) -> None:
        self._folder, self._file = folder, file
        self._session, inputs, ranks = folder.inspect(file, _load_session)
        self._input_types = _select_inputs(folder.spec, file.name, inputs)
        self._output_name, self._pooling = _select_output(folder.spec, file.name, ranks, config)
        known = next((name for name in _TOKEN_OUTPUTS if ranks.get(name) == 3), None)
        self._token_output_name = self._output_name if self._pooling else known
        self.depends_on_batch = "attention_mask" not in self._input_types or folder.inspect(
            file, _is_dynamically_quantized
        )
        """Whether a text's vector depends on those that are run with it: by 6 degrees in an int8 all-MiniLM-L6-v2."""

    @property
    def has_token_output(self) -> bool:
        """Whether the file gives vectors of single tokens, each in its context."""
        return self._token_output_name is not None

    def embed_texts(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Unit vectors of texts that are given by their tokens."""
        ids, mask = _pad_tokens(texts)
        found = self._run(self._output_name, ids, mask, by_token=bool(self._pooling))
        if self._pooling == "mean":
            found = (mask[:, np.newaxis].astype(np.float32) @ found)[:, 0]  # its length does not matter
        elif self._pooling == "cls":
            found = found[:, 0]
        return self._normalize(found)

    def embed_tokens(self, texts: Sequence[Sequence[int]]) -> list[Vectors]:
        """Unit vectors of the tokens of each text, where the model tells them."""
        assert self._token_output_name is not None
        found = self._run(self._token_output_name, *_pad_tokens(texts), by_token=True)
        return [self._normalize(states[: len(tokens)]) for states, tokens in zip(found, texts, strict=True)]

    def _run(
        self, output: str, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64], *, by_token: bool
    ) -> npt.NDArray[np.float32]:
        tokens = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feeds = {name: tokens[name].astype(kind, copy=False) for name, kind in self._input_types.items()}
        try:
            found: Vectors = np.asarray(self._session.run([output], feeds)[0]).astype(np.float32, copy=False)
        except _get_error_types() as exc:
            raise self._folder.make_damaged_error(self._file, _format_reason(exc)) from exc
        if found.shape[:-1] != ids.shape[: 2 if by_token else 1]:
            raise InvalidError(f"{self._folder.spec}: {output} of {self._file.name} has the shape {found.shape}")
        return found

    def _normalize(self, vectors: npt.NDArray[np.float32]) -> Vectors:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all():
            raise self._folder.make_damaged_error(self._file, "it gives numbers that are not finite")
        unit = np.zeros_like(vectors)
        np.divide(vectors, lengths, out=unit, where=lengths > 0)
        return unit


def _load_session(file: Path) -> "tuple[onnxruntime.InferenceSession, dict[str, str], dict[str, int]]":
    """The model, the kind of each input, and how many dimensions each output has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions
    try:
        # its fallback would print, where programs expect their answer, and try the same again
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        inputs = {each.name: each.type for each in session.get_inputs()}
        return session, inputs, {each.name: len(each.shape) for each in session.get_outputs()}
    except _get_error_types() as exc:
        raise ValueError(_format_reason(exc)) from exc


def _get_error_types() -> tuple[type[Exception], ...]:
    """Everything that onnxruntime raises: its errors have no common parent."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*kinds, RuntimeError, ValueError)


def _format_reason(exc: Exception) -> str:
    """What onnxruntime says, without the number and the name of its kind in front; that name where it says nothing."""
    return str(exc).split(" : ", 3)[-1].strip() or f"onnxruntime calls it {type(exc).__name__}"


def _pad_tokens(texts: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The tokens of a batch, and which of them are not padding, whatever stands there."""
    ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(texts):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


def _is_dynamically_quantized(file: Path) -> bool:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return mapped.find(_QUANTIZE_OPERATOR_PREFIX) >= 0


def _select_inputs(spec: str, file: str, model_inputs: Mapping[str, str]) -> "dict[str, type[np.generic]]":
    """The inputs to feed, and the kind of number that each takes."""
    known = {
        name: _NUMPY_TYPES[kind]
        for name, kind in model_inputs.items()
        if name in _SUPPORTED_INPUTS and kind in _NUMPY_TYPES
    }
    if "input_ids" not in known or len(known) < len(model_inputs):
        listed = ", ".join(f"{name} of {kind}" for name, kind in model_inputs.items())
        raise InvalidError(f"{spec}: {file} wants {listed}; take a model that wants input_ids and a mask")
    return known


def _select_output(spec: str, file: str, ranks: Mapping[str, int], config: ModelConfig) -> tuple[str, str]:
    """The output to take, and how its vectors are pooled; "" where they are ready."""
    ready = [name for name in _SENTENCE_OUTPUTS if name in ranks] or [
        name for name in ranks if len(ranks) == 1 and ranks[name] == 2
    ]
    if ready:
        return ready[0], ""
    by_token = [name for name in (*_TOKEN_OUTPUTS, *ranks) if ranks.get(name) == 3]
    if not by_token:
        raise InvalidError(f"{spec}: the model gives {', '.join(ranks)}; take one that gives last_hidden_state")
    if config.unsupported_modules:
        raise InvalidError(
            f"{spec}: the model goes on with {', '.join(config.unsupported_modules)}, which {file} does not hold; take one that does"
        )
    return by_token[0], config.pooling
