"""The architecture: levels of the packages, owners of third-party packages, and modules that load few dependencies."""

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
    "access": 1,
    "models": 2,
    "search": 2,
    "ingest": 2,
    "storage": 2,
    "answers": 3,
    "collection": 4,
    "library": 5,
    "evaluation": 6,
    "learning": 6,
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
    "prometheus_client": {"interfaces.http.prometheus_metrics"},
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
    "pathspec": {"ingest.ignore_rules"},
    # httpx: the client of model servers is five modules of one package; webhooks are no model servers
    "httpx": {"models.openai", "interfaces.webhooks.client"},
    # orjson: the replies of model servers, those of our service, and the documents that reader processes send, which
    # have nothing in common
    "orjson": {"interfaces.http", "models.openai", "ingest.readers.document_frames"},
    # numpy: vectors and scores are computed in these packages; the others only hand them on
    "numpy": {
        "core.types",
        "core.vector_spool",
        "models",
        "search",
        "storage",
        "answers.excerpt_ranking",
        "evaluation.metrics",
        "evaluation.recommendation",
        "learning.question_clusters",
    },
}
"""Third-party packages (and sqlite3) with the modules or packages that alone may import each."""


def _modules() -> dict[str, Path]:
    """Return the file of each module by its dotted name without `semsearch.`; that of the package itself is ""."""
    files = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return files


MODULES = _modules()


@cache
def _nodes(name: str) -> list[ast.AST]:
    """Return all syntax nodes of a module."""
    return list(ast.walk(ast.parse(MODULES[name].read_text())))


@cache
def _imported_names(name: str) -> set[str]:
    """Return the dotted names that a module imports anywhere in it; our own names begin with a dot."""
    package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
    package = [part for part in package if part]
    imported = set()
    for node in _nodes(name):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(node.module or "")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] + (node.module or "").split(".")
            base = [part for part in base if part]
            imported |= {".".join(["", *base, alias.name]) for alias in node.names}
    return imported


def _resolve_module(imported_name: str) -> str:
    """Return the module of an imported name of ours: `.core.errors.NotFoundError` is in `core.errors`."""
    name = imported_name[1:]
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def _package(name: str) -> str:
    return name.split(".")[0]


def _level(name: str) -> int:
    return LEVELS[_package(name)]


def _imported_modules(name: str) -> set[str]:
    """Return the modules of ours that a module imports."""
    return {_resolve_module(imported) for imported in _imported_names(name) if imported.startswith(".")} - {name}


def _adapter(name: str, folder: str) -> str | None:
    """Return the adapter in `folder` that a module belongs to, if any."""
    relative_name = name.removeprefix(f"{folder}.")
    return next((adapter for adapter in ADAPTERS[folder] if f"{relative_name}.".startswith(f"{adapter}.")), None)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_import_lower_levels_only(name: str) -> None:
    """A module imports from packages of a lower level, or from its own package."""
    for target in _imported_modules(name):
        is_same_package = _package(target) == _package(name)
        assert is_same_package or _level(target) < _level(name), (
            f"{name or 'semsearch'} imports {target or 'semsearch'}"
        )


def test_only_the_library_imports_storage() -> None:
    """One package outside `storage` depends on the format on disk: the library, which joins everything."""
    users = {
        _package(name)
        for name in MODULES
        for target in _imported_modules(name)
        if _package(target) == "storage" and _package(name) != "storage"
    }
    assert users == {STORAGE_USER}


@pytest.mark.parametrize("folder", sorted(ADAPTERS))
def test_no_adapter_imports_another(folder: str) -> None:
    """The only imports between adapters are the listed exceptions."""
    pairs = {
        (name, target)
        for name in MODULES
        if name.startswith(f"{folder}.")
        for target in _imported_modules(name)
        if target.startswith(f"{folder}.") and _adapter(target, folder) not in (None, _adapter(name, folder))
    }
    assert pairs == {pair for pair in SHARED_ADAPTERS if pair[0].startswith(f"{folder}.")}


def test_adapters_are_those_of_the_registries() -> None:
    """The registry of each backend package contains exactly its adapters."""
    assert ADAPTERS["answers.answerers"] == ANSWERERS.keys()
    assert ADAPTERS["models.embedders"] == EMBEDDERS.keys()
    modules = {load().__module__.removeprefix("semsearch.ingest.readers.") for load in READERS.values()}
    assert ADAPTERS["ingest.readers"] == modules


def test_imports_have_no_cycle() -> None:
    """No module imports itself through others, including late imports."""
    edges = {name: _imported_modules(name) for name in MODULES}
    visited: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path, name])
        if name not in visited:
            for target in edges[name]:
                visit(target, (*path, name))
            visited.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize("package", sorted(OWNERS))
def test_third_party_packages_are_imported_by_their_owners_only(package: str) -> None:
    """No module outside the listed owners imports the package."""
    users = {name for name in MODULES if package in map(_package, _imported_names(name))}
    others = {user for user in users if not any(f"{user}.".startswith(f"{owner}.") for owner in OWNERS[package])}
    assert users
    assert not others


def test_only_the_settings_read_the_environment() -> None:
    """No other module uses os.environ, os.getenv or their bytes variants, under any import."""
    names_of_environment = {"environ", "environb", "getenv", "getenvb"}
    readers = set()
    for module in MODULES:
        for node in _nodes(module):
            if isinstance(node, ast.ImportFrom):
                used_names = {alias.name for alias in node.names} | ({"environ"} if _is_star_of_os(node) else set())
            else:
                used_names = {node.attr} if isinstance(node, ast.Attribute) else set()
            if used_names & names_of_environment:
                readers.add(module)
    assert readers == {"core.settings"}


def _is_star_of_os(node: ast.ImportFrom) -> bool:
    return node.module == "os" and node.names[0].name == "*"


def test_only_interfaces_the_reader_process_and_plugins_catch_every_exception() -> None:
    """Below them no module has a bare except or catches Exception."""
    users = set()
    for module in MODULES:
        for node in _nodes(module):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
            ):
                users.add(module)
    assert {module for module in users if _package(module) != "interfaces"} <= {
        "ingest.readers.worker_process",
        "core.plugins",
    }


def test_help_loads_no_heavy_package() -> None:
    """`semsearch --help` loads none of the packages that take long to import."""
    heavy = {"faiss", "fastapi", "numpy", "sqlite_utils", "rich", "httpx", "tokenizers", "importlib.metadata"}
    code = (
        "import sys; sys.argv = ['semsearch', '--help']\n"
        "from semsearch.interfaces.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print('loaded:', sorted({heavy!r} & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.rstrip().endswith("loaded: []")


def test_the_entry_point_imports_nothing_before_it_handles_ctrl_c() -> None:
    """The module of the entry point loads neither click nor our own modules; main() loads them."""
    code = "import sys, semsearch.interfaces.cli.main; print(*(n for n in sys.modules if n[:4] in ('clic', 'sems')))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names = ["semsearch", "semsearch.interfaces", "semsearch.interfaces.cli", "semsearch.interfaces.cli.main"]
    assert output.split() == names


def test_a_search_loads_no_heavy_package(tmp_path: Path) -> None:
    """A service that only searches loads no answer or ingest pipeline, no web framework and no tokenizer."""
    heavy = {"semsearch.answers.pipeline", "semsearch.ingest.pipeline", "semsearch.usage.metering"}
    heavy |= {"semsearch.storage.embedding_cache"}
    heavy |= {"fastapi", "sqlite_utils", "rich", "httpx", "tokenizers", "tomllib", "numpy.ma", "importlib.metadata"}
    heavy |= {"prometheus_client"}
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
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert output.splitlines() == ["1 hit", "loaded: []"]
