"""Find the plugins that installed distributions declare as entry points, and import one when it is used.

Only the operator installs a plugin: no document and no request names a module. Discovery reads the metadata of all
installed distributions, which takes some 10 ms, so it happens once, when a plugin could be needed for the first time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from .errors import ConflictError, SemsearchError, UnavailableError

PluginGroup = Literal["semsearch.readers", "semsearch.embedders"]

_MAX_REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point of an installed distribution. It is not imported before `load`."""

    name: str
    target: str
    """Where its object is: `module:attribute`."""
    distribution: str
    """Name and version of the distribution, such as `acme-format 1.2.0`."""

    def load(self) -> Any:
        """Import the plugin and return its object; UnavailableError, with the distribution, if that fails."""
        from pkgutil import resolve_name

        with convert_exceptions(
            lambda reason: UnavailableError(
                f"the plugin {self.name} of {self.distribution} cannot be imported: {reason}; repair or uninstall it"
            )
        ):
            return resolve_name(self.target)


@contextmanager
def convert_exceptions(make_error: Callable[[str], SemsearchError]) -> Iterator[None]:
    """Raise `make_error(reason)` for an exception in the block that is not ours: code of plugins may raise any.

    The reason is the type and the first characters of the text of the exception.
    """
    try:
        yield
    except (SemsearchError, MemoryError):
        raise
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}".removesuffix(": ")[:_MAX_REASON_CHARACTERS]
        raise make_error(reason) from exc


@cache
def find_plugins(group: PluginGroup) -> Mapping[str, tuple[Plugin, ...]]:
    """Return the plugins of a group by their names in lower case; more than one if several declare the same name."""
    from importlib.metadata import entry_points  # takes 15 ms or more: not at the start of a command

    plugins: defaultdict[str, list[Plugin]] = defaultdict(list)
    for entry_point in entry_points(group=group):
        assert entry_point.dist is not None
        distribution = f"{entry_point.dist.name} {entry_point.dist.version}"
        target = entry_point.value.partition("[")[0].strip()
        plugins[entry_point.name.lower()].append(Plugin(entry_point.name, target, distribution))
    return {name: tuple(declared) for name, declared in plugins.items()}


def find_plugin(group: PluginGroup, name: str) -> Plugin | None:
    """Return the plugin of this name, in lower case, if there is one; ConflictError if several declare the name."""
    declared = find_plugins(group).get(name, ())
    if len(declared) > 1:
        distributions = " and ".join(sorted(plugin.distribution for plugin in declared))
        raise ConflictError(f"{distributions} both declare {name} as an entry point of {group}; uninstall one of them")
    return declared[0] if declared else None
