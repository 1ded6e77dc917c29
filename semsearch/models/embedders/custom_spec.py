"""The SPEC of an embedder that a Python program passes in, `custom:NAME`, and spaces of plugins. Needs no numpy."""

from ...core.errors import InvalidError

CUSTOM_KIND = "custom"
PLUGIN_SPACE = "plugin"
"""First part of the name of a vector space of a plugin."""
MAX_NAME_CHARACTERS = 200


def is_custom(spec: str) -> bool:
    """Return whether a SPEC stands for a function or an object of a Python program."""
    return spec.partition(":")[0] == CUSTOM_KIND


def is_foreign_space(name: str) -> bool:
    """Return whether the name of a vector space is that of a program's or a plugin's model, which is not known."""
    return name.partition(":")[0] in (CUSTOM_KIND, PLUGIN_SPACE)


def make_custom_spec(source: object) -> str:
    """Return `custom:NAME` of a function or an object; its name is `name`, else `__name__`, else that of its class.

    InvalidError for a lambda without `name`, and for a name that is empty, too long or not printable.
    """
    own_name = getattr(source, "name", None)
    name = own_name if isinstance(own_name, str) else getattr(source, "__name__", type(source).__name__)
    if name == "<lambda>":
        raise InvalidError(
            "a lambda has no name to store with the collection; use a function with a name, or set the attribute `name`"
        )
    if not name.strip() or not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
        raise InvalidError(
            f"{name[:80]!r} cannot name an embedder; set its attribute `name` to a printable text of at most"
            f" {MAX_NAME_CHARACTERS} characters"
        )
    return f"{CUSTOM_KIND}:{name}"
