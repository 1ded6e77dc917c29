"""One collection as one caller may see it: ingest, search, ask, list and remove. Gets its backends passed in.

Plain methods wait for their result; those named `a...` are for an event loop.
"""

from .access import CollectionAccess
from .answers import AnswerOperations
from .approvals import ApprovalOperations
from .documents import DocumentOperations
from .facets import FacetOperations
from .originals import OriginalOperations
from .pages import PageOperations
from .recommendations import RecommendationOperations
from .searches import SearchOperations

__all__ = ["Collection", "CollectionAccess"]


class Collection(
    PageOperations,
    DocumentOperations,
    OriginalOperations,
    SearchOperations,
    FacetOperations,
    RecommendationOperations,
    AnswerOperations,
    ApprovalOperations,
):
    """The documents of one collection that one caller may see, and what that caller may do with them.

    >>> handbook = library.create("handbook")
    >>> handbook
    Collection('handbook')
    """

    __slots__ = ()
