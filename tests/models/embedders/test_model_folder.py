"""What may stand in a model's folder: settings that are followed, models of other forms, missing and damaged files."""

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


def made(path: Path, *, int8: bool = False) -> OnnxEmbedder:
    """The embedder of a folder."""
    return OnnxEmbedder(ModelFolder(f"onnx:{path.name}", path), int8=int8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says nothing but its limit."""
    return make_onnx_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def model(folder: Path) -> OnnxEmbedder:
    """Its embedder."""
    return made(folder)


@pytest.mark.parametrize(
    ("said", "limit"),
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
def test_a_text_is_cut_at_the_limit_of_the_model(tmp_path: Path, said: Mapping[str, Any], limit: int) -> None:
    """The limit is that of the files of settings, markers included, and not the one the tokenizer was saved with."""
    subject = made(make_onnx_folder(tmp_path, settings=said))
    text = "the lamp burns in the fog and a bell rings at night " * 3
    assert load_vectors(subject, [text])[0] == pytest.approx(compute_vector(tokenize(text, limit)), abs=1e-5)


@pytest.mark.parametrize(
    "said",
    [
        {"1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}},
        {"1_Pooling/config.json": {"pooling_mode": "cls", "embedding_dimension": DIM}},
        {
            "modules.json": [{"type": "sentence_transformers.models.Pooling", "path": "7_Pool"}],
            "7_Pool/config.json": {"pooling_mode": ["cls"]},
        },
    ],
)
def test_pooling_by_the_first_token(tmp_path: Path, said: Mapping[str, Any]) -> None:
    """The older and the newer form of the settings are read, from the folder that the list of modules names."""
    subject = made(make_onnx_folder(tmp_path, settings=said))
    expected = compute_vector(tokenize("the lamp burns"), pooling="cls")
    assert load_vectors(subject, ["the lamp burns"])[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("said", "query", "passage"),
    [
        ({"prompts": {"query": "query: ", "passage": "passage: "}}, "query: ", "passage: "),
        ({"prompts": {"query": "query: ", "document": None}}, "query: ", ""),
        ({"prompts": {"corpus": "the ", "other": "a "}, "default_prompt_name": "other"}, "a ", "the "),
        ({"prompts": {}, "default_prompt_name": None}, "", ""),
        ({"prompts": ["query: "]}, "", ""),
    ],
)
def test_prefixes_of_questions_and_passages(
    tmp_path: Path, said: Mapping[str, Any], query: str, passage: str, model: OnnxEmbedder
) -> None:
    """What the model wants in front of questions and of passages is put there, and nothing else."""
    subject = made(make_onnx_folder(tmp_path, settings={"config_sentence_transformers.json": said}))
    plain = load_vectors(model, [f"{query}the lamp", f"{passage}the lamp"])
    assert load_vectors(subject, ["the lamp"], query=True)[0] == pytest.approx(plain[0], abs=1e-6)
    assert load_vectors(subject, ["the lamp"])[0] == pytest.approx(plain[1], abs=1e-6)


def test_texts_in_lower_case_where_the_model_wants_it(tmp_path: Path, model: OnnxEmbedder) -> None:
    """Models that were trained on lower case say so in their settings, not in their tokenizer."""
    folder = make_onnx_folder(
        tmp_path, settings={"sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": True}}
    )
    vocabulary = json.loads((folder / "tokenizer.json").read_text())
    vocabulary["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    assert load_vectors(made(folder), ["THE LAMP"])[0] == pytest.approx(load_vectors(model, ["the lamp"])[0], abs=1e-6)


@pytest.mark.parametrize(
    "shape",
    [
        ModelSpec(inputs=("input_ids", "attention_mask")),
        ModelSpec(inputs=("input_ids",)),
        ModelSpec(integer_type=TensorProto.INT32),
        ModelSpec(output="token_embeddings"),
        ModelSpec(output="anything"),
    ],
)
def test_models_are_fed_what_they_declare(tmp_path: Path, shape: ModelSpec) -> None:
    """Inputs by name and kind, outputs by name or form; a text's vector stays its own even without a mask."""
    subject = made(make_onnx_folder(tmp_path, make_onnx_model(shape)))
    for text, vector in zip(TEXTS, load_vectors(subject, TEXTS), strict=True):
        assert vector == pytest.approx(compute_vector(tokenize(text)) if text else np.zeros(DIM), abs=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.BOOL])
def test_masks_of_other_kinds(tmp_path: Path, kind: int) -> None:
    """A mask may be of truth values or of fractions as well."""
    model = make_onnx_model()
    model.graph.input[1].type.tensor_type.elem_type = kind
    found = load_vectors(made(make_onnx_folder(tmp_path, model)), ["the lamp", "bell"])
    assert found[1] == pytest.approx(compute_vector(tokenize("bell")), abs=1e-5)


def test_ready_vectors_are_taken_as_they_are(tmp_path: Path) -> None:
    """An output of whole texts is not pooled again, also where more modules have made it."""
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": ""} for kind in ("Transformer", "Dense")]
    shape = ModelSpec(inputs=("input_ids",), pooled_output="sentence_embedding")
    subject = made(make_onnx_folder(tmp_path, make_onnx_model(shape), settings={"modules.json": modules}))
    found = load_vectors(subject, ["the lamp burns"])[0]
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)
    assert found != pytest.approx(compute_vector(tokenize("the lamp burns")), abs=1e-2)


def test_a_model_with_its_weights_beside_it(tmp_path: Path) -> None:
    """Weights of large models stand in a file of their own, which is found, and missed where it is not there."""
    folder = make_onnx_folder(tmp_path)
    onnx.save_model(
        make_onnx_model(),
        folder / "onnx" / "model.onnx",
        save_as_external_data=True,
        location="model.onnx_data",
        size_threshold=100,
    )
    assert load_vectors(made(folder), ["lamp"])[0] == pytest.approx(compute_vector(tokenize("lamp")), abs=1e-5)
    (folder / "onnx" / "model.onnx_data").unlink()
    with pytest.raises(StorageError, match=r"model\.onnx cannot be used.*model\.onnx_data"):
        load_vectors(made(folder), ["lamp"])


@pytest.mark.parametrize(
    ("missing", "int8", "said"),
    [
        ("onnx/model.onnx", False, r"has no model \(onnx/model.onnx or model.onnx\); it has onnx, sentence_bert"),
        ("tokenizer.json", False, r"has no tokenizer \(tokenizer.json\)"),
        ("nothing", True, r"has no int8 model \(onnx/model_int8.onnx or .* more\); it has .*onnx/model.onnx"),
    ],
)
def test_what_is_missing_is_named(folder: Path, tmp_path: Path, missing: str, int8: bool, said: str) -> None:
    """An error names the file that was looked for, and those that are there."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copied / missing).unlink(missing_ok=True)
    with pytest.raises(UnavailableError, match=said):
        made(copied, int8=int8)


def test_without_onnxruntime_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named before anything is made."""
    monkeypatch.setattr("semsearch.models.embedders.onnx.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"pip install 'semsearch\[onnx\]'"):
        made(folder)


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
def test_a_damaged_file_is_named(
    folder: Path, tmp_path: Path, file: str, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with a file, the error names it, the SPEC and what to do, and nothing else is printed."""
    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copied / file).write_bytes(content)
    with pytest.raises(
        StorageError, match=f"^onnx:copy: .*{file} cannot be used: .+; copy the model into its folder again$"
    ):
        load_vectors(made(copied), ["the lamp burns"])
    assert capfd.readouterr() == ("", "")


@given(st.integers(0, 6500), st.integers(1, 255))
@settings(max_examples=60)
def test_a_model_with_a_wrong_byte_runs_or_is_refused(folder: Path, at: int, by: int) -> None:
    """A flipped byte anywhere in a model gives other vectors of length 1, or an error of ours; never anything else."""
    file = folder / "onnx" / "model.onnx"
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[at % len(whole)] ^= by
    file.write_bytes(damaged)
    try:
        vectors = load_vectors(made(folder), ["the lamp burns", "x"])
        assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)
    except SemsearchError as error:
        assert str(error).startswith(f"onnx:{folder.name}: ")
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize(
    ("said", "shape", "why"),
    [
        ({"1_Pooling/config.json": {"pooling_mode_max_tokens": True}}, ModelSpec(), "pools by"),
        ({"1_Pooling/config.json": {"pooling_mode": "lasttoken"}}, ModelSpec(), "pools by lasttoken"),
        (
            {
                "1_Pooling/config.json": {"include_prompt": False},
                "config_sentence_transformers.json": {"prompts": {"query": "Represent: "}},
            },
            ModelSpec(),
            "prompts out of the pooling",
        ),
        ({"sentence_bert_config.json": {"max_seq_length": 2}}, ModelSpec(), "takes 2 tokens"),
        ({"modules.json": [{"type": "Transformer"}, {"type": "models.Dense"}]}, ModelSpec(), "goes on with Dense"),
        ({}, ModelSpec(inputs=("input_ids", "attention_mask", "pixel_values")), "pixel_values"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    tmp_path: Path, said: Mapping[str, Any], shape: ModelSpec, why: str
) -> None:
    """What would give wrong vectors without a word is an error that says what to take instead."""
    folder = make_onnx_folder(tmp_path, make_onnx_model(shape), settings=said)
    with pytest.raises(InvalidError, match=rf"^onnx:.*{why}.*; take "):
        load_vectors(made(folder), ["the lamp burns"])


def test_an_input_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    """It is named with its kind."""
    model = make_onnx_model()
    model.graph.input[2].type.tensor_type.elem_type = TensorProto.STRING
    with pytest.raises(InvalidError, match=r"wants .*token_type_ids of tensor\(string\); take "):
        load_vectors(made(make_onnx_folder(tmp_path, model)), ["lamp"])


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """A model that overflows makes no vectors that would be compared with everything and found nowhere."""
    model = make_onnx_model()
    table = np.full((VOCABULARY_SIZE, DIM), np.nan, np.float32)
    next(each for each in model.graph.initializer if each.name == "table").raw_data = table.tobytes()
    with pytest.raises(StorageError, match="not finite"):
        load_vectors(made(make_onnx_folder(tmp_path, model)), ["the lamp burns"])
