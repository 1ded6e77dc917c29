"""The programs in `examples/`: each is short and runs as it is, on the handbook beside it."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parent.parent / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "practice_server")
"""The practice server, which imports nothing of ours, is run by test_tour."""


def run_example(name: str, folder: Path, *arguments: str, stdin: str = "") -> str:
    """Run a program in a folder of its own and return what it prints."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    return subprocess.run(
        command, cwd=folder, input=stdin, capture_output=True, text=True, check=True, timeout=120
    ).stdout


def test_examples_are_the_five_and_short() -> None:
    """Each has one sentence at its top and at most 50 lines, and imports nothing private."""
    assert PROGRAMS == ["custom_embedder", "evaluate", "fastapi_app", "search_folder", "support_bot"]
    for name in PROGRAMS:
        source = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
        assert source.count("\n") <= 50, name
        tree = ast.parse(source)
        assert "\n" not in (ast.get_docstring(tree) or "\n"), name
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not any(module.startswith("semsearch") for module in modules), name


def test_search_folder(tmp_path: Path) -> None:
    """The best passage for the default query comes first, and a second run ingests nothing anew."""
    first, second = run_example("search_folder", tmp_path), run_example("search_folder", tmp_path)
    assert first == second
    assert "handbook/people/leave.md, Leave › Parental leave" in first.splitlines()[0]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "lamp.txt").write_text("The lamp was mended.")
    assert "notes/lamp.txt" in run_example("search_folder", tmp_path, "notes", "mended lamp")


def test_custom_embedder(tmp_path: Path) -> None:
    """A misspelt query finds its document by the vectors alone, also when the collection is opened again."""
    for _ in range(2):
        assert "handbook/people/leave.md" in run_example("custom_embedder", tmp_path).splitlines()[0]


def test_evaluate(tmp_path: Path) -> None:
    """It prints three counts; the right document is among the first five for most questions."""
    hits, answered, refused = (line.rpartition(": ")[2] for line in run_example("evaluate", tmp_path).splitlines())
    assert int(hits.split()[0]) >= 25
    assert [hits.split()[-1], answered.split()[-1], refused.split()[-1]] == ["30", "30", "10"]


def test_support_bot(tmp_path: Path) -> None:
    """It answers with a source, hands over where there is no answer, and ends with its input."""
    output = run_example("support_bot", tmp_path, stdin="How long is parental leave?\nWho painted the Mona Lisa?\n\n")
    assert "26 weeks" in output
    assert "[1] handbook/people/leave.md" in output
    assert "a person would take over" in output


def test_fastapi_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers with quotes, and refuses an empty question."""
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLES / "fastapi_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with TestClient(module.app) as client:
        reply = client.get("/ask", params={"question": "How long is parental leave?"}).json()
        assert "26 weeks" in reply["text"]
        assert "26 weeks" in reply["quotes"]["[1] handbook/people/leave.md"]
        assert client.get("/ask", params={"question": " "}).status_code == 422
