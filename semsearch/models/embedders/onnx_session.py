"""Run a model file with onnxruntime: token ids in, unit vectors of texts or of tokens out.

Selects the inputs and outputs of the file. Does not tokenize or build batches. Several threads may use one session at
the same time; each run takes one thread.
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
"""Prefix of the operators that compute the scale of their input over the whole batch."""


class OnnxSession:
    """A model that is loaded into onnxruntime."""

    def __init__(self, folder: ModelFolder, file: Path, config: ModelConfig) -> None:
        self._folder, self._file = folder, file
        self._session, inputs, ranks = folder.inspect(file, _load_session)
        self._input_types = _select_inputs(folder.spec, file.name, inputs)
        self._output_name, self._pooling = _select_output(folder.spec, file.name, ranks, config)
        token_output = next((name for name in _TOKEN_OUTPUTS if ranks.get(name) == 3), None)
        self._token_output_name = self._output_name if self._pooling else token_output
        self.depends_on_batch = "attention_mask" not in self._input_types or folder.inspect(
            file, _is_dynamically_quantized
        )
        """Whether a text's vector depends on the other texts of its batch: by 6 degrees in an int8 all-MiniLM-L6-v2."""

    @property
    def has_token_output(self) -> bool:
        """Whether the model outputs a contextual vector for each token."""
        return self._token_output_name is not None

    def embed_texts(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """Return unit vectors of texts, shape (len(texts), dim). Each text is a list of token ids."""
        ids, mask = _pad_tokens(texts)
        vectors = self._run(self._output_name, ids, mask, by_token=bool(self._pooling))
        if self._pooling == "mean":
            vectors = (mask[:, np.newaxis].astype(np.float32) @ vectors)[:, 0]  # the sum: it is normalized below
        elif self._pooling == "cls":
            vectors = vectors[:, 0]
        return self._normalize(vectors)

    def embed_tokens(self, texts: Sequence[Sequence[int]]) -> list[Vectors]:
        """Return unit vectors of the tokens of each text; the model must have a token output."""
        assert self._token_output_name is not None
        outputs = self._run(self._token_output_name, *_pad_tokens(texts), by_token=True)
        return [self._normalize(vectors[: len(tokens)]) for vectors, tokens in zip(outputs, texts, strict=True)]

    def _run(
        self, output: str, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64], *, by_token: bool
    ) -> npt.NDArray[np.float32]:
        tokens = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        feeds = {name: tokens[name].astype(kind, copy=False) for name, kind in self._input_types.items()}
        try:
            values: Vectors = np.asarray(self._session.run([output], feeds)[0]).astype(np.float32, copy=False)
        except _get_error_types() as exc:
            raise self._folder.make_damaged_error(self._file, _format_reason(exc)) from exc
        if values.shape[:-1] != ids.shape[: 2 if by_token else 1]:
            raise InvalidError(
                f"{self._folder.spec}: {output} of {self._file.name} has the unexpected shape {values.shape}"
            )
        return values

    def _normalize(self, vectors: npt.NDArray[np.float32]) -> Vectors:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all():
            raise self._folder.make_damaged_error(self._file, "its output contains numbers that are not finite")
        unit = np.zeros_like(vectors)
        np.divide(vectors, lengths, out=unit, where=lengths > 0)
        return unit


def _load_session(file: Path) -> "tuple[onnxruntime.InferenceSession, dict[str, str], dict[str, int]]":
    """Return the session, the type of each input, and the number of dimensions of each output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised as exceptions
    try:
        # the fallback prints to stdout, where programs expect results, and retries with the same provider
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        inputs = {node.name: node.type for node in session.get_inputs()}
        return session, inputs, {node.name: len(node.shape) for node in session.get_outputs()}
    except _get_error_types() as exc:
        raise ValueError(_format_reason(exc)) from exc


def _get_error_types() -> tuple[type[Exception], ...]:
    """Return all exception types that onnxruntime raises: they have no common base class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*kinds, RuntimeError, ValueError)


def _format_reason(exc: Exception) -> str:
    """Return onnxruntime's message without its error code, or the name of the exception if the message is empty."""
    return str(exc).split(" : ", 3)[-1].strip() or f"onnxruntime raised {type(exc).__name__}"


def _pad_tokens(texts: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the padded token ids of a batch and the attention mask, both of shape (texts, longest text)."""
    ids = np.zeros((len(texts), max(map(len, texts))), np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(texts):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return ids, mask


def _is_dynamically_quantized(file: Path) -> bool:
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return mapped.find(_QUANTIZE_OPERATOR_PREFIX) >= 0


def _select_inputs(spec: str, file: str, model_inputs: Mapping[str, str]) -> "dict[str, type[np.generic]]":
    """Return the model's inputs with the type of each; InvalidError if one is not supported."""
    supported = {
        name: _NUMPY_TYPES[kind]
        for name, kind in model_inputs.items()
        if name in _SUPPORTED_INPUTS and kind in _NUMPY_TYPES
    }
    if "input_ids" not in supported or len(supported) < len(model_inputs):
        required_inputs = ", ".join(f"{name} of {kind}" for name, kind in model_inputs.items())
        raise InvalidError(
            f"{spec}: {file} requires the inputs {required_inputs}; use a model with input_ids and attention_mask"
        )
    return supported


def _select_output(spec: str, file: str, ranks: Mapping[str, int], config: ModelConfig) -> tuple[str, str]:
    """Return the output to use and its pooling; "" if the output holds sentence vectors."""
    sentence_outputs = [name for name in _SENTENCE_OUTPUTS if name in ranks] or [
        name for name in ranks if len(ranks) == 1 and ranks[name] == 2
    ]
    if sentence_outputs:
        return sentence_outputs[0], ""
    token_outputs = [name for name in (*_TOKEN_OUTPUTS, *ranks) if ranks.get(name) == 3]
    if not token_outputs:
        raise InvalidError(f"{spec}: the model has the outputs {', '.join(ranks)}; use a model with last_hidden_state")
    if config.unsupported_modules:
        raise InvalidError(
            f"{spec}: {file} does not contain the model's modules {', '.join(config.unsupported_modules)}; "
            "use a model file that contains them"
        )
    return token_outputs[0], config.pooling
