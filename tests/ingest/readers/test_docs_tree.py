"""Real files in many formats, against what two other projects expect in them."""

import html
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from semsearch.core.errors import UnsupportedMediaError
from semsearch.core.types.documents import ParsedContent
from semsearch.ingest.media_types import guess_media_type
from semsearch.ingest.readers import read

FILES = 207
REFUSED = {
    "docling/email/msg_with_attachment.msg": "no reader",
    "markitdown/MEDRPT-2024-PAT-3847_medical_report_scan.pdf": "text layer",
    "markitdown/test.xls": "no reader",
    "markitdown/test_outlook_msg.msg": "no reader",
}
NOTATION = {
    "docling/docx/equations.docx": 0.80,  # expects LaTeX: \frac, \left, \pi; we write a/b and π
    "docling/xlsx/xlsx_07_gap_tolerance_.xlsx": 0.81,  # expects the text of merged cells in each of them
    "docling/pptx/powerpoint_comments.pptx": 0.82,  # expects "author", "time" and seconds at each comment
    "docling/pptx/pptx_chart.pptx": 0.86,  # expects the names of the kinds of charts
    "docling/asciidoc/asciidoc_03.asciidoc": 0.90,  # expects attributes of the document and raw macros
    "docling/html/formatting.html": 0.90,  # expects "H 2 O" for H<sub>2</sub>O
}
"""Files below 95 % because the other project writes something that nobody would search for; with their floor."""


def words(text: str) -> Counter[str]:
    """The words of a text with their numbers."""
    return Counter(re.findall(r"\w+", text.lower()))


def expected_words(markdown: str) -> Counter[str]:
    """The words of the expected Markdown, without its marks, comments, link targets and ticks in boxes."""
    text = re.sub(r"<!--.*?-->", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^)\s]*\)", r"\1", text)
    text = html.unescape(re.sub(r"\\([_*#\[\]<>&])", r"\1", text))
    text = re.sub(r"- \[[x ]\] ", "- ", text)
    return words(re.sub(r"\*{1,3}|(?<!\w)_|_(?!\w)|^```\w*", "", text, flags=re.MULTILINE))


@cache
def content_of(path: Path) -> ParsedContent | None:
    """What is read from a file; None if it is refused, for the reason that was expected."""
    try:
        return read(path.read_bytes(), guess_media_type(path.name))
    except UnsupportedMediaError as exc:
        reason = next((reason for name, reason in REFUSED.items() if path.as_posix().endswith(name)), None)
        if reason is None or reason not in str(exc):
            raise
        return None


@pytest.fixture(scope="session")
def tree(shared_data: Path) -> Path:
    """The folder of the files and what is expected of them."""
    return shared_data / "docs_tree"


def test_every_file_ends_as_text_or_as_a_named_error(tree: Path) -> None:
    """All files are read but four, which are refused for their own reasons."""
    files = sorted(path for path in (tree / "files").rglob("*") if path.is_file())
    refused = {path.relative_to(tree / "files").as_posix() for path in files if content_of(path) is None}
    assert len(files) == FILES
    assert refused == set(REFUSED)


def test_the_words_that_are_expected_are_found(tree: Path) -> None:
    """At least 95 % of the expected words of each file are read, but where the expectation is notation."""
    found = {}
    for row in map(json.loads, (tree / "manifest.jsonl").read_text().splitlines()):
        if "truth" in row:
            content = content_of(tree / "files" / row["file"])
            assert content is not None
            text = "\n".join(block.text for block in content.blocks)
            expected = expected_words((tree / "truth" / row["truth"]).read_text())
            missing = expected - words(f"{content.title}\n{text}")
            found[row["file"]] = 1 - missing.total() / max(1, expected.total())
    assert len(found) == 64
    assert {name: share for name, share in found.items() if share < NOTATION.get(name, 0.95)} == {}


def test_blocks_are_what_the_rest_relies_on(tree: Path) -> None:
    """No block is empty, headings end their own path, tables have no empty row, and places are where they belong."""
    for path in (tree / "files").rglob("*"):
        content = content_of(path) if path.is_file() else None
        for block in content.blocks if content else ():
            assert block.text.strip() == block.text or block.kind == "code"
            assert block.kind != "heading" or block.locator.headings[-1] == block.text
            assert block.kind != "table" or all(line.strip(" |") for line in block.text.split("\n"))
            assert (block.locator.page is not None) == (path.suffix in (".pdf", ".pptx", ".odp"))
            assert (block.locator.sheet is not None) == (path.suffix in (".xlsx", ".ods"))
            assert (block.locator.lines is not None) >= (path.suffix in (".md", ".csv", ".vtt", ".asciidoc"))
