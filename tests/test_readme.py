"""What the README and the docstrings show is true: every command is run, and every output shown is what comes."""

import asyncio
import doctest
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from proofs.parallel import run_service

import semsearch
from semsearch.interfaces.cli.commands import cli

pytestmark = pytest.mark.slow

REPO = Path(__file__).parent.parent
PAGES = {
    path.relative_to(REPO).as_posix(): path.read_text(encoding="utf-8")
    for path in [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
}
"""Text of each page of documentation, by its path."""

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SECONDS = re.compile(r"\d+\.\d s$|(?<=ms )\d+\.?\d*", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def find_blocks(language: str) -> list[str]:
    """Return the code blocks of one language, of all pages but the tour, which is one session (test_tour)."""
    pages = (text for path, text in PAGES.items() if path != "docs/tour.md")
    return [text for page in pages for name, text in _BLOCK.findall(page) if name == language]


def find_commands(program: str) -> list[tuple[str, str]]:
    """Return each command of a program that a page shows, with the output shown below it."""
    commands = []
    for block in find_blocks("console"):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            if command.split()[0] == program:
                commands.append((command, output))
    return commands


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's examples in it."""
    (tmp_path / "examples").symlink_to(REPO / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_shell_commands(folder: Path) -> None:
    """Every `semsearch` command works and prints what is shown, except for the times."""
    commands = find_commands("semsearch")
    assert len(commands) >= 4
    for command, expected in commands:
        arguments = [sys.executable, "-m", "semsearch", *shlex.split(command)[1:]]
        run = subprocess.run(arguments, capture_output=True, text=True, check=True, env={"COLUMNS": "104"})
        assert expected.strip(), f"no output is shown of {command}"
        assert _SECONDS.sub("? s", run.stdout).strip() == _SECONDS.sub("? s", expected).strip()


def test_python_examples(folder: Path) -> None:
    """The examples run as they are shown."""
    (folder / "docs").mkdir()
    (folder / "docs" / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks.\n")
    examples = find_blocks("python")
    assert len(examples) >= 2
    for number, example in enumerate(examples):
        work = folder / str(number)
        work.mkdir()
        for name in ("docs", "examples"):
            (work / name).symlink_to(folder / name)
        subprocess.run([sys.executable, "-c", example], check=True, timeout=60, cwd=work)


def test_http_examples(folder: Path) -> None:
    """The service answers every `curl` command with 200; another client sends it here."""
    (folder / "today.md").write_text("# Today\n\nThe lamp was mended.\n")
    library = semsearch.Library(folder / "indexes")
    library.create("default").ingest(semsearch.read("examples/handbook"))
    library.close()
    commands = find_commands("curl")
    assert commands
    with run_service(folder) as url:
        for command, _ in commands:
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


@pytest.mark.parametrize("page", PAGES)
def test_scripts_exist(page: str) -> None:
    """Every script that a page names exists and is executable."""
    for name in re.findall(r"(?<![\w/])scripts/[\w.]+", PAGES[page]):
        path = REPO / name.rstrip(".")
        assert path.exists(), name
        assert path.suffix or path.is_dir() or path.stat().st_mode & 0o111, f"{name} is not executable"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_pages_and_headings(page: str) -> None:
    """Every relative link of a page leads to a file, and its fragment to a heading of that file."""
    for target, fragment in _LINK.findall(PAGES[page]):
        path = (REPO / page).parent / target if target else REPO / page
        assert path.exists(), target
        if fragment:
            headings = {
                re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in _HEADING.findall(path.read_text())
            }
            assert fragment in headings or f'id="{fragment}"' in path.read_text(), f"{target}#{fragment}"


def test_every_verb_and_setting_is_documented() -> None:
    """The README names every verb, and the pages every setting."""
    for verb in cli.commands:
        assert f"`{verb}" in PAGES["README.md"], verb
    source = (REPO / "semsearch" / "core" / "settings.py").read_text(encoding="utf-8")
    names = re.findall(r'values\.\w+\("([\w.]+)"', source)
    assert len(names) > 10
    for name in names:
        variable = "SEMSEARCH_" + name.upper().replace(".", "__")
        assert variable in PAGES["docs/operations.md"], variable


def test_readme_is_short() -> None:
    """The README has fewer than 200 lines; details are in the guides."""
    assert PAGES["README.md"].count("\n") < 200


def test_architecture_names_what_exists() -> None:
    """Every file that docs/architecture.md names exists, and every package is in it."""
    page = PAGES["docs/architecture.md"]
    package = REPO / "semsearch"
    names = {path.relative_to(package).as_posix() for path in package.rglob("*")}
    for name in re.findall(r"[`>]((?:[a-z_…]+/)*[a-z_]+\.py|(?:[a-z_…]+/)+)[`<]", page):
        tail = name.replace("…/", "/").split("//")[-1].strip("/").removeprefix("semsearch/")
        in_tests = (REPO / name).exists()
        assert in_tests or any(f"/{path}".endswith(f"/{tail}") for path in names), name
    for path in package.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert f"<b>{path.name}</b>" in page, path.name


EXAMPLES = [path for path in sorted((REPO / "semsearch").rglob("*.py")) if "    >>> " in path.read_text("utf-8")]


@pytest.fixture(scope="module")
def example_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which examples run: `docs/` with one document, and `indexes/` with the collection of it."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "docs").mkdir()
    (folder / "docs" / "leave.md").write_text("# Leave\n\nParental leave is 26 weeks at full pay.\n")
    with semsearch.Library(folder / "indexes") as library:
        library.create("handbook").ingest(folder / "docs")
    return folder


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(REPO / "semsearch").as_posix())
def test_docstring_examples(path: Path, example_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples in docstrings are true. Each has a `library` of its own, with the collection `handbook`."""
    monkeypatch.chdir(example_folder)
    module = importlib.import_module(".".join(path.relative_to(REPO).with_suffix("").parts))
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for number, test in enumerate(doctest.DocTestFinder().find(module)):
        if test.examples:
            indexes = shutil.copytree("indexes", tmp_path / f"indexes{number}")
            with semsearch.Library(indexes) as library:
                handbook = library.open("handbook")
                test.globs.update(semsearch=semsearch, asyncio=asyncio, library=library, handbook=handbook)
                runner.run(test)
    results = runner.summarize(verbose=False)
    assert results.attempted
    assert not results.failed
