"""Quotes are shown byte for byte, and model text is shown as written, whatever brackets either has."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from answers.test_citations import PASSAGES, resolve
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.command_line import run_command
from support.http_service import run_service

from semsearch import Library, text_source
from semsearch.answers.citations import CitationResolver
from semsearch.answers.plain_text import extract_plain_text, extract_sentence_text
from semsearch.answers.support import skip_support_check
from semsearch.answers.verification import SupportChecker
from semsearch.collection import Collection
from semsearch.core.settings import Settings
from semsearch.core.types.answer_requests import SupportPolicy
from semsearch.core.types.answers import AnalyzedQuery, Answer, AnswerSentence, Delta, Passage, Quotation, Sentence
from semsearch.text.cleaning import clean

pytestmark = pytest.mark.slow

LOOK_ALIKE_PIECES = [
    "[[k3f9qa.1]]", "[[bad.1]]", "[[k3f9", "[[", "]]", "[", "]", "][", "[1]", " [1]", "[2,3]", "[100]", "x[0]",
    "sorted([5, 2])", '[[150, "asyncio.all_tasks"]]', "[[0.5, 1.5]]", "[[ -f x ]]", "[[Main page]]", "[[[x]]]", "［1］",
    "【1】", "<b>", "</p>", "<!--", "![x](http://h)", "[x]: http://h", "**", "`", "\\[", "{{x}}", "\t", "  ", "\n",
    ". ", "a[i][j]", "\x00", "\u200b", "e\u0301", "世界", "。", "🚕", "é", "(1)", "&lt;",
]  # fmt: skip
STORED_TEXTS = st.lists(st.sampled_from(LOOK_ALIKE_PIECES) | st.text(max_size=6), max_size=25).map("".join)

QUESTIONS_BY_TEXT = {
    "The list sorted([5, 2]) gives [2, 5], and x[0] is 2.": "What does the sorted list give?",
    "Use [100] requests per minute as the throttle limit.": "How many requests per minute is the throttle limit?",
    'The entry [[150, "asyncio.all_tasks"]] lists  the\npending coroutines <b>now</b> [1].': "What lists coroutines?",
}
"""Texts that were once not shown as they are stored, each with a question that it answers."""


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """A collection with extractive answers."""
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        yield library.create("default")


def add_number(quote: str, number: int = 1) -> str:
    """Return a quote as an answer shows it: the number is on a line of its own behind several lines."""
    return f"{quote}\n[{number}]" if "\n" in quote else f"{quote} [{number}]"


def get_checked_quotes(answer: Answer) -> list[str]:
    """Return the quote of each sentence, after checking that the sentence is the quote with its number."""
    quotes_by_marker = {citation.marker: citation.quote for citation in answer.citations}
    quotes = [quotes_by_marker[sentence.citations[0]] for sentence in answer.sentences]
    numbered = [
        add_number(quote, sentence.citations[0]) for quote, sentence in zip(quotes, answer.sentences, strict=True)
    ]
    assert [sentence.text for sentence in answer.sentences] == numbered
    assert answer.text == "\n\n".join(numbered)
    return quotes


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STORED_TEXTS)
@example("sorted([5, 2]) gives [2, 5], and x[0] is 2.")
@example("[100] requests")
@example('[[150, "asyncio.all_tasks"]]')
@example("with  two\nlines [1] [[k3f9qa.1]]")
def test_extractive_answer_is_the_stored_text(collection: Collection, stored: str) -> None:
    """Each sentence is a span of the text, byte for byte, in the stream, the answer and the stored turn."""
    collection.upsert([text_source("castle.txt", f"The castle was built {stored} by the Normans.")])
    text = collection.document("castle.txt").text
    events = list(collection.backends.loop.iterate(collection.astream("When was the castle built by the Normans?")))
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == answer.text
    for citation in answer.citations:
        assert text[citation.start : citation.end] == citation.quote
    assert extract_plain_text(answer) == "\n\n".join(get_checked_quotes(answer))


@pytest.mark.parametrize("text", QUESTIONS_BY_TEXT)
def test_every_interface_shows_the_same_bytes(tmp_path: Path, text: str) -> None:
    """Python, the shell, JSON, an HTTP answer, a session, a stored answer and a stream show the stored text."""
    question = QUESTIONS_BY_TEXT[text]
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        collection = library.create("default")
        collection.upsert([text_source("a.txt", text)])
        assert collection.ask(question).text == add_number(text)
    output = run_command(["ask", question], folder=tmp_path, environ=os.environ).stdout
    assert output.startswith(f"Best excerpt\n{text}\n\n[1] a.txt")
    json_answer = json.loads(run_command(["ask", question, "--json"], folder=tmp_path, environ=os.environ).stdout)
    assert (json_answer["answer"], json_answer["citations"][0]["quote"]) == (add_number(text), text)
    with run_service(tmp_path / "indexes") as client:
        check_http_answers(client, question, text)


def check_http_answers(client: httpx.Client, question: str, text: str) -> None:
    """Ask in a session and with a stream; check the answers, the turn and the stored answer."""
    session = client.post("/v1/sessions", json={"collection": "default"}).json()["id"]
    body = {"question": question, "session_id": session}
    answer = client.post("/v1/collections/default/ask", json=body).json()
    assert answer["answer"] == add_number(text)
    turn = {"question": question, "answer": text, "answer_id": answer["id"]}
    assert client.get(f"/v1/sessions/{session}").json()["turns"] == [turn]
    assert client.get(f"/v1/answers/{answer['id']}").json()["answer"] == answer
    stream = client.post("/v1/collections/default/ask", json={"question": question, "stream": True}).text
    pieces = re.findall(r"event: delta\ndata: (.*)\n", stream)
    assert "".join(json.loads(piece)["text"] for piece in pieces) == add_number(text)
    (last,) = re.findall(r"event: answer\ndata: (.*)\n", stream)
    assert json.loads(last)["answer"] == add_number(text)


def make_passage(*texts: str) -> Passage:
    """Return a passage with these sentences."""
    starts = [(sum(map(len, texts[:n])), text) for n, text in enumerate(texts)]
    sentences = tuple(Sentence(start, start + len(text), text, (), 7) for start, text in starts)
    return Passage("k3f9qa", "a.txt", "", "", None, 0, sum(map(len, texts)), sentences, "", 1.0)


@given(st.lists(st.text(min_size=1) | STORED_TEXTS.filter(bool), min_size=1, max_size=4))
def test_quotation_is_shown_unchanged(texts: Sequence[str]) -> None:
    """A quotation is not even cleaned."""
    resolver = CitationResolver([], skip_support_check)
    paragraphs = [resolver.quote(Quotation(make_passage(*texts), n)) for n in range(1, len(texts) + 1)]
    assert "".join([*paragraphs, resolver.finish()]) == "\n\n".join(
        add_number(text, n) for n, text in enumerate(texts, 1)
    )
    assert [extract_sentence_text(sentence, resolver.citations) for sentence in resolver.sentences] == list(texts)
    assert [citation.quote for citation in resolver.citations] == list(texts)


def test_quotation_is_a_separate_paragraph() -> None:
    """Text before and after it is resolved as usual; the quotation does not complete an open bracket before it."""
    resolver = CitationResolver(PASSAGES, skip_support_check)
    pieces = [
        resolver.feed("It says x["),
        resolver.quote(Quotation(make_passage("1] <b>"), 1)),
        resolver.feed("So <b>."),
    ]
    assert "".join([*pieces, resolver.finish()]) == "It says x\n\n1] <b> [1]\n\nSo < b>."


def test_only_a_quoted_sentence_keeps_its_own_bracketed_numbers() -> None:
    """A sentence that is not the quote loses its numbers."""
    resolver = CitationResolver(PASSAGES, skip_support_check)
    resolver.quote(Quotation(PASSAGES[0], 5))
    assert extract_sentence_text(resolver.sentences[0], resolver.citations) == "See [1]."
    assert extract_sentence_text(AnswerSentence("Look [1].", "supported", (1,)), resolver.citations) == "Look."


KEPT = [
    '[[150, "asyncio.all_tasks"]]', "[[ -f x ]]", "[[Main page]]", "[[x y z]]", "[[bad]]", "[[[x]]]", "[[tool.poetry]]",
    "[note]", "{[y]}", "[a, b]", "[[a|b]]", "[see ", "]", "]]", "[[ ", "[] ", '["a"]', "x['k']", "[^1]", "(1)",
    "[[v1.2rc]]", '[[bad.1, "b"]]', "[k3f9", "[[k3f9", "f(a)", "1 < 2", "a <= b", "`x`", "\\[x\\]", "世界", "[x、y]",
]  # fmt: skip
"""Model text that is shown unchanged."""

ESCAPED = [
    "[1]", "[[1]]", "[12, 3]", "[[0.5, 1.5]]", "［1］", "【1】", "[ 7 ]", "x[0]", "a[i][j]", "][ ", "[x](h)", "<b>",
    "[y]: z",
]  # fmt: skip
"""Model text that is shown with other brackets, or with a space between its characters."""

KNOWN_MARKERS = ["[[k3f9qa.1]]", "[[zz7abc.2]]", "[k3f9qa.2]", "[[k3f9qa.3]"]
UNKNOWN_MARKERS = [
    "[[bad.1]]",
    "[[zzzzzz.9]]",
    "[[PASSAGE-ONE.4]]",
    "[[k3f9qb.1, bad.2]]",
    "[[[bad.1]]]",
    "[[k3f9qa.99]]",
]


def resolve_parts(parts: Sequence[str]) -> tuple[str, str, CitationResolver]:
    """Return the expected text (known markers as numbers, no unknown ones), the resolved text and the resolver."""
    raw = "".join(f"see {part} there. Next " for part in parts) + "end."
    numbers: dict[str, int] = {}
    for part in parts:
        if part in KNOWN_MARKERS:
            numbers.setdefault(part, len(numbers) + 1)
    replacements = {part: f" [{number}]" for part, number in numbers.items()} | dict.fromkeys(UNKNOWN_MARKERS, "")
    expected = "".join(f"see{replacements.get(part, f' {part}')} there. Next " for part in parts) + "end."
    text, resolver = resolve(raw)
    assert len(resolver.citations) == len(numbers)
    return expected, text, resolver


@given(st.lists(st.sampled_from([*KEPT, *KNOWN_MARKERS, *UNKNOWN_MARKERS]), max_size=20))
def test_bracketed_text_of_a_model_is_kept(parts: list[str]) -> None:
    """Known markers become numbers and unknown ones are removed; other text in brackets is unchanged."""
    expected, text, _ = resolve_parts(parts)
    assert text == expected


def normalize_escapes(text: str) -> str:
    """Return the text without what the escapes may change: spaces, and the shape of brackets."""
    return re.sub(r"\s", "", text.translate(str.maketrans("［［【(］】)", "[[[[]]]")))


TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Cf"]), max_size=8).filter(
    lambda text: clean(text) == text
)


@given(st.lists(st.sampled_from([*KEPT, *ESCAPED, *KNOWN_MARKERS, *UNKNOWN_MARKERS]) | TEXT, max_size=20))
def test_escapes_change_only_brackets_and_spaces(parts: list[str]) -> None:
    """No letter, digit or sign of a model's text is lost, and only citation numbers are in square brackets."""
    expected, text, resolver = resolve_parts(parts)
    assert normalize_escapes(text) == normalize_escapes(expected)
    assert {int(number) for number in re.findall(r"\[(\d+)\]", text)} == {
        citation.marker for citation in resolver.citations
    }


COPIED = [
    "sorted([5, 2])", "gives [2, 5]", "x[0]", "x[1]", "f(x)[1]", "x[0][1]", "[0]", "[100]", "[[0.5, 1.5]]", "[1-3]",
    "[[x86.1]]", "[[bad.1-3, bad.7]]", "[[[bad.1]]]", "[[a.1", "of[[x86.1]]", *KEPT,
]  # fmt: skip
"""Text of a cited sentence that a model's copy of the sentence shows unchanged."""

ESCAPED_COPIES = {
    "claim [1]": "claim (1)", "[1][2]": "(1)(2)", "claim.[1]": "claim.(1)", "[ 1 ]": "( 1 )", "［1］": "(1)",
    "【2】": "(2)", "[[1]]": "[(1)]", "[0][1]": "[0] (1)", "[1\u200d]": "(1\u200d)", "x[0](h)": "x[0] (h)",
    "<b>": "< b>", "a[i][j]": "a[i] [j]",
}  # fmt: skip
"""Text of a cited sentence that would look like a citation or be active markup, and what a copy shows."""


def resolve_copy(stored: str, reply: str, policy: SupportPolicy) -> tuple[str, CitationResolver]:
    """Resolve a reply whose markers cite `stored`, in one piece and by character; return the text and the resolver."""
    passage = make_passage(stored, "Two people sign. ")
    results = []
    for pieces in ([reply], reply):
        judge = SupportChecker(AnalyzedQuery("What does it say?", (), {}), [passage])
        resolver = CitationResolver([passage], judge, policy)
        results.append(("".join([*map(resolver.feed, pieces), resolver.finish()]), resolver))
    (text, resolver), (split_text, split_resolver) = results
    assert split_text == text
    assert (split_resolver.sentences, split_resolver.citations) == (resolver.sentences, resolver.citations)
    return text, resolver


@pytest.mark.parametrize("policy", ["flag", "strict"])
@given(st.lists(st.sampled_from([*COPIED, *ESCAPED_COPIES]), max_size=12), st.sampled_from([" {}.", ". {}", "{}."]))
@example(["sorted([5, 2])", "gives [2, 5]"], " {}.")
@example(["x[0]"], ". {}")
@example(["[[x86.1]]"], " {}.")
def test_copied_sentence_is_supported_and_shown_as_it_is_stored(
    policy: SupportPolicy, parts: list[str], ending: str
) -> None:
    """Brackets change only where they look like a citation or like active markup."""
    stored = "".join(f"see {part} there, " for part in parts) + "end"
    expected = "".join(f"see {ESCAPED_COPIES.get(part, part)} there, " for part in parts) + "end"
    _, resolver = resolve_copy(f"{stored}.", stored + ending.format("[[k3f9qa.1]]"), policy)
    (sentence,) = resolver.sentences
    assert (sentence.support, sentence.citations) == ("supported", (1,))
    assert extract_sentence_text(sentence, resolver.citations) == f"{expected}."
    assert sentence.text == expected + (ending.format("[1]") if ending != "{}." else " [1].")


@pytest.mark.parametrize(
    ("stored", "reply", "expected"),
    [
        ("See x[0] there.", "See y[0] there [[k3f9qa.1]].", "See y(0) there [1]."),
        ("See ax[1] there.", "See x[1] there [[k3f9qa.1]].", "See x(1) there [1]."),
        ("See x[1] there.", "See x [1] there [[k3f9qa.1]].", "See x (1) there [1]."),
        ("See x[1] there.", "See x[[k3f9qa.1]][1] there.", "See x [1] (1) there."),
        ("See x[1] there.", "See x[1] there [[k3f9qa.2]].", "See x(1) there [1]."),
        ("See x[1] there.", "See x[1] there.", "See x(1) there."),
        ("See [2, 5] there.", "See [5, 2] there [[k3f9qa.1]].", "See (5, 2) there [1]."),
        ("See [[x86.1]] there.", "See [[x86.2]] there [[k3f9qa.1]].", "See there [1]."),
        ("See [[x86.1]] there.", "See [[x86.1]] there [[k3f9qa.9]].", "See there."),
        ("See x[0][1] there.", "See [0][1] x[0] there [[k3f9qa.1]].", "See (0)(1) x[0] there [1]."),
        ("See x[0] there.", "See x[0][[k3f9qa.1]] there.", "See x[0] [1] there."),
    ],
)
def test_brackets_that_are_not_copied_from_a_cited_sentence_are_escaped(stored: str, reply: str, expected: str) -> None:
    """The same brackets behind another word, in an uncited sentence or without a citation are the model's own."""
    assert resolve_copy(stored, reply, "off")[0] == expected


@given(STORED_TEXTS, STORED_TEXTS)
def test_copied_text_never_fakes_a_citation(stored: str, added: str) -> None:
    """A number that a citation can have is in brackets only as a citation, or directly behind a word or a bracket."""
    stored = clean(f"See {stored} end.").replace("k3f9qa", "k3f9qb")
    text, resolver = resolve_copy(stored, f"{stored} [[k3f9qa.1]] {added} {stored} [[k3f9qa.1]][[k3f9qa.2]]", "flag")
    for sentence in resolver.sentences:
        runs = re.findall(r"(?<![\w)\]])((?:[\[［【]\s*\d+\s*[\]］】])+)", sentence.text)
        numbers = {int(number) for run in runs for number in re.findall(r"\d+", run)}
        assert numbers & {1, 2} == set(sentence.citations)
    assert "k3f9qa" not in text


@given(STORED_TEXTS)
def test_unknown_passage_id_never_cites(prefix: str) -> None:
    """A marker of another request cites nothing, whatever text is before it."""
    resolver = CitationResolver([], skip_support_check)
    text = resolver.feed(prefix) + resolver.feed(" [[k3f9qa.1]] [k3f9qa.1] end.") + resolver.finish()
    assert resolver.citations == []
    assert all(sentence.citations == () for sentence in resolver.sentences)
    assert not re.search(r"[\[［【]\d+[\]］】]", text)
