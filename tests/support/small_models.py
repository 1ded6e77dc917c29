"""Models of a few kilobytes in published folder layouts, and their expected output, computed with numpy."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from semsearch.core.ports import Embedder
from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext

DIM = 12
MAX_TOKENS = 32

_VOCABULARY_TEXTS = [
    "The lamp burns in the fog, and a bell rings at night.",
    "Query and passage: how long is parental leave? What cars cost; the price of an automobile.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich x",
    "東京都の夜",
]
_SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]

FloatArray = npt.NDArray[np.float32]


def _make_vocabulary() -> dict[str, int]:
    """Return special tokens, short words, and letters for longer words; the same in every process."""
    text = "".join(_VOCABULARY_TEXTS).lower()
    letters = sorted({letter for letter in text if not letter.isspace()})
    short_words = sorted(
        {word for word in " ".join(_VOCABULARY_TEXTS).lower().split() if 2 <= len(word) <= 5 and word.isalpha()}
    )
    tokens = [*_SPECIAL_TOKENS, *short_words, *letters, *(f"##{letter}" for letter in letters)]
    return {token: token_id for token_id, token in enumerate(tokens)}


def make_tokenizer(*, with_special_tokens: bool = True) -> Tokenizer:
    """Return a WordPiece tokenizer; with special tokens around a text, or without them as Model2Vec saves it."""
    tokenizer = Tokenizer(models.WordPiece(_make_vocabulary(), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if with_special_tokens:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        tokenizer.enable_padding(length=64)  # published models have these settings; embedding must ignore them
        tokenizer.enable_truncation(16)
    return tokenizer


PLAIN_TOKENIZER = make_tokenizer(with_special_tokens=False)
PLAIN_TOKENIZER.encode_special_tokens = True
VOCABULARY_SIZE = PLAIN_TOKENIZER.get_vocab_size()


def tokenize(text: str, max_tokens: int = MAX_TOKENS) -> list[int]:
    """Return the tokens of a text with special tokens, truncated to the model's limit."""
    return [2, *PLAIN_TOKENIZER.encode(text).ids[: max_tokens - 2], 3]


def load_vectors(embedder: Embedder, texts: Sequence[str], *, query: bool = False) -> Vectors:
    """Return the vectors of these texts."""
    return asyncio.run(embedder.embed(texts, RequestContext("query" if query else "ingest"), query=query))


def make_weights(rows: int = VOCABULARY_SIZE, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return the token vectors, shape (rows, DIM), and the weights of the layer after them."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(rows, DIM)).astype(np.float32),
        rng.normal(size=(DIM, DIM)).astype(np.float32),
    )


def compute_token_states(ids: Sequence[int]) -> FloatArray:
    """Return the model's hidden states of the tokens, computed with numpy: each token sees the mean of all."""
    table, layer = make_weights()
    embedded = table[list(ids)]
    hidden: FloatArray = np.tanh((embedded + embedded.mean(axis=0)) @ layer)
    return hidden


def compute_vector(ids: Sequence[int], *, pooling: str = "mean") -> FloatArray:
    """Return the model's vector of a text with these tokens, computed with numpy."""
    hidden = compute_token_states(ids)
    pooled = hidden.mean(axis=0) if pooling == "mean" else hidden[0]
    vector: FloatArray = pooled / np.linalg.norm(pooled)
    return vector


@dataclass(frozen=True)
class ModelSpec:
    """Inputs and outputs of a model file."""

    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")
    integer_type: int = TensorProto.INT64
    output: str = "last_hidden_state"
    pooled_output: str = ""
    """Name of a second output with pooled vectors: the maximum over the tokens."""
    has_token_output: bool = True
    """Whether `output` is an output of the model; otherwise it is an inner node before `pooled_output`."""
    is_quantized: bool = False
    """Whether activations are quantized to int8 with a scale of the whole batch."""


def make_onnx_model(spec: ModelSpec | None = None, *, rows: int = VOCABULARY_SIZE, seed: int = 0) -> onnx.ModelProto:
    """Return a model that computes the same as `compute_token_states`."""
    spec = spec or ModelSpec()
    table, layer = make_weights(rows, seed)
    constants = {"table": table, "layer": layer, "last": np.array([2]), "second": np.array([1])}
    outputs = []
    if spec.has_token_output:
        outputs += [helper.make_tensor_value_info(spec.output, TensorProto.FLOAT, ["batch", "length", DIM])]
    if spec.pooled_output:
        outputs += [helper.make_tensor_value_info(spec.pooled_output, TensorProto.FLOAT, ["batch", DIM])]
    graph = helper.make_graph(
        list(_make_nodes(spec)),
        "small",
        [helper.make_tensor_value_info(name, spec.integer_type, ["batch", "length"]) for name in spec.inputs],
        outputs,
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def _make_nodes(spec: ModelSpec) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Gather", ["table", "input_ids"], ["tokens"])
    if "attention_mask" in spec.inputs:
        yield helper.make_node("Cast", ["attention_mask"], ["flat"], to=TensorProto.FLOAT)
        yield helper.make_node("Unsqueeze", ["flat", "last"], ["mask"])
        yield helper.make_node("Mul", ["tokens", "mask"], ["seen"])
        yield helper.make_node("ReduceSum", ["seen", "second"], ["sum"], keepdims=1)
        yield helper.make_node("ReduceSum", ["mask", "second"], ["count"], keepdims=1)
        yield helper.make_node("Div", ["sum", "count"], ["context"])
    else:
        yield helper.make_node("ReduceMean", ["tokens"], ["context"], axes=[1], keepdims=1)
    if "token_type_ids" in spec.inputs:
        yield helper.make_node("Cast", ["token_type_ids"], ["flat types"], to=TensorProto.FLOAT)
        yield helper.make_node("Unsqueeze", ["flat types", "last"], ["types"])
        yield helper.make_node("Add", ["tokens", "types"], ["typed"])
    yield helper.make_node("Add", ["typed" if "token_type_ids" in spec.inputs else "tokens", "context"], ["mixed"])
    if spec.is_quantized:
        yield helper.make_node("DynamicQuantizeLinear", ["mixed"], ["small", "scale", "zero"])
        yield helper.make_node("DequantizeLinear", ["small", "scale", "zero"], ["rounded"])
    yield helper.make_node("MatMul", ["rounded" if spec.is_quantized else "mixed", "layer"], ["turned"])
    yield helper.make_node("Tanh", ["turned"], [spec.output])
    if spec.pooled_output:
        yield helper.make_node("ReduceMax", [spec.output], [spec.pooled_output], axes=[1], keepdims=0)


def make_onnx_folder(
    path: Path,
    model: onnx.ModelProto | None = None,
    *,
    file: str = "onnx/model.onnx",
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model, its tokenizer and settings files into a folder; `settings` maps file names to contents."""
    target = path / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((model or make_onnx_model()).SerializeToString())
    make_tokenizer().save(str(path / "tokenizer.json"))
    files = {"sentence_bert_config.json": {"max_seq_length": MAX_TOKENS, "do_lower_case": False}, **(settings or {})}
    for name, content in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def make_static_folder(path: Path, tensors: Mapping[str, npt.NDArray[Any]] | None = None) -> Path:
    """Write a table of token vectors and its tokenizer into a folder, in the layout of Model2Vec."""
    path.mkdir(parents=True, exist_ok=True)
    make_tokenizer(with_special_tokens=False).save(str(path / "tokenizer.json"))
    table = {"embeddings": make_weights()[0]} if tensors is None else dict(tensors)
    (path / "model.safetensors").write_bytes(save(table))
    (path / "config.json").write_text('{"model_type": "model2vec", "normalize": true}')
    return path
