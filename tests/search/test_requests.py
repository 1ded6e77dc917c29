"""From a search request to its queries."""

from semsearch.core.types.search import ResultOptions, SearchRequest
from semsearch.models.embedders.local import LocalEmbedder
from semsearch.search.requests import build_search, join_questions


def test_the_last_three_questions_are_joined() -> None:
    """These are the question itself and the two before it."""
    assert join_questions(["one?", "two?", "three?"], "four?") == "two? three? four?"
    assert join_questions([], "one?") == "one?"


def test_a_follow_up_has_a_second_query_with_its_history() -> None:
    """The first query is the question alone."""
    request = SearchRequest("And in May?", history=["How long is leave?"])
    search = build_search(request, None, LocalEmbedder(), ResultOptions())
    assert [query.text for query in search.queries] == ["And in May?", "How long is leave? And in May?"]
    (query,) = build_search(SearchRequest(" lamp\u200b "), None, LocalEmbedder(), ResultOptions()).queries
    assert query.text == "lamp"


def test_diversity_is_added_to_the_result_options() -> None:
    """The other options stay those of the collection."""
    options = ResultOptions(collapse=False, per_document=2)
    search = build_search(SearchRequest("lamp", diversity=0.5), None, LocalEmbedder(), options)
    assert search.result_options == ResultOptions(collapse=False, per_document=2, diversity=0.5)
    assert build_search(SearchRequest("lamp"), None, LocalEmbedder(), options).result_options is options
