"""Real texts to measure with: pieces of about 900 characters of what any machine has, and questions cut from others.

The texts are those of the judged collections, of Python's own documentation strings and of installed packages. Where
there are fewer than asked for, pieces that overlap are cut at random places, and `Texts.windows` says how many.
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
from semsearch.core.types.usage import Errand
from semsearch.models.embedders.local import LocalEmbedder

CACHE = Path(__file__).parents[2] / "build" / "bench"
PIECE = 900
_HELD_OUT = 20
"""One piece of so many is not stored, and questions are cut from it."""
_QUESTIONS = 5000
_DOCSTRING = re.compile(r'"""(.{300,}?)"""', re.DOTALL)
_LARGEST = 2_000_000
_FOLDERS = ("/usr/share/doc", sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"])
_ENOUGH = 400_000_000
"""Characters at which no further files are read."""

Questions = Literal["snippets", "chunks"]
KINDS: tuple[Questions, ...] = ("snippets", "chunks")


@dataclass(frozen=True, slots=True)
class Texts:
    """What is stored, and what is asked for: words of held-out pieces, and held-out pieces whole."""

    stored: list[str]
    snippets: list[str]
    chunks: list[str]
    windows: int
    """How many of the stored overlap others."""

    def asked(self, kind: Questions) -> list[str]:
        """The questions of one kind."""
        return self.snippets if kind == "snippets" else self.chunks


def load(count: int, data: Path) -> Texts:
    """Return `count` stored texts with their questions, from the cache if they were made before."""
    file = CACHE / f"texts-{count}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(make(count, _sources(data)))))
    return Texts(**json.loads(file.read_text()))


def make(count: int, sources: Iterator[str]) -> Texts:
    """Cut texts into pieces, hold some of them out, and take `count` of the others."""
    luck, pieces, held, runs = random.Random(1), list[str](), list[str](), list[list[str]]()
    for piece in _distinct(sources):
        if piece is None or luck.randrange(_HELD_OUT) == 0:
            held += [piece] if piece else []
            runs.append([])
        else:
            pieces.append(piece)
            runs[-1].append(piece)
    luck.shuffle(pieces)
    luck.shuffle(held)
    windows = _windows(luck, runs, max(0, count - len(pieces)))
    chunks = held[:_QUESTIONS]
    snippets = [_snippet(luck, chunks[number % len(chunks)]) for number in range(_QUESTIONS if chunks else 0)]
    return Texts(pieces[:count] + windows, list(dict.fromkeys(snippets)), chunks, len(windows))


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of stored texts and of both kinds of questions."""

    stored: Vectors
    asked: dict[Questions, Vectors]
    windows: int


def vectors(count: int, data: Path, questions: int) -> Embedded:
    """Return the vectors of `count` texts and of so many questions of each kind; the texts are made only once."""
    files = [CACHE / f"vectors-{count}-{part}.npy" for part in ("stored", "snippets", "chunks", "windows")]
    if not all(file.exists() for file in files):
        CACHE.mkdir(parents=True, exist_ok=True)
        made = make(count, _sources(data))
        for file, some in zip(files, (made.stored, made.snippets, made.chunks), strict=False):
            np.save(file, embed(some))
        np.save(files[3], np.array([made.windows]))
    stored, snippets, chunks, windows = (np.load(file) for file in files)
    return Embedded(stored, {"snippets": snippets[:questions], "chunks": chunks[:questions]}, int(windows[0]))


def embed(texts: list[str], name: str | None = None) -> Vectors:
    """Return the vectors of the embedded model; those under a `name` are kept in the cache."""
    file = CACHE / f"{name}-{hashlib.sha256(''.join(texts[:100]).encode()).hexdigest()[:12]}-{len(texts)}.npy"
    if name and file.exists():
        return np.asarray(np.load(file))
    embedder = LocalEmbedder()
    found = np.concatenate(
        [
            asyncio.run(embedder.embed(texts[at : at + 2048], Errand("ingest")))
            for at in range(0, max(1, len(texts)), 2048)
        ]
    )
    if name:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, found)
    return found


def _sources(data: Path) -> Iterator[str]:
    """Whole texts: of the collections at hand, of documentation, of installed packages."""
    for file in sorted(data.glob("*/corpus.jsonl")):
        yield "\n\n".join(json.loads(line)["text"] for line in file.read_text("utf-8").splitlines())
    yield from _files(data / "docs_tree")
    for folder in dict.fromkeys([*_FOLDERS, *(path for path in sys.path if path.endswith("-packages"))]):
        yield from _files(Path(folder))


def _files(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*")):
        if file.suffix in {".py", ".md", ".rst", ".txt", ""} and file.is_file() and file.stat().st_size < _LARGEST:
            text = file.read_bytes().decode("utf-8", "replace")
            yield from _DOCSTRING.findall(text) if file.suffix == ".py" else [text] if "\ufffd" not in text else []


def _distinct(sources: Iterator[str]) -> Iterator[str | None]:
    """Pieces that did not come before, and None where another source begins."""
    seen, read = set[bytes](), 0
    for text in sources:
        yield None
        for piece in _cut(text.split()):
            mark = hashlib.blake2b(piece.casefold().encode(), digest_size=8).digest()
            if mark not in seen:
                seen.add(mark)
                yield piece
        read += len(text)
        if read > _ENOUGH:
            return


def _cut(words: list[str]) -> Iterator[str]:
    """Pieces of about PIECE characters; of what is not words, and of a short rest, there is none."""
    some, length = list[str](), 0
    for word in words:
        some.append(word)
        length += len(word) + 1
        if length >= PIECE:
            if len(some) >= PIECE / 12 and length < 2 * PIECE:
                yield " ".join(some)
            some, length = [], 0


def _windows(luck: random.Random, runs: list[list[str]], count: int) -> list[str]:
    """Pieces that begin at random in one stored piece and end in the next of the same source."""
    long = [run for run in runs if len(run) > 1]
    found = []
    for run in luck.choices(long, [len(run) - 1 for run in long], k=count) if count else []:
        place = luck.randrange(len(run) - 1)
        first, second = run[place].split(), run[place + 1].split()
        start = luck.randrange(1, len(first))
        found.append(" ".join([*first[start:], *second[: start or None]]))
    return found


def _snippet(luck: random.Random, text: str) -> str:
    words = text.split()
    length = luck.randint(6, 12)
    start = luck.randrange(max(1, len(words) - length))
    return " ".join(words[start : start + length])
