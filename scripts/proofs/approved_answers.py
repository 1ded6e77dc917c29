"""Edit real files at random: every approved answer whose quoted words changed is flagged, and hardly any other.

The expected result comes from a comparison of the two versions of a document word by word, which knows nothing of the
code under test: a quote is intact if it lies in their common beginning or end, or stands in what is between these.
The files are read once, and their texts edited: a process for each edit would take most of the time.
"""

import argparse
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from semsearch import Library, text_source
from semsearch.collection import Collection
from semsearch.core.settings import Settings
from semsearch.core.types.answers import Answer, AnswerSentence, Citation
from semsearch.core.types.approvals import ApprovedAnswer
from semsearch.core.types.documents import BLOCK_SEPARATOR, Source
from semsearch.core.types.sessions import AnswerRecord
from semsearch.core.types.usage import LOCAL_OWNER, Usage
from semsearch.ingest.media_types import guess_media_type
from semsearch.ingest.readers import read
from semsearch.text.sentences import split_sentences

SHARED = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
SUFFIXES = (".md", ".html", ".asciidoc", ".csv", ".vtt", ".docx", ".ipynb")
FILE_BYTES = range(1_500, 40_000)
ANSWERS_PER_FILE = 6
MIN_QUOTE_WORDS = 4
RESET_EDITS = 40
"""Edits of a file accumulate while they break nothing; after this many it begins again."""

DRY_RUN_EDITS = 20
"""Every so many edits, a dry run must report what the edit then breaks."""

MAX_FALSE_SHARE = 0.05
NEW_WORDS = "never 17 rather until lamp 2.5 not all".split()
_WORD = re.compile(r"\w+")

Edit = Callable[[str, int, random.Random], str]
"""Returns the text with a change near an offset."""


def _word_at(text: str, offset: int) -> re.Match[str] | None:
    return _WORD.search(text, offset) or _WORD.search(text)


def _replace_word(text: str, offset: int, make: Callable[[str], str]) -> str:
    word = _word_at(text, offset)
    return text if word is None else text[: word.start()] + make(word[0]) + text[word.end() :]


def _line_bounds(text: str, offset: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    return start, len(text) if end < 0 else end + 1


def _change_number(text: str, offset: int, rng: random.Random) -> str:
    number = re.compile(r"\d+").search(text, offset)
    return text if number is None else text[: number.start()] + str(rng.randrange(999)) + text[number.end() :]


def _delete_line(text: str, offset: int, rng: random.Random) -> str:
    start, end = _line_bounds(text, offset)
    return text[:start] + text[end:]


def _duplicate_line(text: str, offset: int, rng: random.Random) -> str:
    start, end = _line_bounds(text, offset)
    return text[:end] + "\n" + text[start:end] + text[end:]


def _move_line(text: str, offset: int, rng: random.Random) -> str:
    start, end = _line_bounds(text, offset)
    rest = text[:start] + text[end:]
    target = _line_bounds(rest, rng.randrange(len(rest) + 1))[0]
    return f"{rest[:target]}\n{text[start:end]}\n{rest[target:]}"


def _insert_line(text: str, offset: int, rng: random.Random) -> str:
    start, _ = _line_bounds(text, offset)
    return f"{text[:start]}{' '.join(rng.choices(NEW_WORDS, k=8))}.\n\n{text[start:]}"


def _change_space(text: str, offset: int, rng: random.Random) -> str:
    space = text.find(" ", offset)
    return text if space < 0 else text[:space] + rng.choice(["  ", "\n"]) + text[space + 1 :]


def _change_everywhere(text: str, offset: int, rng: random.Random) -> str:
    word = _word_at(text, offset)
    return text if word is None else re.sub(rf"\b{word[0]}\b", rng.choice(NEW_WORDS), text)


EDITS: dict[str, Edit] = {
    "replace a word": lambda text, offset, rng: _replace_word(text, offset, lambda word: rng.choice(NEW_WORDS)),
    "delete a word": lambda text, offset, rng: _replace_word(text, offset, lambda word: ""),
    "insert a word": lambda text, offset, rng: _replace_word(text, offset, lambda w: f"{rng.choice(NEW_WORDS)} {w}"),
    "extend a word": lambda text, offset, rng: _replace_word(text, offset, lambda word: f"{word}s"),
    "change a number": _change_number,
    "delete a line": _delete_line,
    "insert a line": _insert_line,
    "duplicate a line": _duplicate_line,
    "move a line": _move_line,
    "change a space": _change_space,
    "cut the end": lambda text, offset, rng: text[:offset] or text,
    "change a word everywhere": _change_everywhere,
}


def is_intact(old: str, new: str, start: int, end: int) -> bool:
    """Return whether the words of a span of the old text are still together in the new one."""
    old_words, new_words = _WORD.findall(old), _WORD.findall(new)
    first, count = len(_WORD.findall(old[:start])), len(_WORD.findall(old[start:end]))
    prefix = _count_common(old_words, new_words)
    suffix = _count_common(old_words[::-1], new_words[::-1])
    if first + count <= prefix or first >= len(old_words) - suffix:
        return True
    quote = old_words[first : first + count]
    # wider, because the words at the ends of a moved line may be those that stood there before
    middle = new_words[max(0, prefix - count + 1) : len(new_words) - max(0, suffix - count + 1)]
    return any(middle[place : place + count] == quote for place in range(len(middle) - count + 1))


def _count_common(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    while count < min(len(first), len(second)) and first[count] == second[count]:
        count += 1
    return count


@dataclass
class Run:
    """The counts of a proof, and its errors."""

    edits: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    missed: int = 0
    flagged: int = 0
    flagged_intact: int = 0
    dry_runs: int = 0
    errors: list[str] = field(default_factory=list)

    def count(self, *, is_intact: bool, is_flagged: bool) -> None:
        """Count one approved answer after one edit."""
        self.broken += not is_intact
        self.missed += not is_intact and not is_flagged
        self.flagged += is_flagged
        self.flagged_intact += is_intact and is_flagged

    @property
    def false_share(self) -> float:
        """Share of the flagged answers that are intact."""
        return self.flagged_intact / self.flagged if self.flagged else 0.0


@dataclass
class EditedFile:
    """A file, and its last version that breaks no approved answer."""

    uri: str
    original: str
    current: str
    edits: int = 0

    def make_source(self, text: str) -> Source:
        """Return a version of the file."""
        return text_source(self.uri, text)


def choose_files(data: Path, count: int, rng: random.Random) -> list[EditedFile]:
    """Return text files of the tree, in random order."""
    folder = data / "docs_tree" / "files"
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in SUFFIXES and path.is_file() and path.stat().st_size in FILE_BYTES
    ]
    contents = [(str(path.relative_to(folder)), read(path.read_bytes(), guess_media_type(path.name))) for path in paths]
    texts = [(uri, BLOCK_SEPARATOR.join(block.text for block in content.blocks)) for uri, content in contents]
    return [EditedFile(uri, text, text) for uri, text in rng.sample(texts, min(count, len(texts)))]


def approve_random_quotes(library: Library, collection: Collection, uri: str, rng: random.Random) -> int:
    """Approve answers that quote one or two random sentences of a document; return how many."""
    document = collection.document(uri)
    spans = [
        (start, end)
        for start, end in split_sentences(document.text, break_at_newlines=True)
        if len(document.text[start:end].split()) >= MIN_QUOTE_WORDS
    ]
    numbers = range(min(ANSWERS_PER_FILE, len(spans)))
    for number in numbers:
        chosen = rng.sample(spans, min(len(spans), rng.choice([1, 1, 2])))
        citations = tuple(
            Citation(marker, 1, uri, "", "", None, start, end, document.text[start:end], document.content_sha256)
            for marker, (start, end) in enumerate(chosen, 1)
        )
        answer_id, text = f"ans_{rng.getrandbits(64):016x}", "Yes [1]."
        sentences = (AnswerSentence(text, "supported", (1,)),)
        answer = Answer(answer_id, text, True, None, sentences, citations, (), Usage(), "m", kind="generated")
        question = f"What does part {number} of {uri} say?"
        record = AnswerRecord(answer, LOCAL_OWNER, collection.name, question, question, "1", time.time())
        library.ledger.record_answer(record, None)
        library.approve(answer_id)
    return len(numbers)


class Prover:
    """Edits files of one collection, and compares the flags with what is expected."""

    def __init__(self, library: Library, files: Sequence[EditedFile], rng: random.Random) -> None:
        self.run = Run()
        self._rng = rng
        self._library = library
        self._collection = library.create("edited")
        self._collection.upsert([file.make_source(file.original) for file in files])
        self._files = [file for file in files if approve_random_quotes(library, self._collection, file.uri, rng)]
        self._approvals = self._collection.backends.approvals

    def edit(self) -> None:
        """Make one edit, compare, and undo it if it breaks an answer."""
        file, name = self._rng.choice(self._files), self._rng.choice(list(EDITS))
        edited = EDITS[name](file.current, self._choose_offset(file), self._rng)
        self.run.edits[name] += 1
        old, before = self._collection.document(file.uri).text, self._list_approved(file)
        announced = self._run_dry(file, edited) if self.run.edits.total() % DRY_RUN_EDITS == 0 else None
        self._collection.upsert([file.make_source(edited)])
        self._compare(f"{name} in {file.uri}", old, before, self._list_approved(file))
        flagged = self._list_flagged(file)
        if announced is not None and announced != flagged:
            self.run.errors.append(f"{name} in {file.uri}: the dry run announced other answers")
        self._continue_from(file, file.current if flagged else edited)

    def _continue_from(self, file: EditedFile, text: str) -> None:
        """Store the version of a file that the next edit starts from; its answers must be intact."""
        file.edits += 1
        is_new = file.edits % RESET_EDITS == 0
        file.current = file.original if is_new else text
        self._collection.upsert([file.make_source(file.current)])
        if is_new:  # replaces its approved answers
            approve_random_quotes(self._library, self._collection, file.uri, self._rng)
        if self._list_flagged(file):
            self.run.errors.append(f"{file.uri}: still flagged after an edit was undone")

    def _choose_offset(self, file: EditedFile) -> int:
        """Return a random offset; half of them are in a quote."""
        if self._rng.random() < 0.5:
            approved = self._rng.choice(self._list_approved(file))
            words = self._rng.choice(approved.citations).quote.split()
            place = file.current.find(self._rng.choice(words))
            start = file.current.find(" ".join(words[:2]))
            if start >= 0 or place >= 0:
                return max(start, 0) + self._rng.randrange(30) if start >= 0 else place
        return self._rng.randrange(len(file.current))

    def _list_approved(self, file: EditedFile) -> list[ApprovedAnswer]:
        return self._approvals.find_approved_citing(self._collection.name, [file.uri])

    def _list_flagged(self, file: EditedFile) -> set[str]:
        return {approved.id for approved in self._list_approved(file) if approved.is_stale}

    def _run_dry(self, file: EditedFile, edited: str) -> set[str]:
        report = self._collection.ingest([file.make_source(edited)], dry_run=True)
        self.run.dry_runs += 1
        return {broken.id for broken in report.broken_answers}

    def _compare(self, edit: str, old: str, before: Sequence[ApprovedAnswer], after: Sequence[ApprovedAnswer]) -> None:
        """Count the answers by what is expected and what is flagged; an intact one must have exact citations."""
        new = self._collection.document(before[0].citations[0].uri).text
        for approved, checked in zip(before, after, strict=True):
            is_expected = all(is_intact(old, new, each.start, each.end) for each in approved.citations)
            self.run.count(is_intact=is_expected, is_flagged=checked.is_stale)
            if not is_expected and not checked.is_stale:
                self.run.errors.append(f"{edit}: not flagged: {approved.citations[0].quote!r}")
            if not checked.is_stale and any(new[each.start : each.end] != each.quote for each in checked.citations):
                self.run.errors.append(f"{edit}: a citation of an intact answer is not exact")


def prove(folder: Path, data: Path, edits: int, files: int = 40, seed: int = 1) -> Run:
    """Make this many edits of the files; return the counts and the errors."""
    rng = random.Random(seed)
    with Library(folder, settings=Settings()) as library:
        prover = Prover(library, choose_files(data, files, rng), rng)
        for _ in range(edits):
            prover.edit()
    run = prover.run
    if run.false_share > MAX_FALSE_SHARE:
        run.errors.append(f"{run.false_share:.1%} of the flagged answers are intact")
    return run


def main() -> None:
    """Run the proof, print its result, and exit with 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="scripts/prove approved_answers", description=__doc__)
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder with docs_tree (%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = prove(Path(name), arguments.data, arguments.edits, seed=arguments.seed)
    print(f"{run.edits.total():,} edits in {time.process_time():.0f} CPU seconds: {dict(run.edits)}")
    print(f"{run.broken:,} answers with changed words, {run.missed:,} of them not flagged; {run.dry_runs:,} dry runs")
    print(f"{run.flagged:,} flagged, {run.flagged_intact:,} of them intact ({run.false_share:.2%})")
    print("\n".join(run.errors[:40]) or "every answer whose quoted words changed was flagged")
    sys.exit(bool(run.errors))


if __name__ == "__main__":
    main()
