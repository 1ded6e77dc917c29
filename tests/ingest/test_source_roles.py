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
    """Return a nested list of the titles."""
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
        (
            "# Revision history\n\n| Version | Date | Changes |\n|---|---|---|\n| 1.1 | May 2024 | Valve added |",
            "changelog",
        ),
        (f"# Contents\n\n{make_items(TITLES)}", "contents"),
        (MIT, "licence"),
        (f"# Notices\n\n{MIT}", "licence"),
    ],
)
def test_whole_documents_are_recognised(text: str, role: str) -> None:
    """Every chunk has the role, that of the introduction too."""
    assert set(find_roles(text)) == {role}


DEBIAN = "bash (5.2-2) unstable; urgency=medium\n\n  * Fix it.\n\nbash (5.2-1) unstable; urgency=low\n\n  * New."
DOTTED = "".join(f"Chapter {number} {'. ' * 20}{number * 7}\n" for number in range(1, 9))
TERMS = "anchor boat crew deck fog gull hull ice".split()
BOOK_INDEX = "".join(f"{term}, {page}, {page + 3}–{page + 4}\n" for page, term in enumerate(TERMS, 5))
MODULE_INDEX = "\n".join(f"{term}() (in module boiler)" for term in TERMS)
SIGNATURES = "\n".join(f"- def {term}(valve, timeout=None) -> bool" for term in TERMS)


@pytest.mark.parametrize(
    ("text", "role"),
    [
        (DEBIAN, "changelog"),
        (DOTTED, "contents"),
        (BOOK_INDEX, "index"),
        (MODULE_INDEX, "index"),
        (SIGNATURES, "api_list"),
    ],
)
def test_plain_texts_are_recognised(text: str, role: str) -> None:
    """Their lines have the structure, without any markup."""
    assert set(find_roles(text, "page.txt", "text/plain")) == {role}


def test_section_of_own_titles_is_contents_and_its_prose_is_not() -> None:
    """The page keeps its other chunks without a role."""
    titles = ("Filling the tank", "Draining the tank", "Lighting the burner", "Cleaning the filter")
    listing = "\n".join(f"- {title}" for title in titles * 3)
    text = f"# Boiler\n\n## Overview\n\n{listing}\n\n" + "".join(f"## {title}\n\n{PROSE}\n\n" for title in titles)
    roles = find_roles(text)
    assert roles[0] == "contents"
    assert len(roles) >= 4
    assert set(roles[1:]) == {""}


TOOLS = "- Slack\n- Zoom\n- Calendar\n- Mail\n- Drive\n- Wiki\n- Tickets"
GLOSSARY = (
    "## A\n\n- Anchor: what holds a boat\n- API: interface of programs\n\n## B\n\n- Bell: a signal\n- Boat: a ship"
)
CODES = "- Leave #670: any time off\n- Training #12: courses\n- Travel #31: trips\n- Other #4: the rest"
CALLS = "\n".join(f"- `{name}()`" for name in "Path Query Header Cookie Body Form File Depends".split())


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"# {number}.{part} Valves\n\n{PROSE}\n\n" for number in (1, 2) for part in (1, 2)),
        "".join(f"# {number}.1\n\n{PROSE}\n\n" for number in (1, 2, 3)),
        f"# Meetings\n\n## 2024-05-02\n\n{PROSE}\n\n## 2024-05-01\n\n{PROSE}",
        f"# Licence\n\nThe service is licensed under the terms of the MIT license. {PROSE}",
        f"# Tools\n\n{PROSE}\n\n{TOOLS}",
        f"# Glossary\n\n{GLOSSARY}",
        f"# Codes\n\n{CODES}",
        f"# Methods\n\n{PROSE}\n\n{CALLS}",
    ],
)
def test_pages_of_manuals_have_no_role(text: str) -> None:
    """Numbered chapters, minutes, mentions of a licence, lists of things and glossaries are read as they are."""
    assert set(find_roles(text)) == {""}


def test_answer_below_a_table_of_contents_has_no_role() -> None:
    """A chunk that is joined from navigation and a paragraph keeps its full weight."""
    assert set(find_roles(f"# On this page\n\n{make_items(TITLES)}\n\n{PROSE[:60]}.")) == {""}
