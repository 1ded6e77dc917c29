"""Split front matter from the text below it: YAML between `---`, TOML between `+++`. Parses only the title."""

import re
from dataclasses import dataclass

_YAML_BLOCK = re.compile(
    r"\A(?:---[ \t]*\n(?=(?:[ \t]*(?:#.*)?\n){0,20}[\w -]{1,100}:)(?P<body>.*?)^|---[ \t]*\n(?:[ \t]*\n){0,3})"
    r"(?:---|\.\.\.)[ \t]*$\n?",
    re.DOTALL | re.MULTILINE,
)
_TOML_BLOCK = re.compile(
    r"\A\+\+\+[ \t]*\n(?P<body>(?=(?:[ \t]*(?:#.*)?\n){0,20}(?:[\w .\"-]{1,100}=|\[|\+\+\+)).*?)^\+\+\+[ \t]*$\n?",
    re.DOTALL | re.MULTILINE,
)
_PROSE_PARAGRAPH = re.compile(r"\n[ \t]*\n(?![\w -]{1,100}:|[ \t#-]|\n|\Z)")
"""A paragraph of text after an empty line: the rules around it are thematic breaks."""
_YAML_TITLE = re.compile(
    r"""^title[ \t]*:[ \t]*(?:[>|][+-]?[ \t]*\n(?P<block>(?:[ \t]+\S.*\n)+)|(["']?)(?P<inline>.{1,500}?)\2[ \t]*$)""",
    re.MULTILINE | re.IGNORECASE,
)
_TOML_TITLE = re.compile(
    r"""^title[ \t]*=[ \t]*("{3}|'{3}|["'])(?P<inline>.{1,500}?)\1""", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The title that front matter states, the text below it, and the line of the file where that text begins."""

    title: str | None
    body: str
    first_line: int


def split_front_matter(text: str) -> FrontMatter:
    """Return the parts of a text; without front matter the title is None and the body is the whole text."""
    yaml, toml = _YAML_BLOCK.match(text), _TOML_BLOCK.match(text)
    block = yaml or toml
    if block is None or (yaml and _PROSE_PARAGRAPH.search(block["body"] or "")):
        return FrontMatter(None, text, 1)
    match = (_YAML_TITLE if yaml else _TOML_TITLE).search(block["body"] or "")
    title = match and (match["inline"] or match.groupdict().get("block"))
    return FrontMatter(title or None, text[block.end() :], 1 + block[0].count("\n"))
