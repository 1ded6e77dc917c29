"""The written claims of Q14: their evidence is in the files, and their halves are fixed. Q14 finds all of it."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.claim_cases import (
    COLLECTION_FOLDERS,
    HALVES,
    ClaimCase,
    choose_half,
    find_evidence,
    has_data,
    read_cases,
)
from benchmarks.claim_checks import q14
from benchmarks.scale import Scale

from semsearch.core.types.documents import Document
from semsearch.ingest.chunking import chunk
from semsearch.ingest.readers import read

pytestmark = pytest.mark.slow

CASES = [case for half in HALVES for case in read_cases(half)]


@pytest.fixture(scope="module")
def data(shared_data: Path) -> Path:
    """Return the folder of the judged collections; skip the test if the documentation is not in it."""
    if not has_data(shared_data):
        pytest.skip(f"the documentation of the claims is not in {shared_data}")
    return shared_data


def read_sentences(data: Path, case: ClaimCase) -> list[str]:
    """Return the sentences of the case's file, as semsearch reads and splits it."""
    blocks = read(case.read_file(data).encode(), "text/markdown").blocks
    document = Document(case.uri, case.uri, "text/markdown", blocks, "0" * 64, "")
    spans = {(part.start + start, part.start + end) for part in chunk(document) for start, end in part.sentences}
    return [document.text[start:end] for start, end in sorted(spans)]


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without the number of a list item."""
    return re.findall(r"[^\W_]+", re.sub(r"\A\d+\. ", "", text.casefold()))


def test_claims_are_many_balanced_and_distinct() -> None:
    """There are more than 330 distinct claims on 100 files and more, about half of them true."""
    assert len(CASES) >= 330
    assert len({(case.collection, case.uri) for case in CASES}) >= 100
    assert len({case.id for case in CASES}) == len({(case.uri, case.claim) for case in CASES}) == len(CASES)
    assert 0.4 < Counter(case.truth for case in CASES)[True] / len(CASES) < 0.6
    assert min(Counter(choose_half(case.collection, case.uri) for case in CASES).values()) >= 150


@pytest.mark.parametrize("half", HALVES)
def test_half_of_claims_follows_from_their_file(half: str) -> None:
    """No file has claims in both halves, so that rules cannot be fitted to the test half."""
    assert {choose_half(case.collection, case.uri) for case in read_cases(half)} == {half}


def test_evidence_is_whole_sentences_of_the_file(data: Path) -> None:
    """Every span lies in the raw file, starts and ends with a word or mark, and holds a sentence that is read."""
    wrong = []
    cases_by_file = {(case.collection, case.uri): case for case in CASES}
    sentences_by_file = {file: read_sentences(data, case) for file, case in cases_by_file.items()}
    for case in CASES:
        raw, sentences = case.read_file(data), sentences_by_file[case.collection, case.uri]
        for start, end in case.evidence:
            evidence = raw[start:end]
            is_in_file = 0 <= start < end <= len(raw) and evidence == evidence.strip()
            words = set(split_words(evidence))
            indices = find_evidence(evidence, sentences)
            if not (is_in_file and any(words.issuperset(split_words(sentences[index])) for index in indices)):
                wrong.append((case.id, start, end))
    assert wrong == []


def test_missing_evidence_is_not_found() -> None:
    """Words that are not in the text, or in other sentences, are no evidence."""
    sentences = ["Leave is granted for twelve weeks.", "It ends on Friday.", "Nothing else is granted."]
    assert find_evidence("[Leave](https://example.org/leave) is\n granted for twelve weeks.", sentences) == [0]
    assert find_evidence("for twelve weeks. It ends on Friday.", sentences) == [0, 1]
    assert find_evidence("Sabbaticals are refused by every supervisor.", sentences) == []


def copy_cited_files(data: Path, target: Path, scale: Scale) -> Path:
    """Copy the files of a run's cases only: the others are not cited."""
    for half in HALVES:
        for case in read_cases(half, scale.limit):
            copy = target / COLLECTION_FOLDERS[case.collection] / case.uri
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(case.read_file(data))
    return target


@pytest.mark.slow
def test_q14_finds_the_evidence_of_every_claim(data: Path, tmp_path: Path) -> None:
    """A short run has a share of wrong verdicts for true and false claims of both halves, and omits no claim."""
    scale = Scale(data, tmp_path, short=True)
    result = q14(replace(scale, data=copy_cited_files(data, tmp_path / "data", scale)))
    assert len(result.figures) == 4
    assert all(0 <= figure.ours <= 1 and figure.bound for figure in result.figures)
    assert not any("not counted" in note for note in result.notes)


def test_q14_without_the_documentation_says_what_it_needs(tmp_path: Path) -> None:
    """Without the files there are no figures, but a note."""
    result = q14(Scale(tmp_path, tmp_path, short=True))
    assert result.figures == []
    assert "needs the folders" in result.notes[0]
