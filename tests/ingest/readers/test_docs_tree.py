"""Real files in many formats, compared with the expected output of two other projects."""

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

pytestmark = pytest.mark.slow

FILE_COUNT = 207
REFUSAL_REASONS = {
    "docling/email/msg_with_attachment.msg": "no reader",
    "markitdown/MEDRPT-2024-PAT-3847_medical_report_scan.pdf": "text layer",
    "markitdown/test.xls": "no reader",
    "markitdown/test_outlook_msg.msg": "no reader",
}
MIN_SHARE_BY_FILE = {
    "docling/docx/equations.docx": 0.80,  # expects LaTeX: \frac, \left, \pi; we write a/b and π
    "docling/xlsx/xlsx_07_gap_tolerance_.xlsx": 0.81,  # expects the text of merged cells in each of them
    "docling/pptx/powerpoint_comments.pptx": 0.82,  # expects "author", "time" and seconds at each comment
    "docling/pptx/pptx_chart.pptx": 0.86,  # expects the names of the kinds of charts
    "docling/asciidoc/asciidoc_03.asciidoc": 0.90,  # expects attributes of the document and raw macros
    "docling/html/formatting.html": 0.90,  # expects "H 2 O" for H<sub>2</sub>O
}
"""Files below 95 %, because the other project writes notation that nobody searches for, with their minimum."""


def count_words(text: str) -> Counter[str]:
    """Return the words of a text with their counts."""
    return Counter(re.findall(r"\w+", text.lower()))


def count_expected_words(markdown: str) -> Counter[str]:
    """Return the words of the expected Markdown, without markup, comments, link targets and checkbox marks."""
    text = re.sub(r"<!--.*?-->", " ", markdown, flags=re.DOTALL)
    text = re.sub(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^)\s]*\)", r"\1", text)
    text = html.unescape(re.sub(r"\\([_*#\[\]<>&])", r"\1", text))
    text = re.sub(r"- \[[x ]\] ", "- ", text)
    return count_words(re.sub(r"\*{1,3}|(?<!\w)_|_(?!\w)|^```\w*", "", text, flags=re.MULTILINE))


@cache
def read_content(path: Path) -> ParsedContent | None:
    """Return the content of a file; None if it is refused for the expected reason."""
    try:
        return read(path.read_bytes(), guess_media_type(path.name))
    except UnsupportedMediaError as exc:
        reason = next((reason for name, reason in REFUSAL_REASONS.items() if path.as_posix().endswith(name)), None)
        if reason is None or reason not in str(exc):
            raise
        return None


@pytest.fixture(scope="session")
def tree(shared_data: Path) -> Path:
    """The folder of the files and the expected texts."""
    return shared_data / "docs_tree"


def test_every_file_is_read_or_refused_by_name(tree: Path) -> None:
    """All files are read except four, which are refused for their expected reasons."""
    files = sorted(path for path in (tree / "files").rglob("*") if path.is_file())
    refused = {path.relative_to(tree / "files").as_posix() for path in files if read_content(path) is None}
    assert len(files) == FILE_COUNT
    assert refused == set(REFUSAL_REASONS)


def test_expected_words_are_read(tree: Path) -> None:
    """At least 95 % of the expected words of each file are read, except where they are notation."""
    shares = {}
    for row in map(json.loads, (tree / "manifest.jsonl").read_text().splitlines()):
        if "truth" in row:
            content = read_content(tree / "files" / row["file"])
            assert content is not None
            text = "\n".join(block.text for block in content.blocks)
            expected = count_expected_words((tree / "truth" / row["truth"]).read_text())
            missing = expected - count_words(f"{content.title}\n{text}")
            shares[row["file"]] = 1 - missing.total() / max(1, expected.total())
    assert len(shares) == 64
    assert {name: share for name, share in shares.items() if share < MIN_SHARE_BY_FILE.get(name, 0.95)} == {}


def test_blocks_meet_the_reader_contract(tree: Path) -> None:
    """No block is empty, a heading is the last of its own path, tables have no empty row, and locators are complete."""
    for path in (tree / "files").rglob("*"):
        content = read_content(path) if path.is_file() else None
        for block in content.blocks if content else ():
            assert block.text.strip() == block.text or block.kind == "code"
            assert block.kind != "heading" or block.locator.headings[-1] == block.text
            assert block.kind != "table" or all(line.strip(" |") for line in block.text.split("\n"))
            assert (block.locator.page is not None) == (path.suffix in (".pdf", ".pptx", ".odp"))
            assert (block.locator.sheet is not None) == (path.suffix in (".xlsx", ".ods"))
            assert (block.locator.lines is not None) >= (path.suffix in (".md", ".csv", ".vtt", ".asciidoc"))
