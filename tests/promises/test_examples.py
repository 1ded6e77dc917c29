"""Quality, incremental ingestion and checked citations on real collections."""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import extractive_answers, ranking_quality
from benchmarks.judged_collections import get_article, ingest_judged, load_judged, ndcg
from benchmarks.results import Figure
from benchmarks.scale import Scale

from semsearch import Library, read
from semsearch.text.analyzer import detect_language

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"

MAX_QUESTIONS = 400
"""Questions of each collection in slow tests; `scripts/bench Q2 Q4` uses all of them."""

UNRELATED_QUESTIONS = """Who painted the ceiling of the Sistine Chapel?
Which planet has the most moons?
What is the speed of light?
How many strings has a violin?
When did the Berlin Wall fall?
How is steel made from iron?
What causes a rainbow?
Who wrote Don Quixote?
How do vaccines work?
What is the longest river in Africa?
What language is spoken in Brazil?
How many bones has an adult human?
Who discovered penicillin?
Which currency is used in Japan?
How tall is Mount Everest?
What is photosynthesis?
When was the printing press invented?
How do I change a bicycle tyre?
Which instrument did Chopin play?
What are the rules of chess?""".splitlines()
"""Questions that the handbook does not answer."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    """Yield an empty library with default settings."""
    with Library(tmp_path_factory.mktemp("indexes")) as library:
        yield library


@pytest.mark.parametrize(("name", "min_ndcg"), [("squad2_a", 0.86), ("cranfield", 0.39)])
def test_hybrid_search_reaches_its_ndcg(library: Library, shared_data: Path, name: str, min_ndcg: float) -> None:
    """nDCG@10 of hybrid search over every other question, without a model server."""
    collection, judged = ingest_judged(library, shared_data / name), load_judged(shared_data / name)
    scores = [
        ndcg(ranking_quality.search_documents(collection, question["text"], "hybrid"), judged.relevant[question["id"]])
        for question in judged.answerable_questions()[::2]
    ]
    assert statistics.mean(scores) >= min_ndcg


def test_extractive_answers_contain_the_expected_words(shared_data: Path, tmp_path: Path) -> None:
    """The best sentence contains them for 69 of 100 questions, excerpt and passages for 90; few are refused."""
    figures = figures_by_name(extractive_answers.q2(Scale(shared_data, tmp_path, questions=MAX_QUESTIONS)).figures)
    assert figures["best sentence contains the answer, default embedder"] >= 0.69
    assert figures["excerpt or passages contain the answer, default embedder"] >= 0.90
    assert figures["words in the excerpt, default embedder"] <= 60
    assert figures["refused by default, default embedder"] <= 0.25


def test_questions_on_another_topic_are_refused(library: Library, shared_data: Path) -> None:
    """Nine of ten questions on omitted articles are refused; a chat model is hardly called for those on flight."""
    judged = load_judged(shared_data / "squad2_a", MAX_QUESTIONS // 2)
    articles = [
        (question["text"], get_article(min(judged.relevant[question["id"]])))
        for question in judged.answerable_questions()
    ]
    ingested = set(sorted({article for _, article in articles})[::2])
    collection = ingest_judged(library, shared_data / "squad2_a", name="half", only=ingested)
    omitted_answered = [collection.ask(text).answered for text, article in articles if article not in ingested]
    assert statistics.mean(omitted_answered) <= 0.10
    answerable = [text for text, article in articles[::3] if article in ingested]
    unrelated = [question["text"] for question in load_judged(shared_data / "cranfield", MAX_QUESTIONS // 4).questions]
    answerable_calls, unrelated_calls = (
        [extractive_answers.rank_evidence(collection, text).may_answer for text in filter(is_english, texts)]
        for texts in (answerable, unrelated)
    )
    assert statistics.mean(answerable_calls) >= 0.98
    assert statistics.mean(unrelated_calls) <= 0.05


def is_english(text: str) -> bool:
    """Return whether the embedded model judges the evidence for a question."""
    return detect_language(text) == "en"


def test_example_handbook_answers_its_questions_only(library: Library) -> None:
    """Half of the example questions are shown an excerpt, mostly a right one; those without an answer are not."""
    handbook = library.create("handbook")
    handbook.ingest(read(EXAMPLES / "handbook"))
    questions = [json.loads(line) for line in (EXAMPLES / "questions.jsonl").read_text().splitlines()]
    answers = {question["query"]: handbook.ask(question["query"]) for question in questions}
    answerable = [question for question in questions if question.get("answerable", True)]
    shown = [question for question in answerable if answers[question["query"]].kind == "excerpt"]
    right = [q for q in shown if any(words in answers[q["query"]].text for words in q["answers"])]
    unanswerable = [question["query"] for question in questions if not question.get("answerable", True)]
    assert len(shown) >= 0.5 * len(answerable)
    assert len(right) >= 0.7 * len(shown)
    assert sum(not answers[query].answered for query in unanswerable) >= 0.9 * len(unanswerable) > 0
    assert [text for text in UNRELATED_QUESTIONS if handbook.ask(text).answered] == []


def test_citations_are_in_the_stored_text(shared_data: Path, tmp_path: Path) -> None:
    """Every quote equals the stored text at its offsets."""
    assert figures_by_name(
        extractive_answers.q4(Scale(shared_data, tmp_path, questions=MAX_QUESTIONS // 10)).figures
    ) == {"citations equal to the stored text": 1.0}


def figures_by_name(figures: list[Figure]) -> dict[str, float]:
    """Return our value of each figure by its name."""
    return {figure.what: figure.ours for figure in figures}


def chunk_texts(library: Library, uri: str) -> dict[int, str]:
    """Return the text of each chunk of a document by chunk id."""
    store = library.open("docs").backends.store
    with store.snapshot() as snapshot:
        hits = snapshot.load(snapshot.lexical_search(["the"], 1000).ids.tolist())
        document_id = next(chunk.document_id for chunk in hits if chunk.uri == uri)
        return {chunk.id: chunk.text for chunk in snapshot.neighbours(document_id, 0, 10_000)}


def test_real_files_are_ingested_incrementally(library: Library, shared_data: Path, tmp_path: Path) -> None:
    """Every file becomes a document or a named failure; a second run embeds nothing, an edit only changed chunks."""
    folder = tmp_path / "files"
    for file in sorted((shared_data / "docs_tree" / "files").rglob("*")):
        if file.is_file():
            copy = folder / file.relative_to(shared_data / "docs_tree" / "files")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    docs = library.create("docs")
    first = docs.ingest(read(folder))
    assert first.added + len(first.failures) == 207
    assert len(first.failures) <= 4
    assert all(failure.error for failure in first.failures)
    second = docs.ingest(read(folder))
    assert (second.unchanged, second.embedded_chunks) == (first.added, 0)

    longest = max((folder / "rust-book").glob("*.md"), key=lambda file: file.stat().st_size)
    uri = f"files/rust-book/{longest.name}"
    before = chunk_texts(library, uri)
    paragraphs = longest.read_text().split("\n\n")
    middle = next(n for n in range(len(paragraphs) // 2, len(paragraphs)) if len(paragraphs[n]) > 300)
    paragraphs[middle] = "This paragraph was rewritten from the beginning. It now says something quite different."
    longest.write_text("\n\n".join(paragraphs))
    edited = docs.ingest(read(folder))
    assert (edited.updated, edited.unchanged) == (1, first.added - 1)
    assert 1 <= edited.embedded_chunks <= 20
    after = chunk_texts(library, uri)
    unchanged = [chunk_id for chunk_id, text in after.items() if before.get(chunk_id) == text]
    assert len(unchanged) == len(after) - edited.embedded_chunks

    answer = docs.ask("How do I install Rust on Linux?")
    assert answer.answered
    for citation in answer.citations:
        assert docs.document(citation.uri).text[citation.start : citation.end] == citation.quote
