"""Real models of a few kilobytes in folders as they are published, and what they compute, worked out by hand."""

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
from semsearch.core.types.usage import Errand

DIM = 12
LIMIT = 32

_LINES = [
    "The lamp burns in the fog, and a bell rings at night.",
    "Query and passage: how long is parental leave? What cars cost; the price of an automobile.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich x",
    "東京都の夜",
]
_MARKERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]

Numbers = npt.NDArray[np.float32]


def _vocabulary() -> dict[str, int]:
    """Markers, short words, and the letters of which the longer ones are put together; the same in every process."""
    text = "".join(_LINES).lower()
    letters = sorted({letter for letter in text if not letter.isspace()})
    short = sorted({word for word in " ".join(_LINES).lower().split() if 2 <= len(word) <= 5 and word.isalpha()})
    tokens = [*_MARKERS, *short, *letters, *(f"##{letter}" for letter in letters)]
    return {token: at for at, token in enumerate(tokens)}


def tokenizer(*, markers: bool = True) -> Tokenizer:
    """WordPiece over a few lines; with markers around a text, or as Model2Vec saves it."""
    made = Tokenizer(models.WordPiece(_vocabulary(), unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if markers:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        made.enable_padding(length=64)  # as published models are saved, and as no text should be embedded
        made.enable_truncation(16)
    return made


PLAIN = tokenizer(markers=False)
PLAIN.encode_special_tokens = True
ROWS = PLAIN.get_vocab_size()


def tokens(text: str, most: int = LIMIT) -> list[int]:
    """The tokens of a text with their markers, cut as a model's limit demands."""
    return [2, *PLAIN.encode(text).ids[: most - 2], 3]


def vectors_of(embedder: Embedder, texts: Sequence[str], *, query: bool = False) -> Vectors:
    """Wait for the vectors of these texts."""
    return asyncio.run(embedder.embed(texts, Errand("query" if query else "ingest"), query=query))


def weights(rows: int = ROWS, seed: int = 0) -> tuple[Numbers, Numbers]:
    """The vectors of the tokens, and the layer behind them."""
    numbers = np.random.default_rng(seed)
    return (
        numbers.normal(size=(rows, DIM)).astype(np.float32),
        numbers.normal(size=(DIM, DIM)).astype(np.float32),
    )


def states(ids: Sequence[int]) -> Numbers:
    """What the model makes of the tokens of a text, without onnxruntime: each token sees the mean of all."""
    table, layer = weights()
    seen = table[list(ids)]
    hidden: Numbers = np.tanh((seen + seen.mean(axis=0)) @ layer)
    return hidden


def computed(ids: Sequence[int], *, pooling: str = "mean") -> Numbers:
    """What it makes of the text."""
    hidden = states(ids)
    pooled = hidden.mean(axis=0) if pooling == "mean" else hidden[0]
    vector: Numbers = pooled / np.linalg.norm(pooled)
    return vector


@dataclass(frozen=True)
class Shape:
    """What a model file is like from the outside."""

    inputs: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids")
    integer: int = TensorProto.INT64
    output: str = "last_hidden_state"
    ready: str = ""
    """Name of a second output, whose vectors are pooled already: the highest number of any token."""
    tells_tokens: bool = True
    """Whether `output` is one, and not only a step on the way to `ready`."""
    quantized: bool = False
    """Whether activations are scaled to int8 by what is in the batch."""


def onnx_model(shape: Shape | None = None, *, rows: int = ROWS, seed: int = 0) -> onnx.ModelProto:
    """A model that makes of each token what `computed` says."""
    shape = shape or Shape()
    table, layer = weights(rows, seed)
    constants = {"table": table, "layer": layer, "last": np.array([2]), "second": np.array([1])}
    outputs = []
    if shape.tells_tokens:
        outputs += [helper.make_tensor_value_info(shape.output, TensorProto.FLOAT, ["batch", "length", DIM])]
    if shape.ready:
        outputs += [helper.make_tensor_value_info(shape.ready, TensorProto.FLOAT, ["batch", DIM])]
    graph = helper.make_graph(
        list(_nodes(shape)),
        "small",
        [helper.make_tensor_value_info(name, shape.integer, ["batch", "length"]) for name in shape.inputs],
        outputs,
        [numpy_helper.from_array(numbers, name) for name, numbers in constants.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def _nodes(shape: Shape) -> Iterator[onnx.NodeProto]:
    yield helper.make_node("Gather", ["table", "input_ids"], ["tokens"])
    if "attention_mask" in shape.inputs:
        yield helper.make_node("Cast", ["attention_mask"], ["flat"], to=TensorProto.FLOAT)
        yield helper.make_node("Unsqueeze", ["flat", "last"], ["mask"])
        yield helper.make_node("Mul", ["tokens", "mask"], ["seen"])
        yield helper.make_node("ReduceSum", ["seen", "second"], ["sum"], keepdims=1)
        yield helper.make_node("ReduceSum", ["mask", "second"], ["count"], keepdims=1)
        yield helper.make_node("Div", ["sum", "count"], ["context"])
    else:
        yield helper.make_node("ReduceMean", ["tokens"], ["context"], axes=[1], keepdims=1)
    if "token_type_ids" in shape.inputs:
        yield helper.make_node("Cast", ["token_type_ids"], ["flat types"], to=TensorProto.FLOAT)
        yield helper.make_node("Unsqueeze", ["flat types", "last"], ["types"])
        yield helper.make_node("Add", ["tokens", "types"], ["typed"])
    yield helper.make_node("Add", ["typed" if "token_type_ids" in shape.inputs else "tokens", "context"], ["mixed"])
    if shape.quantized:
        yield helper.make_node("DynamicQuantizeLinear", ["mixed"], ["small", "scale", "zero"])
        yield helper.make_node("DequantizeLinear", ["small", "scale", "zero"], ["rounded"])
    yield helper.make_node("MatMul", ["rounded" if shape.quantized else "mixed", "layer"], ["turned"])
    yield helper.make_node("Tanh", ["turned"], [shape.output])
    if shape.ready:
        yield helper.make_node("ReduceMax", [shape.output], [shape.ready], axes=[1], keepdims=0)


def onnx_folder(
    path: Path,
    model: onnx.ModelProto | None = None,
    *,
    file: str = "onnx/model.onnx",
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """A folder with a model, its tokenizer, and files of settings by name."""
    target = path / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((model or onnx_model()).SerializeToString())
    tokenizer().save(str(path / "tokenizer.json"))
    said = {"sentence_bert_config.json": {"max_seq_length": LIMIT, "do_lower_case": False}, **(settings or {})}
    for name, content in said.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def static_folder(path: Path, tensors: Mapping[str, npt.NDArray[Any]] | None = None) -> Path:
    """A folder with a table as Model2Vec writes it."""
    path.mkdir(parents=True, exist_ok=True)
    tokenizer(markers=False).save(str(path / "tokenizer.json"))
    table = {"embeddings": weights()[0]} if tensors is None else dict(tensors)
    (path / "model.safetensors").write_bytes(save(table))
    (path / "config.json").write_text('{"model_type": "model2vec", "normalize": true}')
    return path
