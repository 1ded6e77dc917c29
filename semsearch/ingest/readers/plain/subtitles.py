"""Read WebVTT and SubRip: the spoken text and, if stated, its speakers. Drops times, but keeps line numbers."""

import re
from html import unescape

from ....core.types.documents import Locator, ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace
from ..encodings import decode
from .text import split_at_blank_lines

MAX_PARAGRAPH_CHARACTERS = 800
"""Cues are joined up to about this length, then to the next end of a sentence."""
MAX_ROLLING_LINES = 4
"""Roll-up captions repeat at most this many lines of the previous cue."""

_TIMING_LINE = re.compile(r"^\s*(?:\d+:)?\d+:\d+[.,]\d+\s*-->")
_METADATA_BLOCK = re.compile(r"^(?:WEBVTT|NOTE|STYLE|REGION)\b")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,200})?\s{1,9}([^>]{1,200})>")
_TAG = re.compile(
    r"</?(?:[bcisuv]|br|font|lang|ruby|rt|span)(?:[.\s/][^<>]{0,200})?>|<(?:\d+:)?\d+:\d+[.,]\d+>", re.IGNORECASE
)


def read(data: bytes) -> ParsedContent:
    """Read the cues, joined into paragraphs by speaker."""
    builder = BlockBuilder()
    speaker, texts, line_range = "", list[str](), (0, 0)
    previous_lines: list[str] = []
    for first, lines in split_at_blank_lines(decode(data)):
        voice, cue_lines = _parse_cue(lines)
        text = " ".join(cue_lines if voice not in ("", speaker) else _drop_repeated_lines(cue_lines, previous_lines))
        previous_lines = cue_lines or previous_lines
        if not text:
            continue
        if texts and (voice not in ("", speaker) or _is_full(texts)):
            _add_paragraph(builder, speaker, texts, line_range)
            texts = []
        line_range = (line_range[0] if texts else first, first + len(lines) - 1)
        speaker = voice or (speaker if texts else "")
        texts.append(text)
    _add_paragraph(builder, speaker, texts, line_range)
    return builder.build()


def _parse_cue(lines: list[str]) -> tuple[str, list[str]]:
    """Return the speaker, or an empty string, and the lines of a cue."""
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
    """Return the new lines of a cue: roll-up captions begin with the last lines of the previous cue."""
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
    spoken = " ".join(texts)
    builder.add(f"{speaker}: {spoken}" if speaker and spoken else spoken, "paragraph", Locator(lines=line_range))
