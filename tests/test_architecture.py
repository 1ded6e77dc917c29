"""The map of the house: which module stands on which floor, who owns which package, and what stays light."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from semsearch import Library, text_source
from semsearch.answers.answerers import ANSWERERS
from semsearch.ingest.readers import READERS
from semsearch.models.embedders import EMBEDDERS

PACKAGE = Path(__file__).parent.parent / "semsearch"

LEVELS = {
    "core": 0,
    "text": 1,
    "usage": 1,
    "models": 2,
    "search": 2,
    "ingest": 2,
    "storage": 2,
    "answers": 3,
    "collection": 4,
    "library": 5,
    "evaluation": 6,
    "interfaces": 8,
    "": 9,
    "__main__": 9,
}
"""A module imports from packages of a lower level and from its own package only."""

STORAGE_USER = "library"
"""The only module outside `storage` that may import it."""

ADAPTERS = {
    "answers.answerers": {"chat", "extractive"},
    "models.embedders": {"local", "onnx", "openai", "static"},
    "storage.ledger": {"local"},
    "ingest.readers": {
        "data.delimited", "data.json_records", "data.notebook", "data.xml", "markup.asciidoc", "markup.epub",
        "markup.html", "markup.markdown", "markup.rst", "office.docx", "office.odf", "office.pptx", "office.xlsx",
        "pdf.reader", "plain.mail", "plain.subtitles", "plain.text",
    },
    "storage.collections": {"local"},
}  # fmt: skip
"""The backends of each backend package. Its table imports them; no backend imports another."""

SHARED_ADAPTERS = {
    ("models.embedders.local_process", "models.embedders.local"),
    ("models.embedders.openai_batch", "models.embedders.openai"),
    ("models.embedders.local_worker", "models.embedders.local"),
    ("ingest.readers.markup.epub", "ingest.readers.markup.html"),
    ("ingest.readers.plain.mail", "ingest.readers.plain.text"),
    ("ingest.readers.plain.subtitles", "ingest.readers.plain.text"),
}
"""Exceptions: the process that runs an embedder, the Batch API, and formats that contain HTML pages or plain text."""

OWNERS = {
    "faiss": {"storage.collections.local.index.pq_codes"},
    "sqlite3": {"storage"},
    "sqlite_utils": {"storage.collections.local", "storage.ledger.local"},
    "fastapi": {"interfaces.http"},
    "fastapi_offline": {"interfaces.http"},
    "starlette": {"interfaces.http"},
    "pydantic": {"interfaces.http"},
    "uvicorn": {"interfaces.http"},
    "click": {"interfaces.cli"},
    "rich": {"interfaces.cli"},
    "Stemmer": {"text.analyzer"},
    "tokenizers": {"models.embedders"},
    "onnxruntime": {"models.embedders.onnx_session"},
    "pypdfium2": {"ingest.readers.pdf"},
    "lxml": {"ingest.readers"},
    "openpyxl": {"ingest.readers.office.xlsx"},
    "selectolax": {"ingest.readers.markup"},
    "markdown_it": {"ingest.readers.markup"},
    # httpx: the client of model servers is five modules of one package
    "httpx": {"models.openai"},
    # orjson: the replies of model servers and the replies of our service, which have nothing in common
    "orjson": {"interfaces.http", "models.openai"},
    # numpy: vectors and scores are computed in these packages; the others only hand them on
    "numpy": {"core.types", "models", "search", "storage", "evaluation.metrics"},
}
"""Third-party packages (and sqlite3) with the modules or packages that alone may import each."""


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


def _level(name: str) -> int:
    return LEVELS[name.split(".")[0]]


def _targets(name: str) -> set[str]:
    """The modules of ours that this one imports."""
    return {_own(target) for target in _imports(name, MODULES[name]) if target.startswith(".")} - {name}


def _adapter(name: str, folder: str) -> str | None:
    """The adapter of `folder` that a module is, or is a part of."""
    rest = name.removeprefix(f"{folder}.")
    return next((adapter for adapter in ADAPTERS[folder] if f"{rest}.".startswith(f"{adapter}.")), None)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_lead_downwards(name: str) -> None:
    """A module imports from packages of a lower level, or from its own package."""
    for target in _targets(name):
        same_package = target.split(".")[0] == name.split(".")[0]
        assert same_package or _level(target) < _level(name), f"{name or 'semsearch'} imports {target or 'semsearch'}"


def test_storage_is_imported_by_the_library_only() -> None:
    """What lies on disk is known to one module outside `storage`: the one that joins everything."""
    users = {
        name
        for name in MODULES
        for target in _targets(name)
        if target.split(".")[0] == "storage" and name.split(".")[0] != "storage"
    }
    assert users == {STORAGE_USER}


@pytest.mark.parametrize("folder", sorted(ADAPTERS))
def test_no_adapter_imports_another(folder: str) -> None:
    """Neither directly nor through a module that they share."""
    pairs = {
        (name, target)
        for name in MODULES
        if name.startswith(f"{folder}.")
        for target in _targets(name)
        if target.startswith(f"{folder}.") and _adapter(target, folder) not in (None, _adapter(name, folder))
    }
    assert pairs == {pair for pair in SHARED_ADAPTERS if pair[0].startswith(f"{folder}.")}


def test_adapters_are_those_of_the_tables() -> None:
    """One that a table leads to is an adapter, and no other."""
    assert ADAPTERS["answers.answerers"] == ANSWERERS.keys()
    assert ADAPTERS["models.embedders"] == EMBEDDERS.keys()
    modules = {load().__module__.removeprefix("semsearch.ingest.readers.") for load in READERS.values()}
    assert ADAPTERS["ingest.readers"] == modules


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
    assert readers == {"core.settings"}


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
    assert {name for name in broad if not name.startswith("interfaces.")} <= {"ingest.readers.worker"}


def test_help_is_light() -> None:
    """`semsearch --help` loads none of the heavy packages."""
    heavy = {"faiss", "fastapi", "numpy", "sqlite_utils", "rich", "httpx", "tokenizers"}
    code = (
        "import sys; sys.argv = ['semsearch', '--help']\n"
        "from semsearch.interfaces.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print('loaded:', sorted({heavy!r} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.rstrip().endswith("loaded: []")


def test_a_command_can_be_broken_off_from_the_first() -> None:
    """What takes time to load is loaded where Ctrl-C is already looked for."""
    code = "import sys, semsearch.interfaces.cli.main; print(*(n for n in sys.modules if n[:4] in ('clic', 'sems')))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names = ["semsearch", "semsearch.interfaces", "semsearch.interfaces.cli", "semsearch.interfaces.cli.main"]
    assert output.split() == names


def test_a_search_is_light(tmp_path: Path) -> None:
    """A service that is only searched loads neither what answers and ingests, nor the framework, nor a tokenizer."""
    heavy = {"semsearch.answers.pipeline", "semsearch.ingest.pipeline", "semsearch.usage.metering"}
    heavy |= {"semsearch.storage.embedding_cache"}
    heavy |= {"fastapi", "sqlite_utils", "rich", "httpx", "tokenizers", "tomllib", "numpy.ma"}
    with Library(tmp_path / "indexes") as library:
        library.create("few").upsert([text_source("a.txt", "The lamp is lit.")])
    code = (
        "import asyncio, sys\n"
        "from semsearch.library import Library\n"
        "from semsearch.interfaces.http import prefork, server\n"
        "with Library('indexes') as library:\n"
        "    print(len(asyncio.run(library.open('few').asearch('lamp'))), 'hit')\n"
        f"print('loaded:', sorted({heavy!r} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["1 hit", "loaded: []"]
