"""The map of the house: which module stands on which floor, who owns which package, and what stays light."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from semsearch import Library, text_source
from semsearch.answerers import ANSWERERS
from semsearch.embedders import EMBEDDERS
from semsearch.readers import READERS

PACKAGE = Path(__file__).parent.parent / "semsearch"

LEVELS = {
    "errors": 0,
    "accounts": 0,
    "locks": 1,
    "config_files": 1,
    "proxies": 0,
    "trust": 3,
    "pipes": 1,
    "processes": 2,
    "sqlite_files": 2,
    "cleaning": 1,
    "retries": 1,
    "packed": 0,
    "types": 1,
    "answers": 2,
    "records": 3,
    "analysis": 2,
    "segmentation": 2,
    "filters": 2,
    "profiles": 3,
    "tokens": 2,
    "kinds": 2,
    "prices": 2,
    "shutdowns": 0,
    "settings": 4,
    "chunking": 3,
    "holding": 3,
    "ranking": 4,
    "markers": 0,
    "citations": 3,
    "prompts": 3,
    "facts": 3,
    "support": 4,
    "ports": 4,
    "sources": 3,
    "loops": 3,
    "grounding": 4,
    "evaluation": 4,
    "judgements": 4,
    "charts": 4,
    "openai_replies": 4,
    "metering": 5,
    "openai_failures": 5,
    "openai_pool": 5,
    "openai_models": 6,
    "openai_parameters": 6,
    "openai_wire": 6,
    "openai_api": 7,
    "readers": 8,
    "embedders": 8,
    "answerers": 8,
    "stores": 8,
    "ledger": 8,
    "placing": 9,
    "lockstep": 0,
    "retrieval": 9,
    "passages": 9,
    "conversing": 9,
    "planning": 10,
    "reading": 10,
    "remembering": 10,
    "searching": 10,
    "batches": 10,
    "ingestion": 11,
    "answering": 11,
    "collection": 12,
    "library": 13,
    "evaluating": 13,
    "": 14,
    "__main__": 16,
    "shells": 15,
}
"""A module imports from lower floors only; what files of one folder import of each other, see `ADAPTERS`."""

ADAPTERS = {
    "answerers": {"chat", "extractive"},
    "embedders": {"local", "onnx", "openai", "static"},
    "ledger": {"local"},
    "readers": {
        "asciidoc", "docx", "epub", "html", "mail", "markdown", "notebook", "odf", "pdf", "pptx", "records", "rst",
        "separated", "subtitles", "text", "xlsx", "xml",
    },
    "stores": {"local"},
}  # fmt: skip
"""What there are many of in a folder: its table imports them, and its other files nothing but what they share."""

BESIDE = {
    ("embedders.beside", "embedders.local"),
    ("embedders.child", "embedders.local"),
    ("readers.epub", "readers.html"),
    ("readers.mail", "readers.text"),
    ("readers.subtitles", "readers.text"),
}
"""Who imports an adapter all the same: the process in which one works, and those that hold pages, or plain text."""

OWNERS = {
    "faiss": {"stores.local.vectors"},
    "httpx": {"openai_api", "openai_failures", "openai_pool", "openai_wire"},
    "sqlite3": {"sqlite_files", "stores.local", "ledger.local"},
    "sqlite_utils": {"stores.local", "ledger.local"},
    "fastapi": {"shells.http"},
    "fastapi_offline": {"shells.http"},
    "starlette": {"shells.http"},
    "pydantic": {"shells.http"},
    "uvicorn": {"shells.http"},
    "click": {"shells.cli"},
    "rich": {"shells.cli"},
    "Stemmer": {"analysis"},
    "tokenizers": {"embedders"},
    "onnxruntime": {"embedders.sessions"},
    "orjson": {"shells.http", "openai_replies"},
    "pypdfium2": {"readers.pdf"},
    "lxml": {"readers"},
    "openpyxl": {"readers.xlsx"},
    "selectolax": {"readers"},
    "markdown_it": {"readers.commonmark", "readers.markdown"},
}
"""Third-party packages (and sqlite3) with the module or folder that alone may import each."""


def _modules() -> dict[str, Path]:
    names = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


@cache
def _imports(name: str, file: Path) -> set[str]:
    """Dotted names that a module imports anywhere in it; ours with a dot in front of them."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    package = [part for part in package if part]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] + (node.module or "").split(".")
            base = [part for part in base if part]
            found |= {".".join(["", *base, alias.name]) for alias in node.names}
    return found


MODULES = _modules()


def _own(target: str) -> str:
    """The module of ours that `target`, written with a dot in front, leads to."""
    name = target[1:]
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def _floor(name: str) -> int:
    return LEVELS[name.split(".")[0]]


def _targets(name: str) -> set[str]:
    """The modules of ours that this one imports."""
    return {_own(target) for target in _imports(name, MODULES[name]) if target.startswith(".")} - {name}


def _adapter(name: str) -> str | None:
    """The adapter that a module is, or is a part of."""
    folder, _, rest = name.partition(".")
    part = rest.split(".")[0]
    return f"{folder}.{part}" if part in ADAPTERS.get(folder, ()) else None


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_lead_downwards(name: str) -> None:
    """A module imports from lower floors, or from its own folder."""
    for target in _targets(name):
        same_folder = target.split(".")[0] == name.split(".")[0]
        assert same_folder or _floor(target) < _floor(name), f"{name or 'semsearch'} imports {target or 'semsearch'}"


@pytest.mark.parametrize("folder", sorted(ADAPTERS))
def test_no_adapter_imports_another(folder: str) -> None:
    """Nor does what they share import one of them, through which they would meet."""
    found = {
        (name, target)
        for name in MODULES
        if name.startswith(f"{folder}.")
        for target in _targets(name)
        if target.startswith(f"{folder}.") and _adapter(target) not in (None, _adapter(name))
    }
    assert found == {pair for pair in BESIDE if pair[0].startswith(f"{folder}.")}


def test_adapters_are_those_of_the_tables() -> None:
    """One that a table leads to is an adapter, and no other."""
    assert ADAPTERS["answerers"] == ANSWERERS.keys()
    assert ADAPTERS["embedders"] == EMBEDDERS.keys()
    assert ADAPTERS["readers"] == {load().__module__.split(".")[-1] for load in READERS.values()}


def test_no_cycles() -> None:
    """No module leads back to itself, late imports included."""
    edges = {name: _targets(name) for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path, name])
        if name not in done:
            for target in edges[name]:
                visit(target, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_one_owner_per_package(package: str) -> None:
    """Each third-party package is imported by its owner alone."""
    users = {name for name, file in MODULES.items() if package in {t.split(".")[0] for t in _imports(name, file)}}
    strangers = {user for user in users if not any(f"{user}.".startswith(f"{owner}.") for owner in OWNERS[package])}
    assert users
    assert not strangers


def test_one_reader_of_the_environment() -> None:
    """Only the settings read it, whatever name they read it by."""
    ways = {"environ", "environb", "getenv", "getenvb"}
    readers = set()
    for name, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                named = {alias.name for alias in node.names} | ({"environ"} if _all_of_os(node) else set())
            else:
                named = {node.attr} if isinstance(node, ast.Attribute) else set()
            if named & ways:
                readers.add(name)
    assert readers == {"settings"}


def _all_of_os(node: ast.ImportFrom) -> bool:
    return node.module == "os" and node.names[0].name == "*"


def test_broad_excepts_stand_at_the_top_only() -> None:
    """Nothing below a shell or a reading child catches everything."""
    broad = set()
    for name, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
            ):
                broad.add(name)
    assert {name for name in broad if not name.startswith("shells.")} <= {"readers.child"}


def test_help_is_light() -> None:
    """`semsearch --help` loads none of the heavy packages."""
    heavy = {"faiss", "fastapi", "numpy", "sqlite_utils", "rich", "httpx", "tokenizers"}
    code = (
        "import sys; sys.argv = ['semsearch', '--help']\n"
        "from semsearch.shells.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print('loaded:', sorted({heavy!r} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.rstrip().endswith("loaded: []")


def test_a_command_can_be_broken_off_from_the_first() -> None:
    """What takes time to load is loaded where Ctrl-C is already looked for."""
    code = "import sys, semsearch.shells.cli.main; print(*(n for n in sys.modules if n[:4] in ('clic', 'sems')))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["semsearch", "semsearch.shells", "semsearch.shells.cli", "semsearch.shells.cli.main"]


def test_a_search_is_light(tmp_path: Path) -> None:
    """A service that is only searched loads neither what answers and ingests, nor the framework, nor a tokenizer."""
    heavy = {"semsearch.answering", "semsearch.ingestion", "semsearch.metering", "semsearch.ledger.local.paid"}
    heavy |= {"fastapi", "sqlite_utils", "rich", "httpx", "tokenizers", "tomllib", "numpy.ma"}
    with Library(tmp_path / "indexes") as library:
        library.create("few").put([text_source("a.txt", "The lamp is lit.")])
    code = (
        "import asyncio, sys\n"
        "from semsearch.library import Library\n"
        "from semsearch.shells.http import serving, workers\n"
        "with Library('indexes') as library:\n"
        "    print(len(asyncio.run(library.open('few').asearch('lamp'))), 'hit')\n"
        f"print('loaded:', sorted({heavy!r} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["1 hit", "loaded: []"]
