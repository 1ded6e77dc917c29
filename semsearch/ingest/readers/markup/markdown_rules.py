"""Parser rules for Markdown dialects of documentation generators: admonitions, template tags, MDX. Writes no blocks.

A rule never applies inside code, because the parser recognises code first. The marks vanish, and titles and content
are parsed as paragraphs and blocks.
"""

import re
from typing import TYPE_CHECKING

from .template_tags import Tag, match_component, match_tag

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.ruler import RuleOptionsType
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

_INDENT = 4
_ADMONITIONS = "admonition|attention|caution|danger|error|hint|important|note|seealso|tip|todo|topic|warning"
_CONTAINER = re.compile(
    r"(?P<mark>:{3,}|/{3,})"
    r"(?:[ \t]*\{?\.?(?P<name>[A-Za-z][\w-]{0,60})\}?(?P<rest>(?:[ \t|\[{].{0,300})?)|[ \t]*\{[^{}]{0,300}\})?"
)
"""`:::note[Title]`, `::: tip Title`, `:::{note} Title`, `/// tip | Title`, and the lines that close them."""
_INDENTED_CONTAINER = re.compile(
    r"""(?:(?:!!!|\?\?\?\+?)[ \t]+(?P<name>[\w-]{1,60})(?:[ \t]+[\w-]{1,60}){0,5}|===[!+]?(?=[ \t]+["']))"""
    r"""(?:[ \t]+(?:"(?P<double>[^"]{0,300})"|'(?P<single>[^']{0,300})'))?(?:[ \t]+\{[^{}]{0,100}\})?"""
)
"""`!!! note "Title"`, `??? tip "Title"`, `=== "Tab"`; the content is indented."""
_MYST_ADMONITION = re.compile(rf"(?P<mark>`{{3,}}|~{{3,}})\{{(?:{_ADMONITIONS})\}}[ \t]*(?P<title>.{{0,300}})")
_OPTION = re.compile(r":[\w-]{1,40}:(?:\s.*)?|(?:open|type|attrs|title):\s.*")
"""A line of options directly below the line that opens a container."""
_ALERT = re.compile(r"\[!\w{1,40}\][+-]?[ \t]*(?P<title>.{0,300})")
"""`> [!NOTE]` of GitHub and Obsidian, without the quotation mark."""
_TABLE_OF_CONTENTS = re.compile(r"\[\[?_?toc_?\]?\]", re.IGNORECASE)
_IMPORT = re.compile(r"""import\s+(?:[\w*{},$\s]{1,300}\sfrom\s+)?["'][^"']{1,300}["'];?""")
_MULTILINE_IMPORT = re.compile(r"import\s+(?:\w+,\s*)?\{[\w,\s]{0,300}")
_EXPORT = re.compile(r"export\s+(?:const|let|var|default|function|async function|\{)\b.*")
_REFERENCE_TO_TAG = re.compile(r"\[(?P<label>[^\[\]]{1,200})\]:\s*(?:\{%|\{\{).{1,1000}")
_ROLE = re.compile(r"\{[A-Za-z][\w:.+-]{0,60}\}(`{1,2})(?P<text>[^`]{1,500})\1")
_ROLE_TARGET = re.compile(r"\s*<[^<>]{0,300}>$")
_LINK_TO_TAG = re.compile(r"\][ \t]?\(\s*<?(?=\{[{%])")
_MAX_LABEL_CHARACTERS = 500
_LINK_END = re.compile(r"[^()\n]{0,300}\)")
_CODE_TAG = re.compile(r"\{\{?[%<]-?\s*(highlight|codeblock)\b[^{}]{0,300}\}\}?")
_COMMENT_TAG = re.compile(r"\{%-?\s*comment\b[^{}]{0,100}%\}")
_RAW_TAG = re.compile(r"\{%-?\s*(?:raw|verbatim)\b")
_MARKS_OF_LONE_TAGS = ("{%", "{{<", "{{%", "{{#", "{*", "{:", "{/*", "{#", "{ #", "{.")
_INTERRUPTED_BLOCKS = ["paragraph", "reference", "blockquote", "list"]


def add_dialect_rules(parser: "MarkdownIt") -> None:
    """Add the rules to a parser."""
    interrupting: RuleOptionsType = {"alt": _INTERRUPTED_BLOCKS}
    block, inline = parser.block.ruler, parser.inline.ruler
    block.before("table", "container", _parse_container, interrupting)
    block.before("table", "indented_container", _parse_indented_container, interrupting)
    block.before("table", "myst_admonition", _parse_myst_admonition, interrupting)
    block.before("table", "alert", _parse_alert)
    block.before("table", "tag_block", _parse_tag_block, interrupting)
    block.before("table", "lone_tags", _parse_lone_tags, interrupting)
    block.before("table", "module_line", _parse_module_line)
    block.before("reference", "reference_to_tag", _parse_reference_to_tag)
    inline.before("link", "link_to_tag", _parse_link_to_tag)
    inline.before("link", "tag", _parse_tag)


def _get_line(state: "StateBlock", line: int) -> str:
    """Return a line without its indentation; an empty string if it is code or indented less than its container."""
    if state.is_code_block(line) or state.sCount[line] < state.blkIndent:
        return ""
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()


def _add_paragraph(state: "StateBlock", text: str, line: int) -> None:
    if not text:
        return
    state.push("paragraph_open", "p", 1).map = [line, line + 1]
    token = state.push("inline", "", 0)
    token.content, token.map, token.children = text, [line, line + 1], []
    state.push("paragraph_close", "p", -1)


def _skip_options(state: "StateBlock", line: int, end: int) -> int:
    """Return the first line from `line` on that is not an option of a container."""
    while line < end and _OPTION.fullmatch(
        state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
    ):
        line += 1
    return line


def _parse_container(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    """Drop the line that opens or closes a container, except for its title."""
    line = _get_line(state, start)
    container = _CONTAINER.fullmatch(line) if line.startswith((":::", "///")) else None
    if container is None or (container["mark"][0] == "/" and "[" in (container["rest"] or "")[:1]):
        return False
    if not silent:
        title = (container["rest"] or "").strip(" \t|")
        title = title[1:].partition("]")[0] if title.startswith("[") else title.partition("{")[0]
        _add_paragraph(state, title.strip(), start)
        state.line = _skip_options(state, start + 1, end) if container["name"] else start + 1
    return True


def _parse_indented_container(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    """Parse an admonition or tab whose content is indented by four spaces."""
    line = _get_line(state, start)
    container = _INDENTED_CONTAINER.fullmatch(line) if line.startswith(("!!!", "???", "===")) else None
    if container is None:
        return False
    if silent:
        return True
    indent, last = state.sCount[start] + _INDENT, start + 1
    while last < end and (state.isEmpty(last) or state.sCount[last] >= indent):
        last += 1
    _add_paragraph(state, (container["double"] or container["single"] or "").strip(), start)
    _parse_content(state, start + 1, last, indent)
    return True


def _parse_content(state: "StateBlock", start: int, end: int, indent: int) -> None:
    """Parse the lines of a container as blocks; the state then stands after them."""
    outer_indent, outer_max, outer_level = state.blkIndent, state.lineMax, state.level
    state.blkIndent, state.lineMax, state.level = indent, end, outer_level + 1
    state.md.block.tokenize(state, start, end)
    state.blkIndent, state.lineMax, state.level, state.line = outer_indent, outer_max, outer_level, end


def _parse_myst_admonition(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    """Parse the content of a fence such as ```{note} as Markdown."""
    line = _get_line(state, start)
    fence = _MYST_ADMONITION.fullmatch(line) if line.startswith(("```", "~~~")) else None
    if fence is None:
        return False
    if not silent:
        closing = start + 1
        while closing < end and not _is_closing_fence(_get_line(state, closing), fence["mark"]):
            closing += 1
        _add_paragraph(state, fence["title"].strip(), start)
        _parse_content(state, _skip_options(state, start + 1, closing), closing, state.blkIndent)
        state.line = min(closing + 1, end)
    return True


def _is_closing_fence(line: str, mark: str) -> bool:
    return line.startswith(mark) and not line.strip(mark[0])


def _parse_alert(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    line = _get_line(state, start)
    alert = _ALERT.fullmatch(line) if line.startswith("[!") else None
    if alert is None:
        return False
    if not silent:
        _add_paragraph(state, alert["title"], start)
        state.line = start + 1
    return True


def _parse_tag_block(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    """Parse the lines between {% highlight %} and its end as code, and drop those between {% comment %} and its end."""
    line = _get_line(state, start)
    tag = (_CODE_TAG.fullmatch(line) or _COMMENT_TAG.fullmatch(line)) if line.startswith("{") else None
    if tag is None:
        return False
    name = tag[1] if tag.re is _CODE_TAG else "comment"
    closing = _find_end_tag(state, start + 1, end, name)
    if closing == end:
        return False
    if not silent:
        if name != "comment":
            token = state.push("fence", "code", 0)
            token.content, token.map = state.getLines(start + 1, closing, state.sCount[start], True), [start, closing]
        state.line = closing + 1
    return True


def _find_end_tag(state: "StateBlock", start: int, end: int, name: str) -> int:
    """Return the line of the next end tag of this name; `end` if there is none."""
    unclosed = state.env.setdefault(
        "unclosed_tags", set()
    )  # searching again for each opening would take quadratic time
    if (name, end) in unclosed:
        return end
    end_tag = re.compile(rf"\s*\{{\{{?[%<]-?\s*(?:end|/\s*){name}\b")
    closing = start
    while closing < end and not end_tag.match(state.src[state.bMarks[closing] : state.eMarks[closing]]):
        closing += 1
    if closing == end:
        unclosed.add((name, end))
    return closing


def _parse_lone_tags(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    """Drop a line of nothing but tags and attribute lists; a title that a tag shows becomes a paragraph."""
    line = _get_line(state, start)
    if _TABLE_OF_CONTENTS.fullmatch(line):
        state.line = state.line if silent else start + 1
        return True
    if not line.startswith(_MARKS_OF_LONE_TAGS) or not line.endswith("}"):
        return False
    shown = _read_lone_tags(line)
    if shown is None or (shown and (silent or not (" " in shown or shown[0].isupper()))):
        return False  # part of the paragraph
    if not silent:
        _add_paragraph(state, shown, start)
        state.line = start + 1
    return True


def _read_lone_tags(line: str) -> str | None:
    """Return the text that the tags of a line show; None if the line has other text."""
    position, shown = 0, list[str]()
    while position < len(line):
        tag = match_tag(line, position) if line[position] == "{" else None
        if tag is None or (tag.text and _RAW_TAG.match(line, position)):
            return None
        shown.append(tag.text)
        position = tag.end
        while position < len(line) and line[position].isspace():
            position += 1
    return " ".join(filter(None, shown))


def _parse_module_line(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    """Drop the imports and exports of MDX."""
    line = _get_line(state, start)
    if state.level or not line.startswith(("import", "export")):
        return False
    last = start
    if _MULTILINE_IMPORT.fullmatch(line):
        while last + 1 < end and not state.isEmpty(last) and "}" not in _get_line(state, last):
            last += 1
        line = " ".join(_get_line(state, number) for number in range(start, last + 1))
    elif _EXPORT.fullmatch(line):
        while last + 1 < end and not state.isEmpty(last + 1):
            last += 1
    if not _IMPORT.fullmatch(line) and not _EXPORT.fullmatch(line):
        return False
    state.line = state.line if silent else last + 1
    return True


def _parse_reference_to_tag(state: "StateBlock", start: int, end: int, silent: bool) -> bool:
    """Parse the definition of a link whose target is a tag; targets are not read."""
    from markdown_it.common.utils import normalizeReference

    definition = _REFERENCE_TO_TAG.fullmatch(_get_line(state, start))
    if definition is None:
        return False
    if not silent:
        references = state.env.setdefault("references", {})
        references.setdefault(normalizeReference(definition["label"]), {"title": "", "href": ""})
        state.line = start + 1
    return True


def _parse_link_to_tag(state: "StateInline", silent: bool) -> bool:
    """Parse `[text]({% page "x" %})`, or an image with such a target, for which the target of a link has no spaces."""
    is_image = state.src.startswith("![", state.pos)
    label_start = state.pos + 1 + is_image
    if not is_image and state.src[state.pos] != "[":
        return False
    if not _LINK_TO_TAG.search(state.src, label_start, label_start + _MAX_LABEL_CHARACTERS):
        return False
    label_end = state.md.helpers.parseLinkLabel(state, label_start - 1, not is_image)
    target = _LINK_TO_TAG.match(state.src, label_end) if label_end >= 0 else None
    tag = match_tag(state.src, target.end()) if target else None
    end = _LINK_END.match(state.src, tag.end) if tag else None
    if end is None or end.end() > state.posMax:
        return False
    if not silent and is_image:
        state.push("image", "img", 0).content = state.src[label_start:label_end]
    elif not silent:
        outer_max, state.pos, state.posMax = state.posMax, label_start, label_end
        state.md.inline.tokenize(state)
        state.posMax = outer_max
    state.pos = end.end()
    return True


def _parse_tag(state: "StateInline", silent: bool) -> bool:
    """Replace a tag by the text that it shows, and drop an attribute list."""
    character = state.src[state.pos]
    if character == "{":
        tag = _match_role(state.src, state.pos) or match_tag(state.src, state.pos)
    else:
        tag = match_component(state.src, state.pos) if character == "<" else None
    if tag is None or tag.end > state.posMax:
        return False
    end = tag.end
    if not tag.text and (state.pos == 0 or state.src[state.pos - 1].isspace()):
        while end < state.posMax and state.src[end] == " ":
            end += 1
        if not silent and state.src[end : end + 1] in tuple(".,;:!?)"):
            state.pending = state.pending.rstrip(" ")
    if not silent and tag.text:
        state.push("text", "", 0).content = tag.text
    state.pos = end
    return True


def _match_role(text: str, start: int) -> Tag | None:
    """Return a MyST role such as {doc}`text <target>`, with its text."""
    role = _ROLE.match(text, start)
    return role and Tag(role.end(), _ROLE_TARGET.sub("", role["text"]).lstrip("~!") or role["text"])
