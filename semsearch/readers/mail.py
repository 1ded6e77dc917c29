"""E-mail messages. Does not read attachments; it names them."""

from collections.abc import Iterator
from email import policy
from email.errors import HeaderParseError, MessageError
from email.message import EmailMessage
from email.parser import BytesParser

from ..errors import UnsupportedMedia
from ..types import Content
from .elements import add_html
from .encodings import decode
from .outline import Outline, line
from .text import pieces

_HEADERS = ("Subject", "From", "To", "Cc", "Date")


def read(data: bytes) -> Content:
    """Read the headers that people see, the body (plain text, else HTML) and the attachments' names."""
    try:
        message = BytesParser(EmailMessage, policy=policy.default).parsebytes(data)
        parts = list(_parts(message))
    except (MessageError, ValueError, LookupError, RecursionError) as exc:
        raise UnsupportedMedia(f"it is not a message that can be read: {exc}") from exc
    outline = Outline()
    headers = [(name, _header(message, name)) for name in _HEADERS]
    if not any(text for _, text in headers):
        raise UnsupportedMedia("it is not a message: it has none of the usual headers")
    outline.title = headers[0][1] or None
    outline.add("\n".join(f"{name}: {text}" for name, text in headers if text), "list")
    _add_body(outline, parts)
    names = [line(part.get_filename() or "") for part in parts if part.get_filename()]
    outline.add("\n".join(f"Attachment: {name}" for name in names), "list")
    return outline.content()


def _parts(message: EmailMessage) -> Iterator[EmailMessage]:
    return (part for part in message.walk() if not part.is_multipart() and isinstance(part, EmailMessage))


def _header(message: EmailMessage, name: str) -> str:
    try:
        return line(str(message.get(name, "")))
    except (HeaderParseError, ValueError, LookupError, IndexError, TypeError, AttributeError):
        # the standard library fails in many ways on headers that break its grammar; the rest is still worth reading
        return ""


def _add_body(outline: Outline, parts: list[EmailMessage]) -> None:
    bodies = [part for part in parts if not part.get_filename() and part.get_content_maintype() == "text"]
    plain = [part for part in bodies if part.get_content_type() == "text/plain" and _text(part).strip()]
    for part in plain or bodies:
        text = _text(part)
        if part.get_content_type() == "text/html":
            title, outline.title = outline.title, outline.title or ""
            add_html(outline, text)
            outline.title = title
        else:
            for _, lines in pieces(text):
                outline.add("\n".join(lines))


def _text(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    return decode(payload, part.get_content_charset()) if isinstance(payload, bytes) else ""
