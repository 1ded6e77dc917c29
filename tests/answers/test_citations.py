"""Citations of an answer are correct for any model output, however the stream is split into pieces."""

import re
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.answers.citations import (
    MAX_CITATIONS_PER_SENTENCE,
    CitationResolver,
    detect_citation_change,
)
from semsearch.answers.judging import WITHHELD_VERDICTS
from semsearch.answers.plain_text import strip_marker_numbers
from semsearch.answers.support import CitedSentences, SupportCheck, skip_support_check
from semsearch.core.types.answer_requests import SupportPolicy
from semsearch.core.types.answers import (
    AnswerSentence,
    Citation,
    Passage,
    Quotation,
    QuotedSpan,
    Sentence,
    SupportVerdict,
)
from semsearch.text.analyzer import analyze

DOCUMENTS = {
    "a.txt": "Leave lasts five days. It is paid. A manager approves it. No. 5 applies. See [1].",
    "b.txt": "Lamps are checked in spring. 灯在春天检查。 Two people sign.",
}
SPANS = {
    "a.txt": [(0, 22), (23, 34), (35, 57), (58, 72), (73, 81)],
    "b.txt": [(0, 28), (29, 36), (37, 53)],
}
MAX_PENDING_CHARACTERS = 1200


def make_passage(passage_id: str, uri: str) -> Passage:
    """Return a passage of a whole document."""
    text = DOCUMENTS[uri]
    return Passage(
        id=passage_id,
        uri=uri,
        title=uri,
        heading="",
        page=None,
        start=0,
        end=len(text),
        sentences=tuple(
            Sentence(start, end, text[start:end], tuple(analyze(text[start:end])), 7) for start, end in SPANS[uri]
        ),
        content_sha256="0" * 64,
        score=1.0,
    )


PASSAGES = [make_passage("k3f9qa", "a.txt"), make_passage("zz7abc", "b.txt")]


def resolve(
    *pieces: str, support_check: SupportCheck = skip_support_check, policy: SupportPolicy = "flag"
) -> tuple[str, CitationResolver]:
    """Return the text of the answer and its resolver."""
    resolver = CitationResolver(PASSAGES, support_check, policy)
    return "".join([*map(resolver.feed, pieces), resolver.finish()]), resolver


def test_markers_become_numbers_in_order_of_first_use() -> None:
    """The first cited quote is [1], at any position in the documents; a repeated quote keeps its number."""
    text, resolver = resolve("Paid [[zz7abc.1]]. Five [[k3f9qa.1]]. Yes [[zz7abc.1]].")
    assert text == "Paid [1]. Five [2]. Yes [1]."
    assert [(citation.marker, citation.uri, citation.quote) for citation in resolver.citations] == [
        (1, "b.txt", "Lamps are checked in spring."),
        (2, "a.txt", "Leave lasts five days."),
    ]
    assert [sentence.citations for sentence in resolver.sentences] == [(1,), (2,), (1,)]


MARKER_VARIANTS = {
    "[[k3f9qa.1]][[k3f9qa.2]]": "[1][2]",
    "[[k3f9qa.1]] [[k3f9qa.2]]": "[1][2]",
    "[[k3f9qa.1]], [[k3f9qa.2]]": "[1][2]",
    "[[k3f9qa.1, k3f9qa.2]]": "[1][2]",
    "[[k3f9qa.1; zz7abc.1]]": "[1][2]",
    "[[k3f9qa.1][k3f9qa.2]]": "[1][2]",
    "[[k3f9qa.1, 2]]": "[1][2]",
    "[[k3f9qa.1-2]]": "[1][2]",
    "[[k3f9qa:1]]": "[1]",
    "[[ k3f9qa.1 ]]": "[1]",
    "[k3f9qa.1]": "[1]",
    "[k3f9qa.1, zz7abc.2]": "[1][2]",
    "[[k3f9qa.1]": "[1]",
    "[[[k3f9qa.1]]]": "[1]",
    "[[k3f9qa.1]] [[k3f9qa.1]]": "[1]",
    "([[k3f9qa.1]])": "([1])",
    "[[\u200bk3f9qa.1]]": "[1]",
}


@pytest.mark.parametrize("marker", MARKER_VARIANTS)
def test_marker_variants_of_models_resolve(marker: str) -> None:
    """Lists, ranges, adjacent markers and missing brackets resolve to their sentences and leave no other text."""
    text, resolver = resolve(f"So it is {marker}. Next.")
    assert text == f"So it is {MARKER_VARIANTS[marker]}. Next."
    assert len(resolver.citations) == MARKER_VARIANTS[marker].count("[")


UNRESOLVABLE_MARKERS = [
    "[[bad.1]]",
    "[[k3f9qa.0]]",
    "[[k3f9qa.6]]",
    "[[k3f9qa]]",
    "[[bad.1-3, bad.7]]",
    "[[k3f9qa.99999999999]]",
]


@pytest.mark.parametrize("marker", UNRESOLVABLE_MARKERS)
def test_unresolvable_marker_is_removed_with_the_space_before_it(marker: str) -> None:
    """A marker of an unknown passage or sentence leaves no text and no citation."""
    text, resolver = resolve(f"So it is {marker}. Next{marker}.")
    assert (text, resolver.citations) == ("So it is. Next.", [])


LOOSE_MARKERS = {
    "(k3f9qa.1)": "[1]",
    "【k3f9qa.1】": "[1]",
    "k3f9qa.1": "[1]",
    "[[K3F9QA.1]]": "[1]",
    "(k3f9qa.1, k3f9qa.2)": "[1][2]",
    "[[k3f9qa]]": "[1]",
    "[k3f9qa]": "[1]",
    "[1]": "[1]",
    "[^1]": "[1]",
    "[[1]]": "[1]",
    "[1, 1]": "[1]",
    "【1†source】": "[1]",
    "[Passage 1]": "[1]",
    "[Passage 1, sentence 2]": "[1]",
    "(Source 1)": "[1]",
    "[2]": "[1]",
    "[77]": "[1]",
    "": "[1]",
}


def support_copies(sentence: str, cited: CitedSentences) -> SupportVerdict:
    """Support sentences whose words a cited sentence has."""
    words = set(analyze(sentence))
    return "supported" if any(words <= set(passage.sentences[n - 1].terms) for passage, n in cited) else "unsupported"


@pytest.mark.parametrize("place", ["Leave lasts five days {}. A cat sat.", "Leave lasts five days. {} A cat sat."])
@pytest.mark.parametrize("marker", LOOSE_MARKERS)
def test_other_forms_resolve_where_the_passage_supports_the_sentence(marker: str, place: str) -> None:
    """Other brackets, ids and numbers of passages, wrong numbers and no marker cite the sentence that says so."""
    raw = re.sub(" +", " ", place.format(marker)).replace(" .", ".")
    text, resolver = resolve(raw, support_check=support_copies)
    assert re.sub(r"\W*\[1\](\[2\])?\.?", f". {LOOSE_MARKERS[marker]}", text) == (
        f"Leave lasts five days. {LOOSE_MARKERS[marker]} A cat sat."
    )
    assert resolver.citations[0].quote == "Leave lasts five days."
    assert [sentence.support for sentence in resolver.sentences] == ["supported", "unsupported"]
    assert resolve(*raw, support_check=support_copies)[0] == text


@pytest.mark.parametrize("marker", ["[1]", "(Source 1)", "[[k3f9qa]]", "[k3f9qa]", "[2]", ""])
def test_other_forms_cite_nothing_without_support(marker: str) -> None:
    """A number in brackets stays readable text; an id is never shown."""
    text, resolver = resolve(f"A cat sat {marker}.", support_check=support_copies)
    assert resolver.citations == []
    assert not re.search(r"\[|k3f9qa", text)


def test_number_that_a_document_has_in_the_same_place_is_text() -> None:
    """The stored sentence is "See [1].": its number is not a citation of the first passage."""
    text, resolver = resolve("See [1]. Leave lasts five days [1].", support_check=support_copies)
    assert text == "See (1). Leave lasts five days [1]."
    assert [sentence.citations for sentence in resolver.sentences] == [(), (1,)]


def test_sentence_that_two_passages_say_differently_stays_uncited() -> None:
    """It is not clear which one the model has read; the same sentence twice is one source."""
    first, second = make_passage("k3f9qa", "a.txt"), make_passage("zz7abc", "b.txt")
    other = replace(second.sentences[0], text="For five days leave lasts.", terms=first.sentences[0].terms)
    copy = replace(other, text=first.sentences[0].text)
    for sentence, count in ((other, 0), (copy, 1)):
        resolver = CitationResolver([first, replace(second, sentences=(sentence,))], support_copies)
        resolver.feed("Leave lasts five days.")
        resolver.finish()
        assert len(resolver.citations) == count


def test_no_sentence_is_attributed_after_an_invented_id() -> None:
    """A reply with an id that no passage has may have been dictated by a document."""
    reply = "Leave lasts five days [[zzzzzz.1]]. Leave lasts five days."
    assert resolve(reply, support_check=support_copies)[1].citations == []


FAKE_MARKERS = [
    "[1]",
    "[12]",
    "[ 1 ]",
    "[1, 2]",
    "[1-3]",
    "［1］",
    "【1】",
    "[\u200b1]",
    "[\u200d1]",
    "[[bad.1]1]",
    "[1[[bad.1]] ]",
    "[٣]",
]


@pytest.mark.parametrize("fake_marker", FAKE_MARKERS)
def test_bracketed_numbers_of_a_model_lose_their_brackets(fake_marker: str) -> None:
    """A reference that the model wrote itself does not look like a checked citation."""
    text, _ = resolve(f"So it is {fake_marker} now.")
    assert not re.search(r"[\[［【][\s\u200d]*\d", text)


def test_fake_marker_across_two_sentences_is_escaped() -> None:
    """A bracket that one sentence opens and the next one closes is not a citation."""
    text, _ = resolve("See x[\n[[bad.1]]1] and so on.")
    assert "[1]" not in text


BOUNDARIES = [
    ("It is so [[k3f9qa.1]]. And so.", ["It is so [1].", "And so."]),
    ("It is so. [[k3f9qa.1]] And so.", ["It is so. [1]", "And so."]),
    ("It is so. [[k3f9qa.1, 2]] And so.", ["It is so. [1][2]", "And so."]),
    ("It is so.[[k3f9qa.1]] And so.", ["It is so.[1]", "And so."]),
    ("It is so.\n[[k3f9qa.1]]\nAnd so.", ["It is so.\n[1]", "And so."]),
    ("It is so. [[k3f9qa.1]]. And so.", ["It is so. [1].", "And so."]),
    ("- one [[k3f9qa.1]]\n- two [[k3f9qa.2]]", ["- one [1]", "- two [2]"]),
    ("[[k3f9qa.1]]\nIt is so.", ["[1]\nIt is so."]),
    ("是这样。[[k3f9qa.1]]那样。", ["是这样。[1]", "那样。"]),
    (
        "Dr. Smith pays 3.5 %, e.g. in Jan. 2020, see No. 5. Yes.",
        ["Dr. Smith pays 3.5 %, e.g. in Jan. 2020, see No. 5.", "Yes."],
    ),
    ("**It is so.** [[k3f9qa.1]] And so.", ["**It is so.** [1]", "And so."]),
    ("Really?! [[k3f9qa.1]] Yes.", ["Really?! [1]", "Yes."]),
]


@pytest.mark.parametrize(("raw", "sentences"), BOUNDARIES)
def test_citation_belongs_to_the_sentence_before_it(raw: str, sentences: list[str]) -> None:
    """Markers may be before or after the full stop; abbreviations and numbers do not end a sentence."""
    assert [sentence.text for sentence in resolve(raw)[1].sentences] == sentences
    assert [sentence.text for sentence in resolve(*raw)[1].sentences] == sentences


def test_sentence_has_at_most_three_citations() -> None:
    """A fourth citation is left out and uses no number."""
    text, resolver = resolve("All [[k3f9qa.1, 2, 3, 4]] of it [[k3f9qa.1]]. More [[k3f9qa.4]].")
    assert text == "All [1][2][3] of it [1]. More [4]."
    assert len(resolver.citations) == 4


def test_sentence_is_released_as_soon_as_the_next_one_begins() -> None:
    """A reader waits for one sentence, not for the whole answer."""
    resolver = CitationResolver(PASSAGES, skip_support_check)
    assert resolver.feed("It is so [[k3f9qa.1") == ""
    assert resolver.feed("]]. And") == ""
    assert resolver.feed(" so it") == "It is so [1]."
    assert resolver.feed(" goes") == ""
    assert resolver.finish() == " And so it goes"


@pytest.mark.parametrize("cut_off", ["[[k3f9qa.1", "[[k3f9", "[[", "["])
def test_cut_off_marker_is_not_shown(cut_off: str) -> None:
    """An incomplete marker at the end of an answer is removed and cites nothing."""
    text, resolver = resolve(f"It is so {cut_off}")
    assert (text, resolver.citations) == ("It is so", [])


@pytest.mark.parametrize("policy", ["strict", "flag", "off"])
def test_quotation_is_verbatim_under_every_policy(policy: SupportPolicy) -> None:
    """A copy needs no check, and is never called supported."""
    resolver = CitationResolver(PASSAGES, lambda sentence, cited: "unsupported", policy)
    resolver.quote(Quotation(PASSAGES[0], 1))
    assert [sentence.support for sentence in resolver.sentences] == ["verbatim"]


def test_quoted_span_cites_each_of_its_sources() -> None:
    """The text is shown once, with the header of its table in a field of its own."""
    texts = [PASSAGES[0].sentences[0].text] * 2
    spans = tuple(
        QuotedSpan(passage, start, start + len(text), text, chunk_id)
        for passage, text, start, chunk_id in zip(PASSAGES[:2], texts, (10, 70), (3, 4), strict=True)
    )
    resolver = CitationResolver(PASSAGES, skip_support_check)
    text = resolver.quote(Quotation(PASSAGES[0], 1, spans, context="name | weeks"))
    assert text == f"{texts[0]} [1][2]"
    assert resolver.sentences == [AnswerSentence(text, "verbatim", (1, 2), "name | weeks")]
    assert [(c.marker, c.uri, c.start, c.end, c.quote, c.chunk_id) for c in resolver.citations] == [
        (n, span.passage.uri, span.start, span.end, span.text, span.chunk_id) for n, span in enumerate(spans, 1)
    ]
    assert resolve("It is so.")[1].sentences[0].support == "not_checked"


def pseudo_random_check(sentence: str, cited: CitedSentences) -> SupportVerdict:
    """Return an arbitrary verdict that depends only on the sentence."""
    verdicts: tuple[SupportVerdict, ...] = get_args(SupportVerdict)
    return verdicts[sum(sentence.encode("utf-8", "replace")) % len(verdicts)]


def require_citations(sentence: str, cited: CitedSentences) -> SupportVerdict:
    """Support every sentence that has a citation."""
    return "supported" if cited else "unsupported"


def test_support_check_gets_the_sentence_without_markers_and_its_citations() -> None:
    """Only resolved citations are passed to the check."""
    checked: list[tuple[str, list[str]]] = []

    def support_check(sentence: str, cited: CitedSentences) -> SupportVerdict:
        checked.append((sentence, [passage.sentences[number - 1].text for passage, number in cited]))
        return "supported"

    resolve("It is **so** [[k3f9qa.1]], [[bad.1]] really. No.", support_check=support_check)
    assert checked == [("It is **so** really.", ["Leave lasts five days."]), ("No.", [])]


def test_strict_omits_unsupported_sentences_and_their_citations() -> None:
    """Neither the numbers nor the text have gaps."""
    unsupported = {"Five.", "Last."}
    text, resolver = resolve(
        "Five [[k3f9qa.1]]. Paid [[k3f9qa.2]]. Lamps [[zz7abc.1]]. Last [[k3f9qa.3]].",
        support_check=lambda sentence, cited: "unsupported" if sentence in unsupported else "supported",
        policy="strict",
    )
    assert text == "Paid [1]. Lamps [2]."
    assert [citation.quote for citation in resolver.citations] == ["It is paid.", "Lamps are checked in spring."]
    assert resolver.omitted_count == 2


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("See ![x](http://h/?q=1).", "See ![x] (http://h/?q=1)."),
        ("See [here](javascript:x).", "See [here] (javascript:x)."),
        ("See ![x][y].\n[y]: http://h", "See ![x] [y].\n[y] : http://h"),
        ("<img src=x onerror=y> a < b, <!-- --> </a>", "< img src=x onerror=y> a < b, < !-- --> < /a>"),
        ("[x。](http://h)", "[x。] (http://h)"),
        ("So [[k3f9qa.1]](http://h).", "So [1] (http://h)."),
        ("[[k3f9qa.1]]: http://h", "[1] : http://h"),
        ("x" * 1199 + "<script>", "x" * 1199 + "< script>"),
    ],
)
def test_markup_of_a_model_is_not_live(raw: str, expected: str) -> None:
    """Images, links and tags are disabled, also across the end of a sentence."""
    assert resolve(raw)[0] == expected
    assert resolve(*raw)[0] == expected


def test_flag_keeps_unsupported_sentences_and_marks_them() -> None:
    """A reader sees every sentence with its verdict."""
    text, resolver = resolve("Five [[k3f9qa.1]]. So I think.", support_check=require_citations)
    assert text == "Five [1]. So I think."
    assert [sentence.support for sentence in resolver.sentences] == ["supported", "unsupported"]
    assert resolver.omitted_count == 0


def test_off_runs_no_support_check() -> None:
    """The verdict of every sentence is "not_checked"."""
    _, resolver = resolve("So I think.", support_check=require_citations, policy="off")
    assert [sentence.support for sentence in resolver.sentences] == ["not_checked"]


@pytest.mark.parametrize(("policy", "expected"), [("flag", "Five [1]. It is paid [2]."), ("strict", "Five [1].")])
def test_last_sentence_of_a_cut_off_answer_is_not_checked(policy: SupportPolicy, expected: str) -> None:
    """Its citations may be missing."""
    resolver = CitationResolver(PASSAGES, require_citations, policy)
    text = resolver.feed("Five [[k3f9qa.1]]. It is paid [[k3f9qa.2]].") + resolver.finish(complete=False)
    assert text == expected
    assert [sentence.support for sentence in resolver.sentences] == ["supported", "not_checked"][: expected.count("[")]


def test_marker_numbers_are_stripped() -> None:
    """An earlier answer in a prompt has no citation numbers."""
    assert strip_marker_numbers("Five [1][2]. Paid[3].") == "Five. Paid."


def test_citation_change_is_detected() -> None:
    """A quote is unchanged, moved or edited, or its document is gone."""
    citation = Citation(1, 7, "a.txt", "a", "", None, 3, 6, "one", "0")
    assert detect_citation_change(citation, "12 one") is None
    assert detect_citation_change(citation, "123 one") == "moved"
    assert detect_citation_change(citation, "12 two") == "edited"
    assert detect_citation_change(citation, None) == "gone"


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["a", "a ", "[", "[[", "[x", "[[k3f9qa.1", "]", " ", "\n", ".", "a. ", "[[a][", "。"])
def test_endless_sentence_is_released_in_parts(piece: str) -> None:
    """The buffer is bounded, whatever the model repeats."""
    resolver = CitationResolver(PASSAGES, skip_support_check)
    fed = released = 0
    for _ in range(6000 // len(piece)):
        released += len(resolver.feed(piece))
        fed += len(piece)
        assert len(resolver._pending) <= MAX_PENDING_CHARACTERS
    assert fed >= 5000


def test_sentences_end_again_after_a_sentence_released_in_parts() -> None:
    """The next full stop is detected after a sentence was split at the buffer limit."""
    _, resolver = resolve("1.5 " * 400 + "End. Next.")
    assert [sentence.text for sentence in resolver.sentences[-2:]][-1] == "Next."


def test_long_white_space_between_sentences_is_kept() -> None:
    """Words of two sentences are never joined."""
    assert resolve("It is." + " " * MAX_PENDING_CHARACTERS + "So.")[0].split() == ["It", "is.", "So."]


HOSTILE = [
    "[[k3f9qa.1]]" * 300,
    "[" * 3000 + "]" * 3000,
    "[[" * 700 + "k3f9qa.1" + "]]" * 700,
    "x" * 1195 + "[[k3f9qa.1]] y. Z",
    "x" * 1199 + "[1] [2]",
    " " * 1300 + "[[k3f9qa.1]]" + " " * 1300 + "A. B",
    "[" + "1" * 1300 + "]",
    "[1" + " " * 1300 + "]",
    "a[" + "\n" * 1300 + "[[bad.1]]1]",
    "[[k3f9qa.1][" * 200 + "]]",
    "\ud800[[k3f9qa.1]]\udfff. \x00 \u202e[1]",
    "A.\r\n[[k3f9qa.1]]\r\nB\u2028[[k3f9qa.2]]",
    "[[[bad]] [foo.1]] [[ [[bad.1]][k3f9qa.1]]",
    "A. [[bad.1]]" * 200,
    "[[k3f9qa.1\n]] [[k3f9qa\u2028.1]]",
    "a." * 900,
    "NO. 1. a) [[k3f9qa.1]] " * 90,
]
MARKER_PIECES = [
    "[[k3f9qa.1]]",
    "[[zz7abc.2]]",
    "[[k3f9qa.4, 5]]",
    "[zz7abc.3]",
    "[[bad.1]]",
    "[[k3f9",
    "[[",
    "]]",
    "[",
    "]",
]
TEXT_PIECES = [
    "][",
    "k3f9qa.2",
    "[1]",
    "[2,3]",
    "1",
    "12",
    "［1］",
    ".",
    "!",
    "。",
    "So",
    "No",
    "e.g.",
    "Dr.",
    "**",
    "`",
    "世界",
]
LOOSE_PIECES = [
    "(k3f9qa.1)",
    "【k3f9qa.2】",
    "[[k3f9qa]]",
    "zz7abc.1",
    "K3F9QA.3",
    "(zz7abc.1, k3f9qa.2)",
    "【1】",
    "[^2]",
    "[[1.2]]",
    "[Passage 2]",
    "(Source 1)",
    "(Source",
    "(k3f9",
    "[[id.sentence]]",
    "\nSources:\n",
    "Leave lasts five days",
    "NO_ANSWER",
]
SIGN_PIECES = ["(", ")", '"', "”", "é", ",", ";", "-", "*", "x" * 400]
SPACE_PIECES = [
    ". ",
    "! ",
    " ",
    "  ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    "\u2028",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u0301",
    "\ud800",
]
FRAGMENTS = st.sampled_from([*MARKER_PIECES, *TEXT_PIECES, *LOOSE_PIECES, *SIGN_PIECES, *SPACE_PIECES])
MODEL_TEXTS = st.lists(FRAGMENTS | st.text(max_size=4), max_size=40).map("".join) | st.sampled_from(HOSTILE)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(MODEL_TEXTS, st.lists(st.integers(0, 6000), max_size=30), st.sampled_from(["strict", "flag", "off"]))
def test_every_answer_has_correct_citations(raw: str, offsets: list[int], policy: SupportPolicy) -> None:
    """Quotes are correct, numbers are complete, and the result does not depend on how the stream is split."""
    text, resolver = resolve(raw, support_check=pseudo_random_check, policy=policy)
    check_invariants(text, resolver)
    bounds = sorted({0, len(raw), *(offset for offset in offsets if offset < len(raw))})
    pieces = (raw[start:stop] for start, stop in pairwise(bounds))
    split_text, split_resolver = resolve(*pieces, support_check=pseudo_random_check, policy=policy)
    assert split_text == text
    assert (split_resolver.sentences, split_resolver.citations) == (resolver.sentences, resolver.citations)
    assert policy != "strict" or all(sentence.support not in WITHHELD_VERDICTS for sentence in resolver.sentences)


@pytest.mark.slow
@pytest.mark.parametrize("raw", HOSTILE)
def test_hostile_answers_are_the_same_character_by_character(raw: str) -> None:
    """Splitting a hostile answer into single characters does not change the result."""
    text, resolver = resolve(raw)
    check_invariants(text, resolver)
    split_text, split_resolver = resolve(*raw)
    assert split_text == text
    assert (split_resolver.sentences, split_resolver.citations) == (resolver.sentences, resolver.citations)


def check_invariants(text: str, resolver: CitationResolver) -> None:
    """Assert what holds for every answer."""
    for citation in resolver.citations:
        assert DOCUMENTS[citation.uri][citation.start : citation.end] == citation.quote
    numbers = [int(number) for number in re.findall(r"\[(\d+)\]", text)]
    assert list(dict.fromkeys(numbers)) == [citation.marker for citation in resolver.citations]
    assert [citation.marker for citation in resolver.citations] == list(range(1, len(resolver.citations) + 1))
    assert not re.search(r"\[\[\w+\.\d+\]\]", text)
    end = 0
    for sentence in resolver.sentences:
        start = text.index(sentence.text, end)
        assert not text[end:start].strip()
        assert set(map(int, re.findall(r"\[(\d+)\]", sentence.text))) == set(sentence.citations)
        assert len(sentence.citations) <= MAX_CITATIONS_PER_SENTENCE
        end = start + len(sentence.text)
    assert end == len(text)
    text.encode()
