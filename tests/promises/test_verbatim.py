"""What is quoted is shown byte for byte, and text of a model as it was written, whatever brackets it has."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from answers.test_citations import PASSAGES, resolve
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.http_service import run_service

from semsearch import Library, text_source
from semsearch.answers.citations import CitationResolver, extract_plain_text, extract_sentence_text, skip_support_check
from semsearch.collection import Collection
from semsearch.core.settings import Settings
from semsearch.core.types.answers import Answer, AnswerSentence, Delta, Passage, Quotation, Sentence
from semsearch.text.cleaning import clean

pytestmark = pytest.mark.slow

LOOK_ALIKES = [
    "[[k3f9qa.1]]", "[[bad.1]]", "[[k3f9", "[[", "]]", "[", "]", "][", "[1]", " [1]", "[2,3]", "[100]", "x[0]",
    "sorted([5, 2])", '[[150, "asyncio.all_tasks"]]', "[[0.5, 1.5]]", "[[ -f x ]]", "[[Main page]]", "[[[x]]]", "［1］",
    "【1】", "<b>", "</p>", "<!--", "![x](http://h)", "[x]: http://h", "**", "`", "\\[", "{{x}}", "\t", "  ", "\n",
    ". ", "a[i][j]", "\x00", "\u200b", "e\u0301", "世界", "。", "🚕", "é", "(1)", "&lt;",
]  # fmt: skip
STORED = st.lists(st.sampled_from(LOOK_ALIKES) | st.text(max_size=6), max_size=25).map("".join)

TEXTS = {
    "The list sorted([5, 2]) gives [2, 5], and x[0] is 2.": "What does the sorted list give?",
    "Use [100] requests per minute as the throttle limit.": "How many requests per minute is the throttle limit?",
    'The entry [[150, "asyncio.all_tasks"]] lists  the\npending coroutines <b>now</b> [1].': "What lists coroutines?",
}
"""Texts that were not shown as they are stored, each with a question that it answers."""


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """A collection in which answers are quoted."""
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        yield library.create("default")


def quotes(answer: Answer) -> list[str]:
    """The quote behind each sentence, which is the sentence but for its number."""
    by_marker = {cited.marker: cited.quote for cited in answer.citations}
    found = [by_marker[sentence.citations[0]] for sentence in answer.sentences]
    numbered = [f"{quote} [{sentence.citations[0]}]" for quote, sentence in zip(found, answer.sentences, strict=True)]
    assert [sentence.text for sentence in answer.sentences] == numbered
    assert answer.answer == "\n\n".join(numbered)
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STORED)
@example("sorted([5, 2]) gives [2, 5], and x[0] is 2.")
@example("[100] requests")
@example('[[150, "asyncio.all_tasks"]]')
@example("with  two\nlines [1] [[k3f9qa.1]]")
def test_an_extractive_answer_is_the_stored_text(collection: Collection, stored: str) -> None:
    """Streamed or whole, each sentence is a span of the text, byte for byte, and so is what a conversation keeps."""
    collection.upsert([text_source("castle.txt", f"The castle was built {stored} by the Normans.")])
    text = collection.document("castle.txt").text
    events = list(collection.loop.iterate(collection.astream("When was the castle built by the Normans?")))
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == answer.answer
    for cited in answer.citations:
        assert text[cited.start : cited.end] == cited.quote
    assert extract_plain_text(answer) == "\n\n".join(quotes(answer))


@pytest.mark.parametrize("text", TEXTS)
def test_every_place_shows_the_same_bytes(tmp_path: Path, text: str) -> None:
    """The shell, JSON, a stream, the record, the conversation and Python."""
    question = TEXTS[text]
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        collection = library.create("default")
        collection.upsert([text_source("a.txt", text)])
        assert collection.ask(question).answer == f"{text} [1]"
    command = [sys.executable, "-m", "semsearch", "ask", question]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert printed.startswith(f"{text} [1]\n\n[1] a.txt".encode())
    listed = json.loads(subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, check=True).stdout)
    assert (listed["answer"], listed["citations"][0]["quote"]) == (f"{text} [1]", text)
    with run_service(tmp_path / "indexes") as client:
        over_http(client, question, text)


def over_http(client: httpx.Client, question: str, text: str) -> None:
    """Ask in a conversation and in a stream, and look both up."""
    session = client.post("/v1/sessions", json={"collection": "default"}).json()["id"]
    body = {"question": question, "session_id": session}
    answer = client.post("/v1/collections/default/ask", json=body).json()
    assert answer["answer"] == f"{text} [1]"
    assert client.get(f"/v1/sessions/{session}").json()["turns"] == [{"question": question, "answer": text}]
    assert client.get(f"/v1/answers/{answer['id']}").json()["answer"] == answer
    stream = client.post("/v1/collections/default/ask", json={"question": question, "stream": True}).text
    pieces = re.findall(r"event: delta\ndata: (.*)\n", stream)
    assert "".join(json.loads(piece)["text"] for piece in pieces) == f"{text} [1]"
    (last,) = re.findall(r"event: answer\ndata: (.*)\n", stream)
    assert json.loads(last)["answer"] == f"{text} [1]"


def passage(*texts: str) -> Passage:
    """A passage of these sentences."""
    spans = [(sum(map(len, texts[:n])), text) for n, text in enumerate(texts)]
    cut = tuple(Sentence(start, start + len(text), text, (), 7) for start, text in spans)
    return Passage("k3f9qa", "a.txt", "", "", None, 0, sum(map(len, texts)), cut, "", 1.0)


@given(st.lists(st.text(min_size=1) | STORED.filter(bool), min_size=1, max_size=4))
def test_a_quotation_is_taken_as_it_is(texts: Sequence[str]) -> None:
    """Not even cleaned: what is stored is what is shown."""
    resolver = CitationResolver([], skip_support_check)
    shown = [resolver.quote(Quotation(passage(*texts), n)) for n in range(1, len(texts) + 1)]
    assert "".join([*shown, resolver.finish()]) == "\n\n".join(f"{text} [{n}]" for n, text in enumerate(texts, 1))
    assert [extract_sentence_text(one, resolver.citations) for one in resolver.sentences] == list(texts)
    assert [cited.quote for cited in resolver.citations] == list(texts)
    assert resolver.unresolved_count == 0


def test_a_quotation_is_a_paragraph_between_text() -> None:
    """Text before and behind it is resolved like any other; a number that is left open is not completed by it."""
    resolver = CitationResolver(PASSAGES, skip_support_check)
    pieces = [resolver.feed("It says x["), resolver.quote(Quotation(passage("1] <b>"), 1)), resolver.feed("So <b>.")]
    assert "".join([*pieces, resolver.finish()]) == "It says x\n\n1] <b> [1]\n\nSo < b>."


def test_the_numbers_of_a_model_are_told_from_those_of_a_document() -> None:
    """A sentence that is not the quote loses its numbers."""
    cited = CitationResolver(PASSAGES, skip_support_check)
    cited.quote(Quotation(PASSAGES[0], 5))
    assert extract_sentence_text(cited.sentences[0], cited.citations) == "See [1]."
    assert extract_sentence_text(AnswerSentence("Look [1].", "supported", (1,)), cited.citations) == "Look."


KEPT = [
    '[[150, "asyncio.all_tasks"]]', "[[ -f x ]]", "[[Main page]]", "[[x y z]]", "[[bad]]", "[[[x]]]", "[[tool.poetry]]",
    "[note]", "{[y]}", "[a, b]", "[[a|b]]", "[see ", "]", "]]", "[[ ", "[] ", '["a"]', "x['k']", "[^1]", "(1)",
    "[[v1.2rc]]", '[[bad.1, "b"]]', "[k3f9", "[[k3f9", "f(a)", "1 < 2", "a <= b", "`x`", "\\[x\\]", "世界", "[x、y]",
]  # fmt: skip
"""What a model may write that is shown as it is."""

ESCAPED = [
    "[1]", "[[1]]", "[12, 3]", "[[0.5, 1.5]]", "［1］", "【1】", "[ 7 ]", "x[0]", "a[i][j]", "][ ", "[x](h)", "<b>",
    "[y]: z",
]  # fmt: skip
"""What is shown with other brackets, or with a space in between."""

LIVE = ["[[k3f9qa.1]]", "[[zz7abc.2]]", "[k3f9qa.2]", "[[k3f9qa.3]"]
UNKNOWN = ["[[bad.1]]", "[[zzzzzz.9]]", "[[PASSAGE-ONE.4]]", "[[k3f9qb.1, bad.2]]", "[[[bad.1]]]", "[[k3f9qa.99]]"]


def shown(parts: Sequence[str]) -> tuple[str, str, CitationResolver]:
    """What should become of the parts, each marker a number if it is live and else nothing, and what does."""
    written = "".join(f"see {part} there. Next " for part in parts) + "end."
    numbers: dict[str, int] = {}
    for part in parts:
        if part in LIVE:
            numbers.setdefault(part, len(numbers) + 1)
    names = {part: f" [{number}]" for part, number in numbers.items()} | dict.fromkeys(UNKNOWN, "")
    expected = "".join(f"see{names.get(part, f' {part}')} there. Next " for part in parts) + "end."
    text, resolver = resolve(written)
    assert len(resolver.citations) == len(numbers)
    return expected, text, resolver


@given(st.lists(st.sampled_from([*KEPT, *LIVE, *UNKNOWN]), max_size=20))
def test_what_a_model_writes_in_brackets_stays(parts: list[str]) -> None:
    """But for live markers, which become numbers, and unknown ones, which become nothing."""
    expected, text, resolver = shown(parts)
    assert text == expected
    assert resolver.unresolved_count == sum(1 + (part == "[[k3f9qb.1, bad.2]]") for part in parts if part in UNKNOWN)


def loose(text: str) -> str:
    """The text without what the escapes may change: spaces, and the shape of brackets."""
    return re.sub(r"\s", "", text.translate(str.maketrans("［［【(］】)", "[[[[]]]")))


TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cf"]), max_size=8).filter(
    lambda text: clean(text) == text
)


@given(st.lists(st.sampled_from([*KEPT, *ESCAPED, *LIVE, *UNKNOWN]) | TEXT, max_size=20))
def test_the_escapes_change_brackets_and_spaces_only(parts: list[str]) -> None:
    """No letter, digit or sign of a model's text is lost, and no number in brackets but ours is left."""
    expected, text, resolver = shown(parts)
    assert loose(text) == loose(expected)
    assert {int(number) for number in re.findall(r"\[(\d+)\]", text)} == {one.marker for one in resolver.citations}


@given(STORED)
def test_an_id_of_no_passage_never_cites(written: str) -> None:
    """Whatever stands around it, and whatever of it is a marker of another request."""
    resolver = CitationResolver([], skip_support_check)
    text = resolver.feed(written) + resolver.feed(" [[k3f9qa.1]] [k3f9qa.1] end.") + resolver.finish()
    assert resolver.citations == []
    assert all(sentence.citations == () for sentence in resolver.sentences)
    assert not re.search(r"[\[［【]\d+[\]］】]", text)
