"""WebVTT and SubRip: what is said, and by whom where it is told. Does not keep times; the lines lead back to them."""

import re
from html import unescape

from ....core.types.documents import Content, Locator
from ..block_builder import Outline, line
from ..encodings import decode
from .text import pieces

MAX_PARAGRAPH_CHARACTERS = 800
"""Cues are joined up to about this length, at the end of a sentence if one comes."""
MAX_ROLLING_LINES = 4
"""A cue that rolls shows as many at most of those before."""

_TIMES = re.compile(r"^\s*(?:\d+:)?\d+:\d+[.,]\d+\s*-->")
_NOT_SAID = re.compile(r"^(?:WEBVTT|NOTE|STYLE|REGION)\b")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,200})?\s{1,9}([^>]{1,200})>")
_TAG = re.compile(
    r"</?(?:[bcisuv]|br|font|lang|ruby|rt|span)(?:[.\s/][^<>]{0,200})?>|<(?:\d+:)?\d+:\d+[.,]\d+>", re.IGNORECASE
)


def read(data: bytes) -> Content:
    """Read the cues, joined into paragraphs until somebody else speaks."""
    outline = Outline()
    speaker, texts, at = "", list[str](), (0, 0)
    before: list[str] = []
    for first, lines in pieces(decode(data)):
        voice, shown = _cue(lines)
        text = " ".join(shown if voice not in ("", speaker) else _new(shown, before))
        before = shown or before
        if not text:
            continue
        if texts and (voice not in ("", speaker) or _full(texts)):
            _add(outline, speaker, texts, at)
            texts = []
        at = (at[0] if texts else first, first + len(lines) - 1)
        speaker = voice or (speaker if texts else "")
        texts.append(text)
    _add(outline, speaker, texts, at)
    return outline.content()


def _cue(lines: list[str]) -> tuple[str, list[str]]:
    """Who speaks, as far as it is told, and the lines that are shown."""
    times = next((number for number, text in enumerate(lines) if _TIMES.match(text)), None)
    if times is None:
        return "", [] if _NOT_SAID.match(lines[0]) else _shown(lines)
    text = "\n".join(lines[times + 1 :])
    voices = _VOICE.findall(text)
    text = _VOICE.sub(lambda voice: "" if voice[1] == voices[0] else f" {voice[1]}: ", text)
    return (line(unescape(voices[0])) if voices else ""), _shown(_TAG.sub("", text).split("\n"))


def _shown(lines: list[str]) -> list[str]:
    return list(filter(None, (line(unescape(text)) for text in lines)))


def _new(shown: list[str], before: list[str]) -> list[str]:
    """The lines that the cue before did not show: captions that roll begin with its last ones."""
    for count in range(min(len(shown), len(before), MAX_ROLLING_LINES), 0, -1):
        if shown[:count] == before[-count:]:
            return shown[count:]
    return shown


def _full(texts: list[str]) -> bool:
    size = sum(map(len, texts))
    return size > 2 * MAX_PARAGRAPH_CHARACTERS or (
        size > MAX_PARAGRAPH_CHARACTERS and texts[-1].endswith((".", "?", "!", "。"))
    )


def _add(outline: Outline, speaker: str, texts: list[str], at: tuple[int, int]) -> None:
    said = " ".join(texts)
    outline.add(f"{speaker}: {said}" if speaker and said else said, "paragraph", Locator(lines=at))
