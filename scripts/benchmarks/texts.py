"""Real texts for the measurements: pieces of about 900 characters, and questions cut from held-out pieces.

The texts come from the judged collections, from documentation files and from the docstrings of installed packages. If
they are too few, overlapping pieces (windows) are cut at random offsets; `Texts.windows` counts them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from semsearch.core.types.documents import Vectors
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders.local import LocalEmbedder

CACHE = Path(__file__).parents[2] / "build" / "bench"
PIECE_CHARACTERS = 900
_HELD_OUT_EVERY = 20
"""One piece in 20 is not stored but used for questions."""
_MAX_QUESTIONS = 5000
_DOCSTRING = re.compile(r'"""(.{300,}?)"""', re.DOTALL)
_MAX_FILE_BYTES = 2_000_000
_FOLDERS = ("/usr/share/doc", sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"])
_MAX_TOTAL_CHARACTERS = 400_000_000
"""Stop reading files after this many characters."""

QuestionKind = Literal["snippets", "chunks"]
QUESTION_KINDS: tuple[QuestionKind, ...] = ("snippets", "chunks")


@dataclass(frozen=True, slots=True)
class Texts:
    """Stored texts, and two kinds of questions: a few words of held-out pieces, and whole held-out pieces."""

    stored: list[str]
    snippets: list[str]
    chunks: list[str]
    windows: int
    """Number of stored texts that overlap others."""

    def questions(self, kind: QuestionKind) -> list[str]:
        """Return the questions of one kind."""
        return self.snippets if kind == "snippets" else self.chunks


def load(count: int, data: Path) -> Texts:
    """Return `count` stored texts with their questions, from the cache if they are there."""
    file = CACHE / f"texts-{count}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(make(count, _iter_sources(data)))))
    return Texts(**json.loads(file.read_text()))


def make(count: int, sources: Iterator[str]) -> Texts:
    """Cut texts into pieces, hold some of them out, and return `count` of the others with the questions."""
    rng, pieces, held_out, runs = random.Random(1), list[str](), list[str](), list[list[str]]()
    for piece in _iter_distinct_pieces(sources):
        if piece is None or rng.randrange(_HELD_OUT_EVERY) == 0:
            held_out += [piece] if piece else []
            runs.append([])
        else:
            pieces.append(piece)
            runs[-1].append(piece)
    rng.shuffle(pieces)
    rng.shuffle(held_out)
    windows = _make_windows(rng, runs, max(0, count - len(pieces)))
    chunks = held_out[:_MAX_QUESTIONS]
    snippets = [_make_snippet(rng, chunks[number % len(chunks)]) for number in range(_MAX_QUESTIONS if chunks else 0)]
    return Texts(pieces[:count] + windows, list(dict.fromkeys(snippets)), chunks, len(windows))


@dataclass(frozen=True, slots=True)
class EmbeddedTexts:
    """Vectors of the stored texts and of both kinds of questions."""

    stored: Vectors
    question_vectors: dict[QuestionKind, Vectors]
    windows: int


def load_vectors(count: int, data: Path, questions: int) -> EmbeddedTexts:
    """Return the vectors of `count` texts and of `questions` questions of each kind. They are cached."""
    files = [CACHE / f"vectors-{count}-{part}.npy" for part in ("stored", "snippets", "chunks", "windows")]
    if not all(file.exists() for file in files):
        CACHE.mkdir(parents=True, exist_ok=True)
        generated = make(count, _iter_sources(data))
        for file, batch in zip(files, (generated.stored, generated.snippets, generated.chunks), strict=False):
            np.save(file, embed(batch))
        np.save(files[3], np.array([generated.windows]))
    stored, snippets, chunks, windows = (np.load(file) for file in files)
    return EmbeddedTexts(stored, {"snippets": snippets[:questions], "chunks": chunks[:questions]}, int(windows[0]))


def embed(texts: list[str], name: str | None = None) -> Vectors:
    """Return the vectors of the built-in model; with a `name`, cache them."""
    file = CACHE / f"{name}-{hashlib.sha256(''.join(texts[:100]).encode()).hexdigest()[:12]}-{len(texts)}.npy"
    if name and file.exists():
        return np.asarray(np.load(file))
    embedder = LocalEmbedder()
    vectors = np.concatenate(
        [
            asyncio.run(embedder.embed(texts[start : start + 2048], RequestContext("ingest")))
            for start in range(0, max(1, len(texts)), 2048)
        ]
    )
    if name:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, vectors)
    return vectors


def _iter_sources(data: Path) -> Iterator[str]:
    """Yield whole texts of the judged collections, of documentation and of installed packages."""
    for file in sorted(data.glob("*/corpus.jsonl")):
        yield "\n\n".join(json.loads(line)["text"] for line in file.read_text("utf-8").splitlines())
    yield from _iter_files(data / "docs_tree")
    for folder in dict.fromkeys([*_FOLDERS, *(path for path in sys.path if path.endswith("-packages"))]):
        yield from _iter_files(Path(folder))


def _iter_files(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*")):
        if (
            file.suffix in {".py", ".md", ".rst", ".txt", ""}
            and file.is_file()
            and file.stat().st_size < _MAX_FILE_BYTES
        ):
            text = file.read_bytes().decode("utf-8", "replace")
            yield from _DOCSTRING.findall(text) if file.suffix == ".py" else [text] if "\ufffd" not in text else []


def _iter_distinct_pieces(sources: Iterator[str]) -> Iterator[str | None]:
    """Yield each distinct piece once, and None at the start of each source."""
    seen_hashes, character_count = set[bytes](), 0
    for text in sources:
        yield None
        for piece in _split_pieces(text.split()):
            piece_hash = hashlib.blake2b(piece.casefold().encode(), digest_size=8).digest()
            if piece_hash not in seen_hashes:
                seen_hashes.add(piece_hash)
                yield piece
        character_count += len(text)
        if character_count > _MAX_TOTAL_CHARACTERS:
            return


def _split_pieces(words: list[str]) -> Iterator[str]:
    """Yield pieces of about PIECE_CHARACTERS; skip those with few or very long words, and a short remainder."""
    piece, length = list[str](), 0
    for word in words:
        piece.append(word)
        length += len(word) + 1
        if length >= PIECE_CHARACTERS:
            if len(piece) >= PIECE_CHARACTERS / 12 and length < 2 * PIECE_CHARACTERS:
                yield " ".join(piece)
            piece, length = [], 0


def _make_windows(rng: random.Random, runs: list[list[str]], count: int) -> list[str]:
    """Return windows that start at a random word of a stored piece and end in the next piece of the same source."""
    long_runs = [run for run in runs if len(run) > 1]
    windows = []
    for run in rng.choices(long_runs, [len(run) - 1 for run in long_runs], k=count) if count else []:
        index = rng.randrange(len(run) - 1)
        first, second = run[index].split(), run[index + 1].split()
        start = rng.randrange(1, len(first))
        windows.append(" ".join([*first[start:], *second[: start or None]]))
    return windows


def _make_snippet(rng: random.Random, text: str) -> str:
    words = text.split()
    length = rng.randint(6, 12)
    start = rng.randrange(max(1, len(words) - length))
    return " ".join(words[start : start + length])
