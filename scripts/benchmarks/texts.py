"""Real texts for measurements: pieces of about 900 characters, and questions cut from held-out pieces.

The sources are the judged collections, system documentation and the docstrings of Python and of installed packages. If
they give too few pieces, overlapping windows at random offsets are added; `Texts.windows` counts them.
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
"""One of this many pieces is held out for questions."""
_MAX_QUESTIONS = 5000
_DOCSTRING = re.compile(r'"""(.{300,}?)"""', re.DOTALL)
_MAX_FILE_BYTES = 2_000_000
_FOLDERS = ("/usr/share/doc", sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"])
_MAX_TOTAL_CHARACTERS = 400_000_000
"""Characters at which no further files are read."""

QuestionKind = Literal["snippets", "chunks"]
QUESTION_KINDS: tuple[QuestionKind, ...] = ("snippets", "chunks")


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts to store, and questions of two kinds."""

    stored: list[str]
    snippets: list[str]
    """Questions of 6 to 12 words of a held-out piece."""
    chunks: list[str]
    """Held-out pieces, each a question."""
    windows: int
    """Number of stored texts that overlap others."""

    def questions(self, kind: QuestionKind) -> list[str]:
        """Return the questions of one kind."""
        return self.snippets if kind == "snippets" else self.chunks


def load(count: int, data: Path) -> Texts:
    """Return `count` texts with questions, from the cache if it has them."""
    file = CACHE / f"texts-{count}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(make(count, _iter_sources(data)))))
    return Texts(**json.loads(file.read_text()))


def make(count: int, sources: Iterator[str]) -> Texts:
    """Cut sources into pieces, hold some of them out for questions, and return `count` of the others."""
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
    """Return the vectors of `count` texts and of this many questions of each kind, from the cache if it has them."""
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
    """Embed texts with the embedded model; with a `name` the vectors are cached."""
    file = CACHE / f"{name}-{hashlib.sha256(''.join(texts[:100]).encode()).hexdigest()[:12]}-{len(texts)}.npy"
    if name and file.exists():
        return np.asarray(np.load(file))
    embedder = LocalEmbedder()
    embedded = np.concatenate(
        [
            asyncio.run(embedder.embed(texts[start : start + 2048], RequestContext("ingest")))
            for start in range(0, max(1, len(texts)), 2048)
        ]
    )
    if name:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, embedded)
    return embedded


def _iter_sources(data: Path) -> Iterator[str]:
    """Yield the texts of the judged collections, of documentation files and of installed packages."""
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
    """Yield distinct pieces, and None before those of each source."""
    seen, character_count = set[bytes](), 0
    for text in sources:
        yield None
        for piece in _split_pieces(text.split()):
            digest = hashlib.blake2b(piece.casefold().encode(), digest_size=8).digest()
            if digest not in seen:
                seen.add(digest)
                yield piece
        character_count += len(text)
        if character_count > _MAX_TOTAL_CHARACTERS:
            return


def _split_pieces(words: list[str]) -> Iterator[str]:
    """Yield pieces of about PIECE_CHARACTERS; skip text that does not look like words, and the last short piece."""
    piece, length = list[str](), 0
    for word in words:
        piece.append(word)
        length += len(word) + 1
        if length >= PIECE_CHARACTERS:
            if len(piece) >= PIECE_CHARACTERS / 12 and length < 2 * PIECE_CHARACTERS:
                yield " ".join(piece)
            piece, length = [], 0


def _make_windows(rng: random.Random, runs: list[list[str]], count: int) -> list[str]:
    """Return windows that start at a random word of a piece and end in the next piece of the same source."""
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
