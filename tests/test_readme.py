"""What the README and the docstrings show is true: every command is run, and every output shown is what comes."""

import doctest
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from proofs.parallel import run_service

import semsearch
from semsearch.interfaces.cli.commands import cli

REPO = Path(__file__).parent.parent
README = (REPO / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SECONDS = re.compile(r"\d+\.\d s$|(?<=ms )\d+\.?\d*", re.MULTILINE)


def blocks(language: str) -> list[str]:
    """The README's code blocks of one language."""
    return [text for found, text in _BLOCK.findall(README) if found == language]


def commands(program: str) -> list[tuple[str, str]]:
    """Each command of a program that the README shows, with the output shown below it."""
    found = []
    for block in blocks("console"):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            if command.split()[0] == program:
                found.append((command, output))
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's examples in it."""
    (tmp_path / "examples").symlink_to(REPO / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_shell_commands(folder: Path) -> None:
    """Every `semsearch` command works, and prints what is shown but for the times."""
    shown = commands("semsearch")
    assert len(shown) >= 3
    for command, expected in shown:
        arguments = [sys.executable, "-m", "semsearch", *shlex.split(command)[1:]]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env={"COLUMNS": "104"})
        assert expected.strip(), f"the README shows no output of {command}"
        assert _SECONDS.sub("? s", done.stdout).strip() == _SECONDS.sub("? s", expected).strip()


def test_python_example(folder: Path) -> None:
    """The example runs as it stands."""
    (example,) = blocks("python")
    subprocess.run([sys.executable, "-c", example], check=True, timeout=60)


def test_http_examples(folder: Path) -> None:
    """Every `curl` command gets a 200 from the service, here said by another client."""
    (folder / "today.md").write_text("# Today\n\nThe lamp was mended.\n")
    library = semsearch.Library(folder / "indexes")
    library.create("default").ingest(semsearch.read("examples/handbook"))
    library.close()
    shown = commands("curl")
    assert shown
    with run_service(folder) as url:
        for command, _ in shown:
            response = _curl(command.replace("http://127.0.0.1:8765", url))
            assert response.status_code == 200, response.text


def _curl(command: str) -> httpx.Response:
    words = iter(shlex.split(command)[1:])
    method, target, headers, body = "GET", "", {}, None
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word in ("-d", "--data-binary"):
            data = next(words)
            body = Path(data[1:]).read_bytes() if data.startswith("@") else data.encode()
            method = "POST" if method == "GET" else method
        elif word != "-s":
            target = word
    return httpx.request(method, target, headers=headers, content=body, timeout=30)


def test_scripts_exist() -> None:
    """Every script that is named is there and can be run."""
    for name in re.findall(r"scripts/[\w.]+", README):
        path = REPO / name
        assert path.exists(), name
        assert path.suffix or path.is_dir() or path.stat().st_mode & 0o111, f"{name} cannot be executed"


def test_every_verb_and_setting_is_named() -> None:
    """The README names every verb of the command line and every setting."""
    for verb in cli.commands:
        assert f"`{verb}" in README, verb
    source = (REPO / "semsearch" / "settings.py").read_text(encoding="utf-8")
    for name in re.findall(r'values\.\w+\("([\w.]+)"', source):
        variable = "SEMSEARCH_" + name.upper().replace(".", "__")
        assert variable in README, variable


def test_the_tree_is_complete() -> None:
    """The tree has one line for every file and folder of the package's top floor, and none for what is not there."""
    (tree,) = (text for text in blocks("text") if "semsearch/" in text)
    named = set(re.findall(r"(?:^|\s)([\w./]+)", tree))
    for path in (REPO / "semsearch").iterdir():
        if not path.name.startswith("__") and path.name != "py.typed":
            assert path.name in named or f"{path.name}/" in named, path.name
    for name in re.findall(r"[\w/]+\.py", tree):
        assert list((REPO / "semsearch").rglob(name)) or (REPO / "scripts" / name).exists(), name


EXAMPLES = [path for path in sorted((REPO / "semsearch").rglob("*.py")) if "    >>> " in path.read_text("utf-8")]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_docstring_examples(path: Path) -> None:
    """The examples in docstrings are true."""
    name = ".".join(path.relative_to(REPO).with_suffix("").parts)
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted
    assert not results.failed
