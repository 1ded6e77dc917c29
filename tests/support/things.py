"""A collection about the things of a lighthouse, and questions about them."""

from semsearch import Answer, Library
from semsearch.collection import Collection
from semsearch.core.types.access import LOCAL_CALLER, Caller

THINGS = (
    "lamp", "foghorn", "boat", "crane", "kitchen", "garden", "telescope", "library", "workshop", "generator", "well",
    "lift", "chapel", "museum",
)  # fmt: skip


def ask(library: Library, thing: str, caller: Caller = LOCAL_CALLER) -> Answer:
    """Return the answer to a question about a thing."""
    return open_collection(library, caller).ask(f"How often is the {thing} checked?")


def open_collection(library: Library, caller: Caller = LOCAL_CALLER) -> Collection:
    """Return the collection."""
    return library.open("default", caller=caller)
