"""E-mail messages. Does not read attachments; it names them."""

from email import policy
from email.errors import HeaderParseError, MessageError
from email.message import EmailMessage, Message
from email.parser import BytesParser
from itertools import chain

from ..errors import UnsupportedMedia
from ..types import Content
from .elements import add_html
from .encodings import decode
from .outline import Outline, line
from .text import pieces

_HEADERS = ("Subject", "From", "To", "Cc", "Date")
_CONTROLS = bytes((*range(0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20)))


def read(data: bytes) -> Content:
    """Read the headers that people see, the bodies (of two versions the plain one) and the attachments' names."""
    try:
        message = BytesParser(EmailMessage, policy=policy.default).parsebytes(data)
        names = [line(part.get_filename() or "") for part in message.walk() if not part.is_multipart()]
        bodies = _bodies(message)
    except (MessageError, ValueError, LookupError, RecursionError) as exc:
        raise UnsupportedMedia(f"it is not a message that can be read: {exc}") from exc
    outline = Outline()
    headers = [(name, _header(message, name)) for name in _HEADERS]
    if not any(text for _, text in headers):
        raise UnsupportedMedia("it is not a message: it has none of the usual headers")
    outline.title = headers[0][1] or None
    outline.add("\n".join(f"{name}: {text}" for name, text in headers if text), "list")
    for subtype, text in bodies:
        _add_body(outline, subtype, text)
    outline.add("\n".join(f"Attachment: {name}" for name in names if name), "list")
    return outline.content()


def _header(message: EmailMessage, name: str) -> str:
    try:
        return line(str(message.get(name, "")))
    except (HeaderParseError, ValueError, LookupError, IndexError, TypeError, AttributeError):
        # the standard library fails in many ways on headers that break its grammar; the rest is still worth reading
        return ""


def _bodies(part: Message) -> list[tuple[str, str]]:
    """The texts that people see, each with its subtype; of several versions of one text the plain one, else HTML."""
    if part.is_multipart():
        inner = [_bodies(one) for one in part.get_payload() if isinstance(one, Message)]
        alternative = part.get_content_subtype() == "alternative"
        return _version(inner) if alternative else list(chain.from_iterable(inner))
    if part.get_content_maintype() != "text" or part.get_filename() or part.get_content_disposition() == "attachment":
        return []
    text = _text(part)
    return [(part.get_content_subtype(), text)] if text.strip() else []


def _version(versions: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    for wanted in ("plain", "html"):
        for version in versions:
            if any(subtype == wanted for subtype, _ in version):
                return version
    return next(filter(None, versions), [])


def _add_body(outline: Outline, subtype: str, text: str) -> None:
    if subtype == "html":
        title, outline.title = outline.title, outline.title or ""
        add_html(outline, text)
        outline.title = title
    else:
        for _, lines in pieces(text):
            outline.add("\n".join(lines))


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    charset = part.get_content_charset()
    try:
        return decode(payload, charset)
    except UnsupportedMedia:  # of a message the rest is worth reading, whatever slipped into one of its parts
        return decode(payload.translate(None, _CONTROLS), charset)
