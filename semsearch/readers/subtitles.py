"""WebVTT and SubRip: what is said, and by whom where it is told. Does not keep times; the lines lead back to them."""

import re
from html import unescape

from ..types import Content, Locator
from .encodings import decode
from .outline import Outline, line
from .text import pieces

MAX_PARAGRAPH_CHARACTERS = 800
"""Cues are joined up to about this length, at the end of a sentence if one comes."""

_TIMES = re.compile(r"^\s*(?:\d+:)?\d+:\d+[.,]\d+\s*-->")
_NOT_SAID = re.compile(r"^(?:WEBVTT|NOTE|STYLE|REGION)\b")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,200})?\s{1,9}([^>]{1,200})>")
_TAG = re.compile(r"<[^<>]{0,200}>")


def read(data: bytes) -> Content:
    """Read the cues, joined into paragraphs until somebody else speaks."""
    outline = Outline()
    speaker, texts, at = "", list[str](), (0, 0)
    for first, lines in pieces(decode(data)):
        voice, text = _cue(lines)
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


def _cue(lines: list[str]) -> tuple[str, str]:
    times = next((number for number, text in enumerate(lines) if _TIMES.match(text)), None)
    if times is None:
        return "", "" if _NOT_SAID.match(lines[0]) else line(" ".join(lines))
    text = " ".join(lines[times + 1 :])
    voices = _VOICE.findall(text)
    text = _VOICE.sub(lambda voice: "" if voice[1] == voices[0] else f" {voice[1]}: ", text)
    return (line(unescape(voices[0])) if voices else ""), line(unescape(_TAG.sub("", text)))


def _full(texts: list[str]) -> bool:
    size = sum(map(len, texts))
    return size > 2 * MAX_PARAGRAPH_CHARACTERS or (
        size > MAX_PARAGRAPH_CHARACTERS and texts[-1].endswith((".", "?", "!", "。"))
    )


def _add(outline: Outline, speaker: str, texts: list[str], at: tuple[int, int]) -> None:
    said = " ".join(texts)
    outline.add(f"{speaker}: {said}" if speaker and said else said, "paragraph", Locator(lines=at))
