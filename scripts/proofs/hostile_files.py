"""Prove that hostile files harm only themselves: a folder of them, with good files among them, is ingested.

All files are generated. Every good one must be stored and every hostile one named in the report, while the memory of
the process that ingests stays flat.
"""

import argparse
import random
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from semsearch import Library

MAX_GROWTH_BYTES = 150 << 20
MAX_SECONDS = 600
GOOD_FILES = 200

OFFICE_SUFFIXES = ("docx", "docm", "pptx", "xlsx", "odt", "ods", "odp", "epub")
XML_SUFFIXES = ("xml", "rss", "atom")
ENTITY_BOMB = (
    '<!DOCTYPE d [<!ENTITY a0 "ha ha ">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    + "]><d>&a9;</d>"
)
EXTERNAL_ENTITY = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'

READ_WITHIN_LIMITS = ("marks.txt", "marks.md")
"""Hostile files that are stored: their text takes linear time."""

Content = Callable[[], bytes]


@dataclass(slots=True)
class Result:
    """What an ingestion of the folder has done."""

    errors: list[str] = field(default_factory=list)
    bombs: int = 0
    good: int = 0
    growth_bytes: int = 0
    seconds: float = 0.0


def make_zip(members: Mapping[str, bytes], *, encrypted: bool = False) -> bytes:
    """Return a zip archive."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    archived = bytearray(buffer.getvalue())
    if encrypted:
        archived[archived.index(b"PK\x01\x02") + 8] |= 1
    return bytes(archived)


def make_pdf(*objects: bytes) -> bytes:
    """Return a PDF file of these objects; the first one is its catalogue."""
    body = b"%PDF-1.7\n" + b"".join(b"%d 0 obj\n%s\nendobj\n" % item for item in enumerate(objects, 1))
    return body + b"trailer\n<< /Root 1 0 R /Size %d >>\n%%%%EOF\n" % (len(objects) + 1)


def list_bombs(scale: float = 1.0) -> Iterator[tuple[str, Content]]:
    """Yield the name and content of each hostile file; `scale` makes those smaller whose size is not the point."""
    yield from _list_archives()
    yield from _list_markup(scale)
    yield from _list_data(scale)
    yield from _list_pdfs()


def _list_archives() -> Iterator[tuple[str, Content]]:
    for suffix in OFFICE_SUFFIXES:
        yield f"ratio.{suffix}", lambda: make_zip({"word/document.xml": bytes(30_000_000)})
        yield f"entries.{suffix}", lambda: make_zip({str(number): b"" for number in range(20_001)})
        yield f"encrypted.{suffix}", lambda: make_zip({"content.xml": b"<x/>"}, encrypted=True)
        yield f"truncated.{suffix}", lambda: make_zip({"content.xml": b"<x>" + bytes(9_999)})[:-40]
        yield f"nested.{suffix}", lambda: make_zip({"a.zip": make_zip({"b.zip": make_zip({"c": bytes(9_000_000)})})})
        yield f"entity.{suffix}", lambda: make_zip({"content.xml": ENTITY_BOMB.encode(), "d.xml": ENTITY_BOMB.encode()})
        yield f"traversal.{suffix}", lambda: make_zip({"../../etc/passwd": b"x", "/abs": b"y"})
    yield "not-an-archive.docx", lambda: b"PK\x03\x04" + bytes(5_000)


def _list_markup(scale: float) -> Iterator[tuple[str, Content]]:
    attribute_count = int(500_000 * scale)

    def attributes() -> str:
        return " ".join(f'a{number}="{number}"' for number in range(attribute_count))

    for suffix in XML_SUFFIXES:
        yield f"laughs.{suffix}", ENTITY_BOMB.encode
        yield f"external.{suffix}", EXTERNAL_ENTITY.encode
        yield f"attributes.{suffix}", lambda: f"<d {attributes()}/>".encode()
        yield f"deep.{suffix}", lambda: b"<a>" * 100_000 + b"x" + b"</a>" * 100_000
        yield f"unclosed.{suffix}", lambda: b"<d>" + b"<a x='" * 1_000
    yield "attributes.html", lambda: f"<p {attributes()}>text</p>".encode()
    yield "attributes.xhtml", lambda: f"<p {attributes()}>text</p>".encode()
    yield "deep.html", lambda: b"<div>" * 100_000 + b"text"
    yield "deep-table.html", lambda: b"<table><tr><td>" * 20_000 + b"text"


def _list_data(scale: float) -> Iterator[tuple[str, Content]]:
    cells = 5_100_000
    yield "wide.csv", lambda: b",".join([b"1"] * cells)
    yield "tall.csv", lambda: b"1\n" * cells
    yield "wide.tsv", lambda: b"\t".join([b"1"] * cells)
    yield "tall.tsv", lambda: b"1\n" * cells
    yield "deep.json", lambda: b"[" * 1_000_000 + b"]" * 1_000_000
    yield "deep.ipynb", lambda: b'{"a":' * 100_000
    yield "nothing.json", lambda: b'{"a":'
    yield "binary.txt", lambda: bytes(range(256)) * 4_000
    yield "binary.md", lambda: bytes(range(256)) * 4_000
    line_bytes = int(100_000_000 * max(scale, 0.68))  # more than the limit of a file
    for suffix in ("txt", "md", "csv", "json", "html"):
        yield f"line.{suffix}", lambda: b"x" * line_bytes
    yield "chunks.txt", lambda: b"It is so. " * 6_000_000
    yield "marks.txt", lambda: ("a" + "\u0301\u0316" * 1_500_000).encode()
    yield "marks.md", lambda: ("a" + "\u0301\u0316" * 1_500_000).encode()


def _list_pdfs() -> Iterator[tuple[str, Content]]:
    catalogue = b"<< /Type /Catalog /Pages 2 0 R >>"
    yield "loop.pdf", lambda: make_pdf(catalogue, b"<< /Type /Pages /Count 9 /Kids [2 0 R 2 0 R] >>")
    yield "parent-loop.pdf", lambda: make_pdf(catalogue, b"<< /Type /Pages /Count 1 /Kids [1 0 R] /Parent 2 0 R >>")
    yield "count.pdf", lambda: make_pdf(catalogue, b"<< /Type /Pages /Count 2000000000 /Kids [] >>")
    yield "no-pages.pdf", lambda: make_pdf(catalogue)
    yield "garbage.pdf", lambda: b"%PDF-1.7\n" + random.Random(1).randbytes(500_000)
    yield "empty.pdf", lambda: b"%PDF-1.7"


def write_good(folder: Path, count: int) -> list[str]:
    """Write the good files and return their names."""
    names = []
    for number in range(count):
        suffix, text = (
            ("txt", f"Lamp {number} was mended in the spring."),
            ("md", f"# Lamp {number}\n\nIt was mended in the spring."),
            ("html", f"<h1>Lamp {number}</h1><p>It was mended in the spring.</p>"),
            ("csv", f"lamp,state\n{number},mended in the spring\n"),
            ("json", f'{{"lamp": {number}, "state": "mended in the spring"}}'),
        )[number % 5]
        names.append(f"{number:03}-good.{suffix}")
        folder.joinpath(names[-1]).write_text(text)
    return names


def prove(folder: Path, *, good: int = GOOD_FILES, scale: float = 1.0, names: frozenset[str] | None = None) -> Result:
    """Ingest a folder of good and hostile files, all or those of these names."""
    source = folder / "files"
    source.mkdir()
    good_names = write_good(source, good)
    bombs = [(name, make) for name, make in list_bombs(scale) if names is None or name in names]
    rng = random.Random(22)
    for name, make in bombs:
        source.joinpath(f"{rng.randrange(good):03}-bomb-{name}").write_bytes(make())
    with Library(folder / "data") as library:
        collection = library.create("hostile")
        collection.search("lamp")  # loads the model before memory is measured
        before, started = _reset_peak(), time.monotonic()
        report = collection.ingest(source)
        result = Result(bombs=len(bombs), seconds=time.monotonic() - started, growth_bytes=_read_peak() - before)
        stored = {document.uri.rpartition("/")[2] for document in collection.documents()}
    uris = [failure.uri for failure in report.failures] + [skip.uri for skip in report.skips]
    named = {uri.rpartition("/")[2] for uri in uris}
    result.good = len(stored & set(good_names))
    result.errors += [f"{name} is not stored" for name in good_names if name not in stored]
    for path in sorted(source.glob("*-bomb-*")):
        is_expected = path.name in stored and path.name.endswith(READ_WITHIN_LIMITS)
        if path.name not in named and not is_expected:
            result.errors.append(f"{path.name} is not named: {'it is stored' if path.name in stored else 'it is lost'}")
    return result


def _reset_peak() -> int:
    """Set the peak of the memory to the current use and return it."""
    Path("/proc/self/clear_refs").write_text("5")
    return _read_peak()


def _read_peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) << 10


def main() -> int:
    """Run the proof and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--good", type=int, default=GOOD_FILES, help="number of good files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = prove(Path(folder), good=options.good)
    print(f"{result.good} good files stored, {result.bombs} hostile ones, {result.seconds:.0f} s,", end=" ")
    print(f"memory of the parent grew by {result.growth_bytes / (1 << 20):.0f} MiB")
    if result.growth_bytes > MAX_GROWTH_BYTES or result.seconds > MAX_SECONDS:
        result.errors.append(f"more than {MAX_GROWTH_BYTES >> 20} MiB or {MAX_SECONDS} s")
    print(*result.errors, sep="\n")
    return 1 if result.errors else 0


if __name__ == "__main__":
    sys.exit(main())
