"""Recommendations: examples, strategies, what is left out, and that hidden documents have no influence."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semsearch import Caller, Example, InvalidError, Library, NotFoundError, text_source
from semsearch.collection import Collection
from semsearch.core.errors import ForbiddenError
from semsearch.core.settings import Settings
from semsearch.core.types.recommendations import RecommendationRequest, RecommendationStrategy

TOPICS = {
    "lamp": "The lamp of the lighthouse burns oil. The keeper trims its wick and cleans the glass every night.",
    "bread": "The baker mixes flour, water and yeast. The dough rises, and the bread is baked in a hot oven.",
    "train": "The train leaves the station on time. Passengers show their ticket to the conductor in the carriage.",
}
FORMS = ("At {} o'clock. ", "In winter, day {}. ", "Report number {}. ", "Chapter {} of the book. ", "Note {}. ")
DOCUMENTS = {
    f"{topic}/{number}": FORMS[number].format(number) + text
    for topic, text in TOPICS.items()
    for number in range(len(FORMS))
}
NUMBERS = {uri: number for number, uri in enumerate(DOCUMENTS)}


def fill(library: Library, name: str, uris: list[str]) -> Collection:
    """Create a collection of these documents, each with its number as metadata."""
    collection = library.create(name)
    collection.ingest([text_source(uri, DOCUMENTS[uri], metadata={"n": NUMBERS[uri]}) for uri in uris])
    return collection


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """A library with all documents in `all`."""
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        fill(library, "all", list(DOCUMENTS))
        yield library


@pytest.fixture(scope="module")
def collection(library: Library) -> Collection:
    """The collection of all documents."""
    return library.open("all")


def topics(uris: list[str]) -> set[str]:
    """Return the topics of documents."""
    return {uri.split("/")[0] for uri in uris}


def recommend(collection: Collection, *positive: Example | str, **options: object) -> list[str]:
    """Return the uris of recommendations."""
    return [hit.uri for hit in collection.recommend(positive, **options)]  # type: ignore[arg-type]  # keywords of recommend


def test_like_documents_come_first_and_examples_do_not_come(collection: Collection) -> None:
    """By a document, a chunk, a text and a query; each document comes once, with a passage of its text."""
    assert topics(recommend(collection, "lamp/0", k=4)) == {"lamp"}
    (chunk,) = collection.search("wick of the lamp", 1)
    assert chunk.uri not in (by_chunk := recommend(collection, Example(chunk_id=chunk.chunk_id), k=14))
    assert topics(by_chunk[:4]) == {"lamp"}
    assert topics(recommend(collection, Example(text="dough and yeast"), k=5)) == {"bread"}
    assert topics(recommend(collection, query="conductor and ticket", k=5)) == {"train"}
    hits = collection.similar("train/2", k=20)
    assert len(hits) == len({hit.uri for hit in hits}) == 14
    assert all(DOCUMENTS[hit.uri][hit.start : hit.end] == hit.text for hit in hits)


def test_excluded_documents_and_filters_are_respected(collection: Collection) -> None:
    """As many as are left are returned."""
    assert "lamp/1" not in recommend(collection, "lamp/0", exclude=["lamp/1", "no/such"], k=20)
    allowed = {"n": {"$in": [NUMBERS["lamp/2"], NUMBERS["bread/1"], NUMBERS["lamp/0"]]}}
    assert recommend(collection, "lamp/0", filter=allowed, k=20) == ["lamp/2", "bread/1"]


@pytest.mark.parametrize("strategy", ["average", "best", "sum"])
def test_every_strategy_covers_both_examples_and_avoids_the_negative_one(
    collection: Collection, strategy: RecommendationStrategy
) -> None:
    """A third topic comes behind those of two examples, and a topic that is not wanted comes last."""
    both = recommend(collection, "lamp/0", "bread/0", strategy=strategy, k=8)
    assert topics(both) == {"lamp", "bread"}
    ranked = recommend(collection, "lamp/0", negative=["train/0"], strategy=strategy, k=20, diversity=0.0)
    assert topics(ranked[:4]) == {"lamp"}
    # scores of `sum` that are 0 are ties, so only its positive end is in order
    assert strategy == "sum" or topics(ranked[-4:]) == {"train"}
    assert "train/0" not in ranked


def test_diversity_moves_other_topics_forward(collection: Collection) -> None:
    """By score alone the topic of the example comes first; the more diversity, the sooner others come."""
    first_other = [
        next(rank for rank, uri in enumerate(recommend(collection, "lamp/0", diversity=x, k=14)) if uri[:4] != "lamp")
        for x in (0.0, 0.9)
    ]
    assert first_other[0] == 4
    assert first_other[1] < 4


def test_passages_of_a_document_and_copies_are_limited(tmp_path: Path) -> None:
    """One passage of a document by default, and none of a document that is equal to an example or to a better one."""
    with Library(tmp_path, settings=Settings()) as library:
        collection = library.create("long")
        long_text = "\n\n".join(f"# Part {n}\n\n{TOPICS['lamp']} Part {n} names it {n} times." * 4 for n in range(4))
        texts = {
            "long": long_text,
            "a": TOPICS["lamp"],
            "b": TOPICS["lamp"],
            "c": TOPICS["bread"],
            "d": TOPICS["bread"],
        }
        collection.ingest([text_source(uri, text) for uri, text in texts.items()])
        assert recommend(collection, "a") == ["long", "c"]
        assert recommend(collection, "a", per_document=2) == ["long", "long", "c"]
        assert recommend(collection, "a", per_document=0).count("long") > 2
        assert recommend(collection, "a", per_document=0, k=2) == ["long", "long"]


def test_session_recommends_for_its_questions(library: Library) -> None:
    """Only to its owner, with a key that may ask; an empty session recommends nothing."""
    collection = library.open("all", caller=Caller("me"))
    session = collection.create_session().id
    assert recommend(collection, session=session) == []
    collection.ask("Who trims the wick of the lamp?", session=session)
    assert topics(recommend(collection, session=session, k=5)) == {"lamp"}
    with pytest.raises(NotFoundError, match="no session"):
        library.open("all", caller=Caller("other")).recommend(session=session)
    with pytest.raises(ForbiddenError, match="ask"):
        library.open("all", caller=Caller("me", scopes=frozenset(["search"]))).recommend(session=session)


def test_hidden_example_is_as_one_that_does_not_exist(library: Library) -> None:
    """By its uri and by its chunk."""
    narrow = library.open("all", caller=Caller("me", filter={"n": {"$ne": NUMBERS["lamp/0"]}}))
    chunk_id = library.open("all").search("lamp", 1, filter={"n": NUMBERS["lamp/0"]})[0].chunk_id
    messages = []
    for example in (Example("lamp/0"), Example("lamp/no"), Example(chunk_id=chunk_id), Example(chunk_id=10**9)):
        for position in ("positive", "negative"):
            with pytest.raises(NotFoundError) as caught:
                narrow.recommend(**{"positive": ["lamp/1"], position: [example]})  # type: ignore[arg-type]
            messages.append(str(caught.value).replace(example.uri or str(example.chunk_id), "x").replace("'x'", "x"))
    assert len(set(messages)) == 2
    assert "lamp/0" not in recommend(narrow, "lamp/1", k=20)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    visible=st.sets(st.sampled_from(list(DOCUMENTS)), min_size=2),
    positives=st.integers(1, 3),
    strategy=st.sampled_from(["average", "best", "sum"]),
    seed=st.integers(0, 2**32),
)
def test_hidden_documents_have_no_influence(
    library: Library,
    tmp_path_factory: pytest.TempPathFactory,
    visible: set[str],
    positives: int,
    strategy: str,
    seed: int,
) -> None:
    """A caller gets the hits and scores of a collection that has only the documents of its filter."""
    generator = random.Random(seed)
    uris = [uri for uri in DOCUMENTS if uri in visible]
    positive, negative = generator.sample(uris, min(positives, len(uris))), generator.sample(uris, 1)
    options = {"negative": negative if seed % 2 else [], "query": "a night" if seed % 3 else None, "strategy": strategy}
    caller = Caller("me", filter={"n": {"$in": [NUMBERS[uri] for uri in uris]}})
    with Library(tmp_path_factory.mktemp("own"), settings=Settings()) as own:
        expected = fill(own, "own", uris).recommend(positive, k=20, **options)  # type: ignore[arg-type]
    hits = library.open("all", caller=caller).recommend(positive, k=20, **options)  # type: ignore[arg-type]
    assert [(hit.uri, hit.start, hit.score) for hit in hits] == [(hit.uri, hit.start, hit.score) for hit in expected]
    assert {hit.uri for hit in hits} == visible - {*positive, *options["negative"]}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing says what to recommend"),
        ({"negative": ["lamp/0"]}, "nothing says what to recommend"),
        ({"positive": "lamp/0"}, "examples are a list"),
        ({"positive": [Example()]}, "exactly one of"),
        ({"positive": [Example("lamp/0", 1)]}, "exactly one of"),
        ({"positive": [Example(chunk_id=0)]}, "from 1 on"),
        ({"positive": [Example(text=" ")]}, "empty"),
        ({"positive": ["lamp/0"] * 101}, "at most 100"),
        ({"positive": ["lamp/0"], "exclude": "lamp/1"}, "exclude is a list"),
        ({"positive": ["lamp/0"], "strategy": "mean"}, "strategy"),
        ({"positive": ["lamp/0"], "diversity": 2.0}, "diversity"),
        ({"positive": ["lamp/0"], "per_document": -1}, "per_document"),
        ({"positive": ["lamp/0"], "k": 0}, "k must be"),
    ],
)
def test_invalid_request_names_its_field(collection: Collection, options: dict[str, object], message: str) -> None:
    """Nothing is embedded."""
    with pytest.raises(InvalidError, match=message):
        collection.recommend(**options)  # type: ignore[arg-type]


def test_request_of_documents_needs_no_model_server(collection: Collection) -> None:
    """With a local embedder no request does."""
    assert collection.recommends_locally(RecommendationRequest([Example("lamp/0")]))
    assert collection.recommends_locally(RecommendationRequest(query="a lamp"))
