"""Find the elements of a page that are not its text: hidden elements, permalinks, navigation. Extracts no text."""

import re
from itertools import islice

from selectolax.lexbor import LexborHTMLParser, LexborNode

_DISPLAY_NONE = re.compile(r"(?:^|;)\s*display\s*:\s*none\b", re.IGNORECASE)
_PERMALINK_TEXT = re.compile(
    r"[¶§#🔗\u200b\ufeff\s]*|(?:permalink|permanent link|direct link|link) to (?:this|the|heading)\b.{0,60}",
    re.IGNORECASE,
)
_PERMALINK_CLASS = re.compile(r"(?:^|\s)(?:headerlink|header-anchor|heading-anchor|hash-link|permalink)(?:\s|$)")
_SKIP_LINK = re.compile(r"(?:skip|jump) to (?:the )?(?:main |page )?(?:content|navigation|search|text)", re.IGNORECASE)
_MAX_LINK_CHARACTERS = 100
_MAX_LINK_CHILDREN = 8
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6", "dt")
_NAVIGATION = """
    nav, [role=navigation], [role=search], body > [role=contentinfo], .breadcrumb, .breadcrumbs, .pagination-nav,
    .prev-next-area, .sphinxsidebar, .wy-nav-side, .md-sidebar, .rst-footer-buttons, body > footer, body > .footer
"""
"""Elements that lead to other pages; dropped only from a page that marks its main text."""


def has_main_text(page: LexborHTMLParser) -> bool:
    """Return whether a page marks its main text, so that its navigation can be told from its text."""
    return page.css_first("main, article, [role=main]") is not None


def find_noise(page: LexborHTMLParser) -> frozenset[int]:
    """Return the ids of elements that give no text."""
    noise = {node.mem_id for node in page.css("a[href*='#']") if _is_permalink(node)} | _find_hidden_elements(page)
    if has_main_text(page):
        noise |= {node.mem_id for node in page.css(_NAVIGATION)} - _find_ancestors(page, "h1, main, [role=main]")
    return frozenset(noise)


def _find_ancestors(page: LexborHTMLParser, selector: str) -> set[int]:
    """Return the ids of all elements that contain a selected one; each is visited once."""
    ancestors = set[int]()
    for selected in page.css(selector):
        node = selected.parent
        while node is not None and node.mem_id not in ancestors:
            ancestors.add(node.mem_id)
            node = node.parent
    return ancestors


def _find_hidden_elements(page: LexborHTMLParser) -> set[int]:
    """Return the ids of elements that are marked as hidden, except <html> and <body>, which scripts often reveal."""
    return {
        node.mem_id
        for node in page.css("[hidden]:not([hidden=until-found]), [style*=display i]")
        if node.tag not in ("html", "body")
        and ("hidden" in node.attributes or _DISPLAY_NONE.search(node.attributes.get("style") or ""))
    }


def _read_short_text(link: LexborNode) -> str | None:
    """Return the text of a link that has only text, a drawing or plain spans; None for others, which are content."""
    texts = list[str]()
    for child in islice(link.iter(include_text=True), _MAX_LINK_CHILDREN):
        parts = child.iter(include_text=True) if child.tag == "span" else (child,)
        for part in islice(parts, _MAX_LINK_CHILDREN):
            if part.tag not in ("-text", "svg", "i"):
                return None
            texts.append(part.text_content or "" if part.tag == "-text" else "")
    text = "".join(texts).strip()
    return text if len(text) <= _MAX_LINK_CHARACTERS else None


def _is_permalink(link: LexborNode) -> bool:
    """Return whether a link only shows the sign of a link to its own heading, or skips to the content of the page."""
    text = _read_short_text(link)
    if text is None:
        return False
    if _SKIP_LINK.fullmatch(text):
        return True
    is_marked = _PERMALINK_CLASS.search(link.attributes.get("class") or "") is not None
    is_in_heading = link.parent is not None and link.parent.tag in _HEADINGS
    return (is_marked or is_in_heading) and _PERMALINK_TEXT.fullmatch(text) is not None
