"""Read iCalendar files (RFC 5545): each event is a heading, with a paragraph of its fields."""

import re

from semsearch.ingest.reader_api import BlockBuilder, ParsedContent, UnsupportedMediaError

FIELDS = {"DTSTART": "Start: ", "DTEND": "End: ", "LOCATION": "Place: ", "DESCRIPTION": ""}


def read(data: bytes) -> ParsedContent:
    """Return the events of a calendar in the order of the file."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    if not text.lstrip("\ufeff").upper().startswith("BEGIN:VCALENDAR"):
        raise UnsupportedMediaError("it is not a calendar: it does not begin with BEGIN:VCALENDAR")
    builder = BlockBuilder()
    event: dict[str, str] = {}
    for line in re.sub(r"\n[ \t]", "", text).splitlines():  # a long line goes on behind a white space
        name, _, value = line.partition(":")
        name = name.partition(";")[0].upper()
        if name == "BEGIN":
            event = {}
        elif (name, value.upper()) == ("END", "VEVENT"):
            builder.add_heading(event.get("SUMMARY", "Event"), level=1)
            builder.add("\n".join(f"{label}{event[field]}" for field, label in FIELDS.items() if field in event))
        elif name == "X-WR-CALNAME":
            builder.title = value
        else:
            event[name] = re.sub(r"\\([nN,;\\])", lambda match: match[1].replace("n", "\n").replace("N", "\n"), value)
    return builder.build()
