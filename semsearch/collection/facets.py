"""Counts of metadata values over the documents of a collection that match a filter."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import InvalidError
from ..core.types.filters import RawFilter
from ..core.types.search import FacetValue
from ..text.metadata import validate_key
from .access import CollectionAccess

MAX_FACET_FIELDS = 10
"""Metadata fields of one request, besides the media type."""
MAX_FACET_VALUES = 50
"""Values of one field that are returned, and that a field of `facet_fields` may have."""
MEDIA_TYPE_FIELD = "media_type"

_UNIQUE_FIELDS = ("uri", "title")


class FacetOperations(CollectionAccess):
    """The counts of metadata values of a collection."""

    __slots__ = ()

    def facets(self, fields: Sequence[str], filter: RawFilter | None = None) -> dict[str, list[FacetValue]]:
        """Return for each field its most frequent values, and how many documents that match the filter have each.

        A field is one of the metadata, or `media_type`. The 50 most frequent values are returned, the most frequent
        first; ties are in order of value. A document counts once for each member of a list.

        >>> handbook.facets(["media_type"], filter={"media_type": "text/markdown"})
        {'media_type': [FacetValue(value='text/markdown', count=1)]}
        """
        visible_filter = self._visible_filter(filter)
        counted = self.backends.store.facets(_validate_fields(fields), visible_filter, MAX_FACET_VALUES)
        return {field: list(values) for field, values in counted.items()}  # a copy: the store caches its lists

    def facet_fields(self, filter: RawFilter | None = None) -> list[str]:
        """Return the fields worth counting: the metadata fields that most documents have, and `media_type`.

        At most 10 metadata fields, and none with more than 50 values.

        >>> handbook.facet_fields()
        ['media_type']
        """
        visible_filter = self._visible_filter(filter)
        fields = self.backends.store.facet_fields(visible_filter, MAX_FACET_FIELDS, MAX_FACET_VALUES)
        return [*fields, MEDIA_TYPE_FIELD]


def _validate_fields(fields: Sequence[str]) -> list[str]:
    """Return the names of fields, each once; InvalidError if one is not allowed, or if there are too many."""
    if isinstance(fields, str):  # its single characters could be names
        raise InvalidError(f"facets takes a list of fields, not one text: [{fields[:100]!r}]")
    names = list(dict.fromkeys(map(validate_key, fields)))
    if unique := [name for name in names if name in _UNIQUE_FIELDS]:
        raise InvalidError(
            f"{unique[0]} has a value of its own in each document; facets count metadata fields and media_type"
        )
    if len([name for name in names if name != MEDIA_TYPE_FIELD]) > MAX_FACET_FIELDS:
        raise InvalidError(f"facets count at most {MAX_FACET_FIELDS} metadata fields at once, not {len(names)}")
    return names
