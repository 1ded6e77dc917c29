"""Read e-mail messages: headers, bodies and forwarded messages. Lists other attachments by name only."""

import re
from email.errors import HeaderParseError, MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import EmailPolicy
from itertools import chain
from typing import Any

from ....core.errors import UnsupportedMediaError
from ....core.types.documents import ParsedContent
from ..block_builder import BlockBuilder, collapse_whitespace
from ..encodings import decode
from ..markup.html_blocks import add_html
from .text import split_at_blank_lines

MAX_PARSED_HEADER_CHARACTERS = 4_000
"""Longer headers are only decoded: the standard library's parser takes at least quadratic time."""

_HEADERS = ("Subject", "From", "To", "Cc", "Date")
_ENCODED_WORD = re.compile(r"=\?[\w*.-]{1,60}\?[bq]\?[^?\s]{0,1000}\?=", re.IGNORECASE)
_SPACE_BETWEEN_ENCODED_WORDS = re.compile(r"(?<=\?=)\s+(?==\?)")
_CONTROL_BYTES = bytes((*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20)))


def read(data: bytes) -> ParsedContent:
    """Read the main headers, the bodies (plain text rather than HTML) and the names of attachments."""
    try:
        message = BytesParser(EmailMessage, policy=_Policy()).parsebytes(data)
        names = [collapse_whitespace(part.get_filename() or "") for part in message.walk() if not part.is_multipart()]
        bodies = _extract_bodies(message)
    except (MessageError, ValueError, LookupError, RecursionError) as exc:
        raise UnsupportedMediaError(f"it is not a readable message: {exc}") from exc
    builder = BlockBuilder()
    headers = _format_headers(message)
    if not headers:
        raise UnsupportedMediaError("it is not a message: it has none of the usual headers")
    builder.title = _get_header(message, "Subject") or None
    builder.add(headers, "list")
    for subtype, text in bodies:
        _add_body(builder, subtype, text)
    builder.add("\n".join(f"Attachment: {name}" for name in names if name), "list")
    return builder.build()


class _Policy(EmailPolicy):
    """Accept headers with raw bytes, and do not parse long ones."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        try:
            return name, value if value.isascii() else decode(value.encode(errors="surrogateescape"))
        except UnsupportedMediaError:
            return name, value

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return (
            super().header_fetch_parse(name, value)
            if len(value) <= MAX_PARSED_HEADER_CHARACTERS
            else _decode_encoded_words(value)
        )


def _decode_encoded_words(text: str) -> str:
    return collapse_whitespace(_ENCODED_WORD.sub(_decode_word, _SPACE_BETWEEN_ENCODED_WORDS.sub("", text)))


def _decode_word(encoded: re.Match[str]) -> str:
    try:
        return str(make_header(decode_header(encoded[0])))
    except (MessageError, ValueError, LookupError):
        return encoded[0]


def _format_headers(message: Message) -> str:
    headers = [(name, _get_header(message, name)) for name in _HEADERS]
    return "\n".join(f"{name}: {text}" for name, text in headers if text)


def _get_header(message: Message, name: str) -> str:
    try:
        return collapse_whitespace(str(message.get(name, "")))
    except (HeaderParseError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # the standard library raises many errors on malformed headers
        return _decode_encoded_words(
            next(str(value) for key, value in message.raw_items() if key.lower() == name.lower())
        )


def _extract_bodies(part: Message) -> list[tuple[str, str]]:
    """Return the visible texts as (subtype, text); of alternatives the plain text, else the HTML."""
    if part.is_multipart():
        bodies = [_extract_bodies(child) for child in part.get_payload() if isinstance(child, Message)]
        if part.get_content_type() == "message/rfc822":
            headers = [
                [("headers", _format_headers(child))] for child in part.get_payload() if isinstance(child, Message)
            ]
            return list(chain.from_iterable(chain(*zip(headers, bodies, strict=True))))
        is_alternative = part.get_content_subtype() == "alternative"
        return _choose_alternative(bodies) if is_alternative else list(chain.from_iterable(bodies))
    if part.get_content_maintype() != "text" or part.get_filename() or part.get_content_disposition() == "attachment":
        return []
    text = _decode_text(part)
    return [(part.get_content_subtype(), text)] if text.strip() else []


def _choose_alternative(versions: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    for preferred in ("plain", "html"):
        for version in versions:
            if any(subtype == preferred for subtype, _ in version):
                return version
    return next(filter(None, versions), [])


def _add_body(builder: BlockBuilder, subtype: str, text: str) -> None:
    if subtype == "headers":
        builder.add(text, "list")
    elif subtype == "html":
        title, builder.title = builder.title, builder.title or ""
        add_html(builder, text)
        builder.title = title
    else:
        for _, lines in split_at_blank_lines(text):
            builder.add("\n".join(lines))


def _decode_text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = part.get_content_charset()
    try:
        return decode(payload, charset)
    except UnsupportedMediaError:  # stray control characters in one part must not fail the whole message
        return decode(payload.translate(None, _CONTROL_BYTES), charset)
