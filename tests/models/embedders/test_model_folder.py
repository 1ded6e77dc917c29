"""Model folders: supported settings and model files, and errors for missing and damaged files."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from support.small_models import (
    DIM,
    VOCABULARY_SIZE,
    ModelSpec,
    compute_vector,
    load_vectors,
    make_onnx_folder,
    make_onnx_model,
    tokenize,
)

from semsearch.core.errors import InvalidError, SemsearchError, StorageError, UnavailableError
from semsearch.models.embedders.model_folder import ModelFolder
from semsearch.models.embedders.onnx import OnnxEmbedder

TEXTS = ["The lamp burns in the fog.", "x", "Zwölf Boxkämpfer", "", "how long is leave", "lamp " * 20, "東京"]


def open_embedder(path: Path, *, int8: bool = False) -> OnnxEmbedder:
    """Return the embedder of a folder."""
    return OnnxEmbedder(ModelFolder(f"onnx:{path.name}", path), int8=int8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder with a length limit and no other settings."""
    return make_onnx_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder: Path) -> OnnxEmbedder:
    """Return the embedder of the folder."""
    return open_embedder(folder)


@pytest.mark.parametrize(
    ("config_files", "limit"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 9}}, 9),
        ({"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 10}}, 10),
        ({"sentence_bert_config.json": {}, "config.json": {"max_position_embeddings": 11}}, 11),
        ({"sentence_bert_config.json": {}, "config.json": {"max_position_embeddings": 12, "model_type": "mpnet"}}, 10),
        (
            {
                "sentence_bert_config.json": {"max_seq_length": None},
                "tokenizer_config.json": {"model_max_length": 1e30},
                "config.json": {"max_position_embeddings": 14},
            },
            14,
        ),
    ],
)
def test_text_is_truncated_at_the_limit_of_the_model(
    tmp_path: Path, config_files: Mapping[str, Any], limit: int
) -> None:
    """The limit comes from the settings files and includes special tokens; that of the tokenizer file is ignored."""
    subject = open_embedder(make_onnx_folder(tmp_path, settings=config_files))
    text = "the lamp burns in the fog and a bell rings at night " * 3
    assert load_vectors(subject, [text])[0] == pytest.approx(compute_vector(tokenize(text, limit)), abs=1e-5)


@pytest.mark.parametrize(
    "config_files",
    [
        {"1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}},
        {"1_Pooling/config.json": {"pooling_mode": "cls", "embedding_dimension": DIM}},
        {
            "modules.json": [{"type": "sentence_transformers.models.Pooling", "path": "7_Pool"}],
            "7_Pool/config.json": {"pooling_mode": ["cls"]},
        },
    ],
)
def test_cls_pooling_is_read_from_old_and_new_settings(tmp_path: Path, config_files: Mapping[str, Any]) -> None:
    """Both forms of the settings are read, from the folder that modules.json names."""
    subject = open_embedder(make_onnx_folder(tmp_path, settings=config_files))
    expected = compute_vector(tokenize("the lamp burns"), pooling="cls")
    assert load_vectors(subject, ["the lamp burns"])[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("prompt_settings", "query", "passage"),
    [
        ({"prompts": {"query": "query: ", "passage": "passage: "}}, "query: ", "passage: "),
        ({"prompts": {"query": "query: ", "document": None}}, "query: ", ""),
        ({"prompts": {"corpus": "the ", "other": "a "}, "default_prompt_name": "other"}, "a ", "the "),
        ({"prompts": {}, "default_prompt_name": None}, "", ""),
        ({"prompts": ["query: "]}, "", ""),
    ],
)
def test_prefixes_are_added_to_queries_and_passages(
    tmp_path: Path, prompt_settings: Mapping[str, Any], query: str, passage: str, model: OnnxEmbedder
) -> None:
    """Queries and passages get the prefixes of the model's settings."""
    subject = open_embedder(make_onnx_folder(tmp_path, settings={"config_sentence_transformers.json": prompt_settings}))
    expected = load_vectors(model, [f"{query}the lamp", f"{passage}the lamp"])
    assert load_vectors(subject, ["the lamp"], query=True)[0] == pytest.approx(expected[0], abs=1e-6)
    assert load_vectors(subject, ["the lamp"])[0] == pytest.approx(expected[1], abs=1e-6)


def test_texts_are_converted_to_lower_case_if_the_settings_say_so(tmp_path: Path, model: OnnxEmbedder) -> None:
    """`do_lower_case` works even if the tokenizer does not convert."""
    folder = make_onnx_folder(
        tmp_path, settings={"sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": True}}
    )
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert load_vectors(open_embedder(folder), ["THE LAMP"])[0] == pytest.approx(
        load_vectors(model, ["the lamp"])[0], abs=1e-6
    )


@pytest.mark.parametrize(
    "spec",
    [
        ModelSpec(inputs=("input_ids", "attention_mask")),
        ModelSpec(inputs=("input_ids",)),
        ModelSpec(integer_type=TensorProto.INT32),
        ModelSpec(output="token_embeddings"),
        ModelSpec(output="anything"),
    ],
)
def test_model_gets_the_inputs_that_it_declares(tmp_path: Path, spec: ModelSpec) -> None:
    """Inputs are matched by name and type, outputs by name or rank; without a mask, texts run one by one."""
    subject = open_embedder(make_onnx_folder(tmp_path, make_onnx_model(spec)))
    for text, vector in zip(TEXTS, load_vectors(subject, TEXTS), strict=True):
        assert vector == pytest.approx(compute_vector(tokenize(text)) if text else np.zeros(DIM), abs=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.BOOL])
def test_mask_may_be_float_or_bool(tmp_path: Path, kind: int) -> None:
    """The attention mask is converted to the type that the model declares."""
    model = make_onnx_model()
    model.graph.input[1].type.tensor_type.elem_type = kind
    vectors = load_vectors(open_embedder(make_onnx_folder(tmp_path, model)), ["the lamp", "bell"])
    assert vectors[1] == pytest.approx(compute_vector(tokenize("bell")), abs=1e-5)


def test_sentence_output_is_not_pooled_again(tmp_path: Path) -> None:
    """An output of sentence vectors is used as it is, even if unsupported modules computed it."""
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": ""} for kind in ("Transformer", "Dense")]
    spec = ModelSpec(inputs=("input_ids",), pooled_output="sentence_embedding")
    subject = open_embedder(make_onnx_folder(tmp_path, make_onnx_model(spec), settings={"modules.json": modules}))
    vector = load_vectors(subject, ["the lamp burns"])[0]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert vector != pytest.approx(compute_vector(tokenize("the lamp burns")), abs=1e-2)


def test_model_with_external_weights_can_be_loaded(tmp_path: Path) -> None:
    """Weights of large models are in a separate file; the error names it if it is missing."""
    folder = make_onnx_folder(tmp_path)
    onnx.save_model(
        make_onnx_model(),
        folder / "onnx" / "model.onnx",
        save_as_external_data=True,
        location="model.onnx_data",
        size_threshold=100,
    )
    assert load_vectors(open_embedder(folder), ["lamp"])[0] == pytest.approx(compute_vector(tokenize("lamp")), abs=1e-5)
    (folder / "onnx" / "model.onnx_data").unlink()
    with pytest.raises(StorageError, match=r"model\.onnx cannot be used.*model\.onnx_data"):
        load_vectors(open_embedder(folder), ["lamp"])


@pytest.mark.parametrize(
    ("missing", "int8", "message"),
    [
        ("onnx/model.onnx", False, r"has no model \(onnx/model.onnx or model.onnx\); it has onnx, sentence_bert"),
        ("tokenizer.json", False, r"has no tokenizer \(tokenizer.json\)"),
        ("nothing", True, r"has no int8 model \(onnx/model_int8.onnx or .* more\); it has .*onnx/model.onnx"),
    ],
)
def test_error_names_the_missing_file(folder: Path, tmp_path: Path, missing: str, int8: bool, message: str) -> None:
    """The error names the missing file and the files that exist."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copied / missing).unlink(missing_ok=True)
    with pytest.raises(UnavailableError, match=message):
        open_embedder(copied, int8=int8)


def test_missing_onnxruntime_names_the_extra_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is raised when the embedder is created."""
    monkeypatch.setattr("semsearch.models.embedders.onnx.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"pip install 'semsearch\[onnx\]'"):
        open_embedder(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("onnx/model.onnx", b""),
        ("onnx/model.onnx", b"garbage" * 100),
        ("onnx/model.onnx", make_onnx_model().SerializeToString()[:-40]),
        ("onnx/model.onnx", make_onnx_model().SerializeToString().replace(b"length", b"l\xe5ngth")),
        ("onnx/model.onnx", make_onnx_model().SerializeToString().replace(b"Tanh", b"T\xffnh")),
        ("onnx/model.onnx", make_onnx_model(rows=4).SerializeToString()),
        ("tokenizer.json", b""),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b"\xff\xfe"),
        ("tokenizer.json", b'{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "?"}}'),
        ("sentence_bert_config.json", b"[" * 100_000),
        ("sentence_bert_config.json", b"[]"),
        ("sentence_bert_config.json", b'{"max_seq_length": "many"}'),
        ("sentence_bert_config.json", b'{"max_seq_length": -1}'),
        ("sentence_bert_config.json", b" " * (1 << 20) + b"{}"),
        ("modules.json", b"{}"),
        ("config_sentence_transformers.json", b"\xff"),
    ],
)
def test_error_names_a_damaged_file(
    folder: Path, tmp_path: Path, file: str, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error names the SPEC, the file and the remedy; nothing is printed."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copied / file).write_bytes(content)
    with pytest.raises(
        StorageError, match=f"^onnx:copy: .*{file} cannot be used: .+; copy the model into its folder again$"
    ):
        load_vectors(open_embedder(copied), ["the lamp burns"])
    assert capfd.readouterr() == ("", "")


@given(st.integers(0, 6500), st.integers(1, 255))
@settings(max_examples=60)
def test_model_with_a_flipped_byte_runs_or_is_rejected(folder: Path, offset: int, bits: int) -> None:
    """A changed byte gives vectors of length 1 or a SemsearchError, never another exception."""
    file = folder / "onnx" / "model.onnx"
    original = file.read_bytes()
    damaged = bytearray(original)
    damaged[offset % len(original)] ^= bits
    file.write_bytes(damaged)
    try:
        vectors = load_vectors(open_embedder(folder), ["the lamp burns", "x"])
        assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)
    except SemsearchError as error:
        assert str(error).startswith(f"onnx:{folder.name}: ")
    finally:
        file.write_bytes(original)


@pytest.mark.parametrize(
    ("config_files", "spec", "message"),
    [
        ({"1_Pooling/config.json": {"pooling_mode_max_tokens": True}}, ModelSpec(), "pooling"),
        ({"1_Pooling/config.json": {"pooling_mode": "lasttoken"}}, ModelSpec(), "uses lasttoken pooling"),
        (
            {
                "1_Pooling/config.json": {"include_prompt": False},
                "config_sentence_transformers.json": {"prompts": {"query": "Represent: "}},
            },
            ModelSpec(),
            "excludes its prompts from pooling",
        ),
        ({"sentence_bert_config.json": {"max_seq_length": 2}}, ModelSpec(), "accepts only 2 tokens"),
        ({"modules.json": [{"type": "Transformer"}, {"type": "models.Dense"}]}, ModelSpec(), "modules Dense"),
        ({}, ModelSpec(inputs=("input_ids", "attention_mask", "pixel_values")), "pixel_values"),
    ],
)
def test_unsupported_model_is_rejected(
    tmp_path: Path, config_files: Mapping[str, Any], spec: ModelSpec, message: str
) -> None:
    """A model whose vectors would be wrong raises an error that says which model to use."""
    folder = make_onnx_folder(tmp_path, make_onnx_model(spec), settings=config_files)
    with pytest.raises(InvalidError, match=rf"^onnx:.*{message}.*; use "):
        load_vectors(open_embedder(folder), ["the lamp burns"])


def test_input_of_an_unsupported_type_is_rejected(tmp_path: Path) -> None:
    """The error names the input and its type."""
    model = make_onnx_model()
    model.graph.input[2].type.tensor_type.elem_type = TensorProto.STRING
    with pytest.raises(InvalidError, match=r"requires the inputs .*token_type_ids of tensor\(string\); use "):
        load_vectors(open_embedder(make_onnx_folder(tmp_path, model)), ["lamp"])


def test_output_that_is_not_finite_is_rejected(tmp_path: Path) -> None:
    """NaN vectors would be stored and never match a query."""
    model = make_onnx_model()
    table = np.full((VOCABULARY_SIZE, DIM), np.nan, np.float32)
    next(tensor for tensor in model.graph.initializer if tensor.name == "table").raw_data = table.tobytes()
    with pytest.raises(StorageError, match="not finite"):
        load_vectors(open_embedder(make_onnx_folder(tmp_path, model)), ["the lamp burns"])
