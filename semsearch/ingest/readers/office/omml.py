"""Office equations on one line, as a person would type them. Does not keep how they look."""

from collections.abc import Callable
from typing import Any

from ..zip_archive import local


def linear(element: Any) -> str:
    """Return the text of an equation or of a part of one.

    A fraction is `(a+b)/c`, a power `x^2`, an index `x_1`, a root `√(x)`.
    """
    form = _FORMS.get(local(element))
    if form is not None:
        return form({local(child): child for child in element})
    if local(element) == "t":
        return str(element.text or "")
    if local(element) in ("d", "m"):
        return _bracketed(element)
    return "".join(linear(child) for child in element)


def _part(parts: dict[str, Any], name: str) -> str:
    return linear(parts[name]) if name in parts else ""


def _group(text: str) -> str:
    return text if len(text) < 2 or text.isalnum() else f"({text})"


def _fraction(parts: dict[str, Any]) -> str:
    return f"{_group(_part(parts, 'num'))}/{_group(_part(parts, 'den'))}"


def _script(parts: dict[str, Any]) -> str:
    below, above = _part(parts, "sub"), _part(parts, "sup")
    return _part(parts, "e") + (f"_{_group(below)}" if below else "") + (f"^{_group(above)}" if above else "")


def _root(parts: dict[str, Any]) -> str:
    return f"{_part(parts, 'deg')}√({_part(parts, 'e')})"


def _nary(parts: dict[str, Any]) -> str:
    sign = next(
        (str(value) for child in parts.get("naryPr", ()) if local(child) == "chr" for value in child.attrib.values()),
        "∫",
    )
    below, above = _part(parts, "sub"), _part(parts, "sup")
    return f"{sign}{f'_({below})' if below else ''}{f'^({above})' if above else ''} {_part(parts, 'e')}"


def _function(parts: dict[str, Any]) -> str:
    return f"{_part(parts, 'fName')} {_part(parts, 'e')}"


def _limit(parts: dict[str, Any]) -> str:
    return f"{_part(parts, 'e')}_({_part(parts, 'lim')})"


def _bracketed(element: Any) -> str:
    """Brackets and matrices: their elements side by side."""
    inner = ", ".join(linear(child) for child in element if local(child) in ("e", "mr"))
    return f"({inner})" if local(element) == "d" else f"[{inner}]"


_FORMS: dict[str, Callable[[dict[str, Any]], str]] = {
    "f": _fraction,
    "sSup": _script,
    "sSub": _script,
    "sSubSup": _script,
    "rad": _root,
    "nary": _nary,
    "func": _function,
    "limLow": _limit,
    "limUpp": _limit,
}
