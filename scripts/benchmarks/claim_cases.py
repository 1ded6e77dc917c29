"""Read the written claims over real documentation, and find the evidence of each in the text that semsearch reads.

The files `claims/development.jsonl` and `claims/test.jsonl` hold one claim a line: `id`, `collection`, `uri`,
`evidence` (spans of characters in the raw UTF-8 text of the file), `question`, `claim`, `truth` and `kind` (the way in
which the claim is worded or wrong). They hold no sentence of the documentation itself.
`claims/fitting.jsonl` has further claims about files of the development half; with that half, the weights of the
support check are fitted to them.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from .judged_collections import read_json_lines

FOLDER = Path(__file__).parent / "claims"
HALVES = ("development", "test")
COLLECTION_FOLDERS = {
    "tts-handbook": "realdocs/files/tts-handbook",
    "fastapi": "realdocs/files/fastapi",
    "rust-book": "docs_tree/files/rust-book",
}
"""Folder of each collection's files below the folder of the judged collections."""

MIN_FOUND_SHARE = 0.8
"""Lowest share of the words of an evidence span that must be in the text read from the file, in the same order."""

_MARKUP = re.compile(r"\]\([^)\s]*\)|\]\[[^\]\n]*\]|<!--.*?-->|</?[a-z][^>]*>|\{[%#].*?[%#]?\}", re.DOTALL)
"""Targets of links, comments, tags and template tags: words that a reader of Markdown does not show."""


@dataclass(frozen=True, slots=True)
class ClaimCase:
    """A claim about one file, whether it is true, and where the file says so."""

    id: str
    collection: str
    uri: str
    evidence: tuple[tuple[int, int], ...]
    question: str
    claim: str
    truth: bool
    kind: str

    def read_file(self, data: Path) -> str:
        """Return the raw text of the file in the folder of the judged collections."""
        return (data / COLLECTION_FOLDERS[self.collection] / self.uri).read_bytes().decode()


def read_cases(half: str, limit: int | None = None) -> list[ClaimCase]:
    """Return the cases of one half; with a limit, about that many evenly spaced cases."""
    cases = [
        ClaimCase(**{**entry, "evidence": tuple((start, end) for start, end in entry["evidence"])})
        for entry in read_json_lines(FOLDER / f"{half}.jsonl")
    ]
    return cases[:: -(-len(cases) // limit) if limit else 1]


def choose_half(collection: str, uri: str) -> str:
    """Return the half of all claims about a file; it depends on the name of the file only."""
    return HALVES[int(hashlib.sha256(f"{collection}/{uri}".encode()).hexdigest(), 16) % 2]


def has_data(data: Path) -> bool:
    """Return whether the files of all collections are in the folder of the judged collections."""
    return all((data / folder).is_dir() for folder in COLLECTION_FOLDERS.values())


def find_evidence(evidence: str, sentences: Sequence[str]) -> list[int]:
    """Return the indices of the sentences that hold the words of a raw evidence span, [] if too few are found.

    A sentence is held if most of its words belong to the evidence, or most of the evidence to it.
    """
    wanted = _split_words(_MARKUP.sub(" ", evidence))
    words = [(word, index) for index, sentence in enumerate(sentences) for word in _split_words(sentence)]
    matcher = SequenceMatcher(None, [word for word, _ in words], wanted, autojunk=False)
    start = matcher.find_longest_match().a - matcher.find_longest_match().b
    nearby = words[max(0, start - len(wanted)) : start + 2 * len(wanted)]
    matcher.set_seq1([word for word, _ in nearby])
    found = [index for block in matcher.get_matching_blocks() for _, index in nearby[block.a : block.a + block.size]]
    if len(found) < MIN_FOUND_SHARE * len(wanted):
        return []
    return [
        index
        for index in sorted(set(found))
        if found.count(index) >= 0.5 * min(len(_split_words(sentences[index])), len(found))
    ]


def _split_words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())
