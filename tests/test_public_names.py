"""The Python API: its names, version, docstrings, reprs and types."""

import inspect
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import semsearch
from semsearch.core import errors
from semsearch.core.short_repr import MAX_REPR_CHARACTERS
from semsearch.core.types.answers import TextSpan
from semsearch.core.types.usage import Usage

REPO = Path(__file__).parent.parent
PACKAGE_IMPORTS = {"TYPE_CHECKING", "Any", "import_module"}
"""Names that `semsearch/__init__.py` imports for its own use."""


def test_dir_lists_exactly_the_public_names() -> None:
    """Every one can be imported; the package has no others but modules."""
    assert dir(semsearch) == semsearch.__all__ == sorted(semsearch.__all__)
    assert all(getattr(semsearch, name) for name in semsearch.__all__)
    assert {"AnswerRequest", "ClosestPassage", "GenerationOptions", "SearchRequest", "__version__"} <= set(
        dir(semsearch)
    )
    unlisted = {name for name in vars(semsearch) if not name.startswith("_")} - {*semsearch.__all__, *PACKAGE_IMPORTS}
    assert {name for name in unlisted if not isinstance(getattr(semsearch, name), ModuleType)} == set()
    with pytest.raises(AttributeError):
        _ = semsearch.nothing


def test_every_error_is_public() -> None:
    """All classes of `core.errors`, and no other, end in `Error`."""
    classes = {name: value for name, value in vars(errors).items() if inspect.isclass(value)}
    defined = {name for name, value in classes.items() if issubclass(value, Exception)}
    assert {name for name in semsearch.__all__ if name.endswith("Error")} == defined
    assert all(issubclass(getattr(semsearch, name), semsearch.SemsearchError) for name in defined)


def test_version_is_that_of_the_project() -> None:
    """`__version__` comes from the installed package."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    assert semsearch.__version__ == project["version"]


def test_importing_and_listing_loads_nothing_heavy() -> None:
    """`import semsearch; dir(semsearch)` loads no module of ours, and no third-party package."""
    code = "import sys, semsearch; dir(semsearch); print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in output.split()}
    assert [name for name in output.split() if name.startswith("semsearch")] == ["semsearch"]
    assert not loaded & {"numpy", "faiss", "httpx", "click", "fastapi", "sqlite3"}


def list_documented() -> Iterator[tuple[str, object]]:
    """Yield every public class and function, and every public method of Library and Collection."""
    for name in semsearch.__all__:
        value = getattr(semsearch, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            yield name, value
    for owner in (semsearch.Library, semsearch.Collection):
        for name, value in inspect.getmembers(owner, inspect.isfunction):
            if not name.startswith("_"):
                yield f"{owner.__name__}.{name}", value


def test_every_docstring_has_an_example() -> None:
    """Those of public classes, functions and methods; test_docstring_examples runs them."""
    documented = dict(list_documented())
    assert {"Hit", "read", "Collection.aask", "Library.create"} <= set(documented)
    assert [name for name, value in documented.items() if ">>> " not in (inspect.getdoc(value) or "")] == []


TEXT = st.text(max_size=300)
URI = st.text(max_size=1024)


@given(uri=URI, text=TEXT, number=st.integers(0, 2**53), count=st.integers(0, 3))
def test_reprs_are_short(uri: str, text: str, number: int, count: int) -> None:
    """One line of at most 100 characters, whatever the texts are."""
    hit = semsearch.Hit(1, uri, text, text, None, number, number, text, float(number), {})
    citation = semsearch.Citation(number, 1, uri, text, text, None, number, number, text, text)
    passage = semsearch.ClosestPassage(uri, text, text, None, number, number, text, TextSpan(0, 0))
    answers = [
        semsearch.Answer(text, text, answered, "low_score", (), (citation,) * count, (hit,) * count, Usage(), text)
        for answered in (True, False)
    ]
    values = [
        *(hit, citation, passage, *answers, semsearch.SourcesEvent((hit,) * count)),
        *(semsearch.SearchRequest(text, history=[text]), semsearch.AnswerRequest(text, filter={text: text})),
        *(semsearch.GenerationOptions(text, number, system=text), semsearch.Caller(text, frozenset([text]))),
        *(semsearch.text_source("a", text), semsearch.DocumentInfo(uri, text, text, text, number, number, {})),
        *(semsearch.StoredDocument(uri, text, text, text, number, number, {}, text, text),),
        *(semsearch.IngestReport(number, failures=[semsearch.Failure(uri, text, text)] * count),),
        semsearch.Feedback(text, True, number, number, text, 1.0),
        semsearch.Session(text, text, 0.0, 0.0),
    ]
    for value in values:
        assert len(repr(value)) <= MAX_REPR_CHARACTERS
        assert "\n" not in repr(value)
        assert repr(value).startswith(f"{type(value).__name__}(")


def test_reprs_say_what_matters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The uri and span of a hit, the kind of an answer; a collection is not read for its repr."""
    hit = semsearch.Hit(1, "docs/leave.md", "Leave", "", None, 7, 46, "Parental leave is 26 weeks.", 1.25, {})
    assert repr(hit) == "Hit('docs/leave.md' 7–46, 1.250, 'Parental leave is 26 weeks.')"
    citation = semsearch.Citation(1, 1, "docs/leave.md", "Leave", "", None, 7, 46, "26 weeks", "c0")
    assert repr(citation) == "Citation([1] 'docs/leave.md' 7–46, '26 weeks')"
    answer = semsearch.Answer("a", "26 weeks [1]", True, None, (), (citation,), (hit,), Usage(), "m", "excerpt")
    assert repr(answer) == "Answer('26 weeks [1]', excerpt, 1 citation)"
    refused = semsearch.Answer("a", "", False, "no_match", (), (), (), Usage(), "m")
    assert repr(refused) == "Answer(not answered: no_match, 0 passages)"
    monkeypatch.chdir(tmp_path)
    with semsearch.Library("indexes") as library, semsearch.Library("long/" * 100) as distant:
        assert repr(library) == "Library('indexes')"
        assert len(repr(distant)) <= MAX_REPR_CHARACTERS
        library.create("handbook")
        own, other = library.open("handbook"), library.open("handbook", caller=semsearch.Caller("ann"))
    assert (repr(own), repr(other)) == (
        "Collection('handbook')",
        "Collection('handbook', caller=Caller(owner='ann'))",
    )


def test_package_is_marked_as_typed() -> None:
    """Type checkers read the types of a package with this file; the wheel holds all files of the folder."""
    assert (REPO / "semsearch" / "py.typed").is_file()
    wheel = tomllib.loads((REPO / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["semsearch"]}
