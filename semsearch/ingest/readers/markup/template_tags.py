"""Recognise tags of template languages and attribute lists in text, and the words that they show. Parses no Markdown.

Covers Liquid, Jinja and Nunjucks (`{% tag %}`, `{{ variable }}`), Hugo (`{{< shortcode >}}`), mdBook (`{{#include}}`),
MkDocs (`{* include *}`), MDX comments, and the attribute lists of kramdown, Pandoc and Python-Markdown
(`{: #id .class}`). Every look ahead is bounded, so that a text of unclosed tags is read in linear time.
"""

import re
from typing import NamedTuple

MAX_TAG_CHARACTERS = 2_000
MAX_HIDDEN_CHARACTERS = 5_000
"""Longest text between {% comment %} and {% endcomment %} on one line or in one paragraph."""

_DELIMITERS = (
    ("{{<", ">}}"),
    ("{{%", "%}}"),
    ("{%", "%}"),
    ("{{", "}}"),
    ("{*", "*}"),
    ("{/*", "*/}"),
)
_NAME = r"[A-Za-z][\w:.-]{0,100}"
_VALUE = r"""(?:"[^"{}]{0,200}"|'[^'{}]{0,200}'|[^\s"'{}]{1,200})"""
_ATTRIBUTE = rf"(?:#[^\s{{}}]{{1,200}}|\.{_NAME}|[\w-]{{1,50}}={_VALUE})"
_ATTRIBUTES = re.compile(
    rf"\{{(?:(?P<colon>::?)[ \t]*(?:toc|options|nomarkdown)?)?[ \t]*(?P<first>{_ATTRIBUTE})?"
    rf"(?:[ \t]+{_ATTRIBUTE}){{0,20}}[ \t]*/?\}}"
)
_ATTRIBUTE_NEIGHBOURS = frozenset(")]`*_>")
"""Characters directly after which `{width=50}` is an attribute list."""
_BLOCK_TAG = re.compile(r"\{%-?\s*(raw|verbatim|comment)\b[^{}%]{0,100}%\}")
_TAG_NAME = re.compile(r"[{%<\s#*/-]{0,8}([\w-]{0,60})")
_QUOTED = re.compile(
    r"""(?:(?P<key>[\w-]{1,40})\s*[:=]\s*)?(?P<quote>["'])(?P<text>(?:(?!(?P=quote)).){0,500})(?P=quote)"""
)
_PATH = re.compile(r"^\S*/\S*$|\.\w{2,5}$")
_TEXT_KEYS = ("title", "text", "caption", "content", "label", "summary", "term", "term_id")
_CONTROL_TAGS = frozenset(
    """
    assign block capture case cycle decrement elif else elsif extends filter for from if ifversion import include
    include_relative increment layout load macro paginate render section set unless url when with
    """.split()
)
"""Tags whose arguments are never shown."""


_COMPONENT = re.compile(r"</?[A-Z][\w.]{0,60}(?:\s[^<>]{0,1500})?>")
_CAPTION_ATTRIBUTE = re.compile(r"""\s(?:title|caption|label|summary)=(?:"([^"{]{1,500})"|'([^'{]{1,500})')""")
_MARKS_IN_CAPTION = re.compile(r"</?\w[^<>]{0,100}>|`")


class Tag(NamedTuple):
    """Where a tag ends, and the text that it shows."""

    end: int
    text: str


def match_tag(text: str, start: int) -> Tag | None:
    """Return the tag or attribute list that begins at the brace at `start`; None if there is none."""
    if block := _BLOCK_TAG.match(text, start):
        return _match_block_tag(text, block)
    for opening, closing in _DELIMITERS:
        if text.startswith(opening, start):
            end = text.find(closing, start + len(opening), start + MAX_TAG_CHARACTERS)
            if end < 0 or (opening == "{{" and not _is_variable(text, start, end)):
                return None
            content = text[start + len(opening) : end]
            shown = "" if opening in ("{*", "{/*") else read_arguments(content)
            return Tag(end + len(closing), shown)
    return _match_attributes(text, start)


def remove_tags(text: str) -> str:
    """Return a text with its tags replaced by the text that they show."""
    parts, position = list[str](), 0
    while (start := text.find("{", position)) >= 0:
        tag = match_tag(text, start)
        parts += [text[position:start], tag.text] if tag else [text[position : start + 1]]
        position = tag.end if tag else start + 1
    return "".join([*parts, text[position:]]) if parts else text


def read_arguments(content: str) -> str:
    """Return the text that a tag shows: its first quoted argument, or a named one such as `title`, unless it is a path.

    >>> read_arguments(' slack_channel "design" '), read_arguments(' include "note.html" '), read_arguments(' x.y ')
    ('design', '', '')
    """
    name = _TAG_NAME.match(content)
    if (name and name[1] in _CONTROL_TAGS) or "{" in content:
        return ""
    arguments = list(_QUOTED.finditer(content))
    named = {argument["key"]: argument["text"] for argument in arguments if argument["key"]}
    positional = [argument["text"] for argument in arguments if not argument["key"]]
    if any(map(_PATH.search, positional)):  # a file that is included or shown, and its alt text
        positional = []
    shown = next((named[key] for key in _TEXT_KEYS if named.get(key)), positional[0] if positional else "")
    return "" if _PATH.search(shown) else " ".join(shown.split())


def match_component(text: str, start: int) -> Tag | None:
    """Return the tag of a component that has a JSX expression, which is not valid HTML; None for other tags."""
    component = _COMPONENT.match(text, start)
    if component is None or "={" not in component[0]:
        return None
    return Tag(component.end(), read_captions(component[0]))


def read_captions(html: str) -> str:
    """Return the captions and titles of the components in a piece of HTML: elements whose names begin in upper case."""
    captions = (_CAPTION_ATTRIBUTE.search(tag[0]) for tag in _COMPONENT.finditer(html))
    return " ".join(_MARKS_IN_CAPTION.sub("", caption[1] or caption[2]).strip() for caption in captions if caption)


def _is_variable(text: str, start: int, end: int) -> bool:
    """Return whether `{{` begins a variable or include, and not a part of a formula such as \\frac{{a}}{{b}}."""
    is_in_formula = start > 0 and (text[start - 1].isalnum() or text[start - 1] in "\\{}^_$")
    return not is_in_formula and "{" not in _QUOTED.sub("", text[start + 2 : end])


def _match_block_tag(text: str, opening: re.Match[str]) -> Tag:
    """Return a {% raw %} with the text that it protects, or a {% comment %} with nothing."""
    limit = opening.end() + MAX_HIDDEN_CHARACTERS
    name = text.find(f"end{opening[1]}", opening.end(), limit)
    start, end = text.rfind("{%", opening.end(), max(0, name)), text.find("%}", max(0, name), limit)
    if name < 0 or start < 0 or end < 0:
        return Tag(opening.end(), "")
    return Tag(end + 2, "" if opening[1] == "comment" else text[opening.end() : start])


def _match_attributes(text: str, start: int) -> Tag | None:
    attributes = _ATTRIBUTES.match(text, start)
    if attributes is None or (start and text[start - 1] == "{"):
        return None
    is_marked = attributes["colon"] or (attributes["first"] or "-")[0] in "#."
    if not is_marked and (not attributes["first"] or text[max(0, start - 1) : start] not in _ATTRIBUTE_NEIGHBOURS):
        return None
    return Tag(attributes.end(), "")
