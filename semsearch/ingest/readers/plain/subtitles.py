"""WebVTT and SubRip: what is said, and by whom where it is told. Does not keep times; the lines lead back to them."""

import re
from html import unescape

from ....core.types.documents import Locator, ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace
from ..encodings import decode
from .text import split_at_blank_lines

MAX_PARAGRAPH_CHARACTERS = 800
"""Cues are joined up to about this length, at the end of a sentence if one comes."""
MAX_ROLLING_LINES = 4
"""A cue that rolls shows as many at most of those before."""

_TIMING_LINE = re.compile(r"^\s*(?:\d+:)?\d+:\d+[.,]\d+\s*-->")
_METADATA_BLOCK = re.compile(r"^(?:WEBVTT|NOTE|STYLE|REGION)\b")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,200})?\s{1,9}([^>]{1,200})>")
_TAG = re.compile(
    r"</?(?:[bcisuv]|br|font|lang|ruby|rt|span)(?:[.\s/][^<>]{0,200})?>|<(?:\d+:)?\d+:\d+[.,]\d+>", re.IGNORECASE
)


def read(data: bytes) -> ParsedContent:
    """Read the cues, joined into paragraphs until somebody else speaks."""
    builder = BlockBuilder()
    speaker, texts, at = "", list[str](), (0, 0)
    before: list[str] = []
    for first, lines in split_at_blank_lines(decode(data)):
        voice, shown = _parse_cue(lines)
        text = " ".join(shown if voice not in ("", speaker) else _drop_repeated_lines(shown, before))
        before = shown or before
        if not text:
            continue
        if texts and (voice not in ("", speaker) or _is_full(texts)):
            _add_paragraph(builder, speaker, texts, at)
            texts = []
        at = (at[0] if texts else first, first + len(lines) - 1)
        speaker = voice or (speaker if texts else "")
        texts.append(text)
    _add_paragraph(builder, speaker, texts, at)
    return builder.build()


def _parse_cue(lines: list[str]) -> tuple[str, list[str]]:
    """Who speaks, as far as it is told, and the lines that are shown."""
    times = next((number for number, text in enumerate(lines) if _TIMING_LINE.match(text)), None)
    if times is None:
        return "", [] if _METADATA_BLOCK.match(lines[0]) else _clean_lines(lines)
    text = "\n".join(lines[times + 1 :])
    voices = _VOICE.findall(text)
    text = _VOICE.sub(lambda voice: "" if voice[1] == voices[0] else f" {voice[1]}: ", text)
    return (collapse_whitespace(unescape(voices[0])) if voices else ""), _clean_lines(_TAG.sub("", text).split("\n"))


def _clean_lines(lines: list[str]) -> list[str]:
    return list(filter(None, (collapse_whitespace(unescape(text)) for text in lines)))


def _drop_repeated_lines(lines: list[str], previous_lines: list[str]) -> list[str]:
    """The lines that the cue before did not show: captions that roll begin with its last ones."""
    for count in range(min(len(lines), len(previous_lines), MAX_ROLLING_LINES), 0, -1):
        if lines[:count] == previous_lines[-count:]:
            return lines[count:]
    return lines


def _is_full(texts: list[str]) -> bool:
    size = sum(map(len, texts))
    return size > 2 * MAX_PARAGRAPH_CHARACTERS or (
        size > MAX_PARAGRAPH_CHARACTERS and texts[-1].endswith((".", "?", "!", "。"))
    )


def _add_paragraph(builder: BlockBuilder, speaker: str, texts: list[str], line_range: tuple[int, int]) -> None:
    said = " ".join(texts)
    builder.add(f"{speaker}: {said}" if speaker and said else said, "paragraph", Locator(lines=line_range))
