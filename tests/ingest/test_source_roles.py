"""Texts that name many things and explain none are recognised by structure, and nothing else is."""

import pytest

from semsearch.core.types.documents import Document
from semsearch.ingest.chunking import chunk
from semsearch.ingest.readers import read
from semsearch.ingest.source_roles import assign_roles

PROSE = (
    "Install the package first, then start the service with the command below. It listens on the port that you"
    " chose, and it writes its log into the folder of the collection. Nothing is sent anywhere."
)
RELEASES = "".join(
    f"## {version}\n\n- Fixed the parser of dates in the report of month {number}. (#{number})\n\n"
    for number, version in enumerate(("2.1.0 (2024-05-01)", "2.0.1 (2024-03-02)", "2.0.0 (2024-01-07)"), 11)
)
RELEASES_OF_PROSE = "".join(f"## Version {version}\n\n{PROSE}\n\n" for version in ("3.2", "3.1", "3.0"))
TITLES = "Getting started|  Installing|  First steps|Searching|  Filters|  Ranking|Answers|  Citations|  Checks"
MIT = """MIT License

Copyright (c) 2020 The authors

Permission is hereby granted, free of charge, to any person obtaining a copy of this software, to deal in the Software
without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, provided that the above copyright notice is included in all copies.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT.
"""


def make_items(titles: str) -> str:
    return "\n".join(f"{' ' * (len(title) - len(title.lstrip()))}- {title.strip()}" for title in titles.split("|"))


def find_roles(text: str, name: str = "page.md", media_type: str = "text/markdown") -> list[str]:
    """Return the role of each chunk of a file."""
    content = read(text.encode(), media_type)
    document = Document(name, content.title or name, media_type, content.blocks, "", "")
    return [chunk.role for chunk in assign_roles(document, chunk(document))]


@pytest.mark.parametrize(
    ("text", "role"),
    [
        (f"# Changes\n\nAll notable changes.\n\n{RELEASES}", "changelog"),
        (RELEASES_OF_PROSE, "changelog"),
        (f"# What's new in Boiler 3.12\n\n{PROSE}\n\n## Parser\n\n{PROSE}", "changelog"),
        ("# Revision history\n\n| Version | Date | Changes |\n|---|---|---|\n| 1.1 | May 2024 | Valve added |", "changelog"),
        (f"# Contents\n\n{make_items(TITLES)}", "contents"),
        (MIT, "licence"),
        (f"# Notices\n\n{MIT}", "licence"),
    ],
)
def test_whole_documents_are_recognised(text: str, role: str) -> None:
    assert set(find_roles(text)) == {role}


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("bash (5.2-2) unstable; urgency=medium\n\n  * Fix it.\n\nbash (5.2-1) unstable; urgency=low\n\n  * New.", "changelog"),
        ("".join(f"Chapter {n} {'. ' * 20}{n * 7}\n" for n in range(1, 9)), "contents"),
        ("".join(f"{term}, {page}, {page + 3}–{page + 4}\n" for page, term in enumerate("anchor boat crew deck fog gull hull ice".split(), 5)), "index"),
        ("\n".join(f"{name}() (in module boiler)" for name in "abort burn close drain empty fill".split()), "index"),
        ("\n".join(f"- def {name}(valve, timeout=None) -> bool" for name in "abc bcd cde def efg fgh ghi hij".split()), "api_list"),
    ],
)  # fmt: skip
def test_plain_texts_are_recognised(text: str, role: str) -> None:
    assert set(find_roles(text, "page.txt", "text/plain")) == {role}


def test_section_of_own_titles_is_contents_and_its_prose_is_not() -> None:
    """The page keeps its other chunks without a role."""
    titles = ("Filling the tank", "Draining the tank", "Lighting the burner", "Cleaning the filter")
    listing = "\n".join(f"- {title}" for title in titles * 3)
    text = f"# Boiler\n\n## Overview\n\n{listing}\n\n" + "".join(f"## {title}\n\n{PROSE}\n\n" for title in titles)
    roles = find_roles(text)
    assert roles[0] == "contents"
    assert len(roles) >= 4 and set(roles[1:]) == {""}


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"# {number}.{part} Valves\n\n{PROSE}\n\n" for number in (1, 2) for part in (1, 2)),
        "".join(f"# {number}.1\n\n{PROSE}\n\n" for number in (1, 2, 3)),
        f"# Meetings\n\n## 2024-05-02\n\n{PROSE}\n\n## 2024-05-01\n\n{PROSE}",
        f"# Licence\n\nThe service is licensed under the terms of the MIT license. {PROSE}",
        f"# Tools\n\n{PROSE}\n\n- Slack\n- Zoom\n- Calendar\n- Mail\n- Drive\n- Wiki\n- Tickets",
        "# Glossary\n\n## A\n\n- Anchor: what holds a boat\n- API: interface of programs\n\n## B\n\n- Bell: a signal\n- Boat: a small ship",
        "# Codes\n\n- Leave #670: any time off\n- Training #12: courses\n- Travel #31: trips\n- Other #4: the rest",
        f"# Methods\n\n{PROSE}\n\n- `Path()`\n- `Query()`\n- `Header()`\n- `Cookie()`\n- `Body()`\n- `Form()`\n- `File()`\n- `Depends()`",
    ],
)  # fmt: skip
def test_pages_of_manuals_have_no_role(text: str) -> None:
    """Numbered chapters, minutes, mentions of a licence, lists of things and glossaries are read as they are."""
    assert set(find_roles(text)) == {""}


def test_answer_below_a_table_of_contents_has_no_role() -> None:
    """A chunk that is joined from navigation and a paragraph keeps its full weight."""
    assert set(find_roles(f"# On this page\n\n{make_items(TITLES)}\n\n{PROSE[:60]}.")) == {""}
