"""Convert Office equations to one line of plain text. Does not keep their layout."""

from collections.abc import Callable
from typing import Any

from ..zip_archive import local_name


def format_equation(element: Any) -> str:
    """Return an equation, or a part of one, as plain text.

    A fraction is `(a+b)/c`, a power `x^2`, an index `x_1`, a root `√(x)`.
    """
    formatter = _FORMATTERS.get(local_name(element))
    if formatter is not None:
        return formatter({local_name(child): child for child in element})
    if local_name(element) == "t":
        return str(element.text or "")
    if local_name(element) in ("d", "m"):
        return _format_brackets(element)
    return "".join(format_equation(child) for child in element)


def _format_part(parts: dict[str, Any], name: str) -> str:
    return format_equation(parts[name]) if name in parts else ""


def _add_parentheses(text: str) -> str:
    return text if len(text) < 2 or text.isalnum() else f"({text})"


def _format_fraction(parts: dict[str, Any]) -> str:
    return f"{_add_parentheses(_format_part(parts, 'num'))}/{_add_parentheses(_format_part(parts, 'den'))}"


def _format_script(parts: dict[str, Any]) -> str:
    subscript, superscript = _format_part(parts, "sub"), _format_part(parts, "sup")
    return (
        _format_part(parts, "e")
        + (f"_{_add_parentheses(subscript)}" if subscript else "")
        + (f"^{_add_parentheses(superscript)}" if superscript else "")
    )


def _format_root(parts: dict[str, Any]) -> str:
    return f"{_format_part(parts, 'deg')}√({_format_part(parts, 'e')})"


def _format_nary(parts: dict[str, Any]) -> str:
    operator = next(
        (
            str(value)
            for child in parts.get("naryPr", ())
            if local_name(child) == "chr"
            for value in child.attrib.values()
        ),
        "∫",
    )
    subscript, superscript = _format_part(parts, "sub"), _format_part(parts, "sup")
    lower = f"_({subscript})" if subscript else ""
    upper = f"^({superscript})" if superscript else ""
    return f"{operator}{lower}{upper} {_format_part(parts, 'e')}"


def _format_function(parts: dict[str, Any]) -> str:
    return f"{_format_part(parts, 'fName')} {_format_part(parts, 'e')}"


def _format_limit(parts: dict[str, Any]) -> str:
    return f"{_format_part(parts, 'e')}_({_format_part(parts, 'lim')})"


def _format_brackets(element: Any) -> str:
    """Return the elements of brackets or of a matrix, separated by commas."""
    inner = ", ".join(format_equation(child) for child in element if local_name(child) in ("e", "mr"))
    return f"({inner})" if local_name(element) == "d" else f"[{inner}]"


_FORMATTERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "f": _format_fraction,
    "sSup": _format_script,
    "sSub": _format_script,
    "sSubSup": _format_script,
    "rad": _format_root,
    "nary": _format_nary,
    "func": _format_function,
    "limLow": _format_limit,
    "limUpp": _format_limit,
}
