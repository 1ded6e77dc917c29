"""What is promised of an answer's citations, whatever a model writes and however it is cut into pieces."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.answers.citations import (
    MAX_CITATIONS_PER_SENTENCE,
    CitationResolver,
    CitedSentences,
    SupportCheck,
    detect_citation_change,
    skip_support_check,
    strip_marker_numbers,
)
from semsearch.core.types.answers import Citation, Passage, Quotation, Sentence, SupportPolicy, SupportVerdict

DOCUMENTS = {
    "a.txt": "Leave lasts five days. It is paid. A manager approves it. No. 5 applies. See [1].",
    "b.txt": "Lamps are checked in spring. 灯在春天检查。 Two people sign.",
}
SPANS = {
    "a.txt": [(0, 22), (23, 34), (35, 57), (58, 72), (73, 81)],
    "b.txt": [(0, 28), (29, 36), (37, 53)],
}
LONGEST_HELD = 1200


def passage(passage_id: str, uri: str) -> Passage:
    """A passage that is a whole document."""
    text = DOCUMENTS[uri]
    return Passage(
        id=passage_id,
        uri=uri,
        title=uri,
        heading="",
        page=None,
        start=0,
        end=len(text),
        sentences=tuple(Sentence(start, end, text[start:end], (), 7) for start, end in SPANS[uri]),
        content_sha256="0" * 64,
        score=1.0,
    )


PASSAGES = [passage("k3f9qa", "a.txt"), passage("zz7abc", "b.txt")]


def resolve(
    *pieces: str, judge: SupportCheck = skip_support_check, policy: SupportPolicy = "flag"
) -> tuple[str, CitationResolver]:
    """The answer's text, and what resolved it."""
    resolver = CitationResolver(PASSAGES, judge, policy)
    return "".join([*map(resolver.feed, pieces), resolver.finish()]), resolver


def test_markers_become_numbers_in_order_of_first_use() -> None:
    """The first quote used is [1], wherever it stands in the documents; used again, it keeps its number."""
    text, resolver = resolve("Paid [[zz7abc.1]]. Five [[k3f9qa.1]]. Yes [[zz7abc.1]].")
    assert text == "Paid [1]. Five [2]. Yes [1]."
    assert [(citation.marker, citation.uri, citation.quote) for citation in resolver.citations] == [
        (1, "b.txt", "Lamps are checked in spring."),
        (2, "a.txt", "Leave lasts five days."),
    ]
    assert [sentence.citations for sentence in resolver.sentences] == [(1,), (2,), (1,)]


VARIANTS = {
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


@pytest.mark.parametrize("marker", VARIANTS)
def test_what_models_really_write_resolves(marker: str) -> None:
    """Lists, ranges, neighbours and lost brackets all lead to their sentences, and nothing of them stays."""
    text, resolver = resolve(f"So it is {marker}. Next.")
    assert text == f"So it is {VARIANTS[marker]}. Next."
    assert resolver.unresolved_count == 0


DEAD = ["[[bad.1]]", "[[k3f9qa.0]]", "[[k3f9qa.6]]", "[[k3f9qa]]", "[[bad.1-3, bad.7]]", "[[k3f9qa.99999999999]]"]


@pytest.mark.parametrize("marker", DEAD)
def test_what_does_not_resolve_vanishes_with_the_space_before_it(marker: str) -> None:
    """A marker that leads nowhere leaves no trace but the count."""
    text, resolver = resolve(f"So it is {marker}. Next{marker}.")
    assert (text, resolver.citations) == ("So it is. Next.", [])
    assert resolver.unresolved_count >= 2


SPOOFS = [
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


@pytest.mark.parametrize("spoof", SPOOFS)
def test_numbers_in_brackets_are_ours_alone(spoof: str) -> None:
    """A reference that the model wrote itself loses its brackets, so that no reader takes it for a checked one."""
    text, _ = resolve(f"So it is {spoof} now.")
    assert not re.search(r"[\[［【][\s\u200d]*\d", text)


def test_a_number_is_not_put_together_from_two_sentences() -> None:
    """Brackets that one sentence opens and the next one closes are no citation either."""
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


@pytest.mark.parametrize(("written", "sentences"), BOUNDARIES)
def test_a_citation_belongs_to_the_sentence_that_it_follows(written: str, sentences: list[str]) -> None:
    """Markers stand before or after the full stop; abbreviations and numbers end no sentence."""
    assert [sentence.text for sentence in resolve(written)[1].sentences] == sentences
    assert [sentence.text for sentence in resolve(*written)[1].sentences] == sentences


def test_a_sentence_has_at_most_three_citations() -> None:
    """A fourth is left out, and gets no number that is then missing."""
    text, resolver = resolve("All [[k3f9qa.1, 2, 3, 4]] of it [[k3f9qa.1]]. More [[k3f9qa.4]].")
    assert text == "All [1][2][3] of it [1]. More [4]."
    assert len(resolver.citations) == 4


def test_a_sentence_is_released_as_soon_as_the_next_one_begins() -> None:
    """A reader waits for one sentence and not for the answer."""
    resolver = CitationResolver(PASSAGES, skip_support_check)
    assert resolver.feed("It is so [[k3f9qa.1") == ""
    assert resolver.feed("]]. And") == ""
    assert resolver.feed(" so it") == "It is so [1]."
    assert resolver.feed(" goes") == ""
    assert resolver.finish() == " And so it goes"


@pytest.mark.parametrize("cut_off", ["[[k3f9qa.1", "[[k3f9", "[[", "["])
def test_a_marker_that_was_cut_off_is_not_shown(cut_off: str) -> None:
    """An answer that ends in the middle of a marker ends before it."""
    text, resolver = resolve(f"It is so {cut_off}")
    assert (text, resolver.unresolved_count) == ("It is so", 1)


def test_the_support_that_is_known_is_noted() -> None:
    """Copied sentences are supported; others are not checked unless someone says so."""
    resolver = CitationResolver(PASSAGES, skip_support_check)
    resolver.quote(Quotation(PASSAGES[0], 1))
    assert [sentence.support for sentence in resolver.sentences] == ["supported"]
    assert resolve("It is so.")[1].sentences[0].support == "not_checked"


def whimsical(sentence: str, cited: CitedSentences) -> SupportVerdict:
    """A judge whose verdicts are all over the place, but always the same."""
    return ("supported", "partial", "unsupported", "not_checked")[sum(sentence.encode("utf-8", "replace")) % 4]


def uncited(sentence: str, cited: CitedSentences) -> SupportVerdict:
    """A judge who wants citations."""
    return "supported" if cited else "unsupported"


def test_the_judge_sees_a_sentence_without_markers_and_what_it_cites() -> None:
    """What resolved is handed on, what did not is not there."""
    seen: list[tuple[str, list[str]]] = []

    def judge(sentence: str, cited: CitedSentences) -> SupportVerdict:
        seen.append((sentence, [passage.sentences[number - 1].text for passage, number in cited]))
        return "supported"

    resolve("It is **so** [[k3f9qa.1]], [[bad.1]] really. No.", judge=judge)
    assert seen == [("It is **so** really.", ["Leave lasts five days."]), ("No.", [])]


def test_strict_leaves_out_what_is_not_supported_and_its_citations() -> None:
    """Numbers stay without a gap, and so does the text."""
    refusing = {"Five.", "Last."}
    text, resolver = resolve(
        "Five [[k3f9qa.1]]. Paid [[k3f9qa.2]]. Lamps [[zz7abc.1]]. Last [[k3f9qa.3]].",
        judge=lambda sentence, cited: "unsupported" if sentence in refusing else "supported",
        policy="strict",
    )
    assert text == "Paid [1]. Lamps [2]."
    assert [citation.quote for citation in resolver.citations] == ["It is paid.", "Lamps are checked in spring."]
    assert resolver.omitted_count == 2


@pytest.mark.parametrize(
    ("written", "shown"),
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
def test_markup_of_a_model_is_not_live(written: str, shown: str) -> None:
    """No image is fetched, no link leads away, no tag is one, wherever a sentence ends."""
    assert resolve(written)[0] == shown
    assert resolve(*written)[0] == shown


def test_flag_keeps_and_marks() -> None:
    """A reader sees everything, with what is known of it."""
    text, resolver = resolve("Five [[k3f9qa.1]]. So I think.", judge=uncited)
    assert text == "Five [1]. So I think."
    assert [sentence.support for sentence in resolver.sentences] == ["supported", "unsupported"]
    assert resolver.omitted_count == 0


def test_off_looks_at_nothing() -> None:
    """No judge is asked."""
    _, resolver = resolve("So I think.", judge=uncited, policy="off")
    assert [sentence.support for sentence in resolver.sentences] == ["not_checked"]


@pytest.mark.parametrize(("policy", "left"), [("flag", "Five [1]. It is paid [2]."), ("strict", "Five [1].")])
def test_the_last_sentence_of_what_was_cut_off_is_not_checked(policy: SupportPolicy, left: str) -> None:
    """Its citations may have gone with the rest."""
    resolver = CitationResolver(PASSAGES, uncited, policy)
    text = resolver.feed("Five [[k3f9qa.1]]. It is paid [[k3f9qa.2]].") + resolver.finish(complete=False)
    assert text == left
    assert [sentence.support for sentence in resolver.sentences] == ["supported", "not_checked"][: left.count("[")]


def test_the_text_of_an_answer_without_its_numbers() -> None:
    """What is told to a model later has no numbers that lead nowhere."""
    assert strip_marker_numbers("Five [1][2]. Paid[3].") == "Five. Paid."


def test_what_became_of_a_citation() -> None:
    """It stands, stands elsewhere, reads differently, or is gone."""
    cited = Citation(1, 7, "a.txt", "a", "", None, 3, 6, "one", "0")
    assert detect_citation_change(cited, "12 one") is None
    assert detect_citation_change(cited, "123 one") == "moved"
    assert detect_citation_change(cited, "12 two") == "edited"
    assert detect_citation_change(cited, None) == "gone"


@pytest.mark.slow
@pytest.mark.parametrize(
    "endless", ["a", "a ", "[", "[[", "[x", "[[k3f9qa.1", "]", " ", "\n", ".", "a. ", "[[a][", "。"]
)
def test_a_sentence_that_never_ends_is_released_in_parts(endless: str) -> None:
    """What is held back has a bound, whatever the model repeats."""
    resolver = CitationResolver(PASSAGES, skip_support_check)
    fed = released = 0
    for _ in range(6000 // len(endless)):
        released += len(resolver.feed(endless))
        fed += len(endless)
        assert len(resolver._pending) <= LONGEST_HELD
    assert fed >= 5000


def test_sentences_end_again_after_one_that_was_released_in_parts() -> None:
    """A part that was cut at the bound leaves nothing behind that hides the next full stop."""
    _, resolver = resolve("1.5 " * 400 + "End. Next.")
    assert [sentence.text for sentence in resolver.sentences[-2:]][-1] == "Next."


def test_space_between_sentences_stays_however_long_it_is() -> None:
    """Words of two sentences never run together."""
    assert resolve("It is." + " " * LONGEST_HELD + "So.")[0].split() == ["It", "is.", "So."]


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
MARKERS = ["[[k3f9qa.1]]", "[[zz7abc.2]]", "[[k3f9qa.4, 5]]", "[zz7abc.3]", "[[bad.1]]", "[[k3f9", "[[", "]]", "[", "]"]
OTHERS = [
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
SIGNS = ["(", ")", '"', "”", "é", ",", ";", "-", "*", "x" * 400]
UNSEEN = [". ", "! ", " ", "  ", "\t", "\n", "\r\n", "\n\n", "\u2028", "\u200b", "\u200d", "\ufeff", "\u0301", "\ud800"]
FRAGMENTS = st.sampled_from([*MARKERS, *OTHERS, *SIGNS, *UNSEEN])
WRITTEN = st.lists(FRAGMENTS | st.text(max_size=4), max_size=40).map("".join) | st.sampled_from(HOSTILE)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(WRITTEN, st.lists(st.integers(0, 6000), max_size=30), st.sampled_from(["strict", "flag", "off"]))
def test_no_answer_breaks_the_promises(written: str, cuts: list[int], policy: SupportPolicy) -> None:
    """Quotes are true, numbers are ours and complete, and nothing depends on how the stream was cut."""
    text, resolver = resolve(written, judge=whimsical, policy=policy)
    check(text, resolver)
    bounds = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    pieces = (written[start:stop] for start, stop in pairwise(bounds))
    again, same = resolve(*pieces, judge=whimsical, policy=policy)
    assert (again, same.sentences, same.citations) == (text, resolver.sentences, resolver.citations)
    assert policy != "strict" or all(sentence.support != "unsupported" for sentence in resolver.sentences)
    assert same.unresolved_count == resolver.unresolved_count


@pytest.mark.slow
@pytest.mark.parametrize("written", HOSTILE)
def test_hostile_answers_one_character_at_a_time(written: str) -> None:
    """The worst ways to cut the worst answers change nothing."""
    text, resolver = resolve(written)
    check(text, resolver)
    again, same = resolve(*written)
    assert (again, same.sentences, same.citations) == (text, resolver.sentences, resolver.citations)


def check(text: str, resolver: CitationResolver) -> None:
    """All that holds for every answer."""
    for citation in resolver.citations:
        assert DOCUMENTS[citation.uri][citation.start : citation.end] == citation.quote
    shown = [int(number) for number in re.findall(r"\[(\d+)\]", text)]
    assert list(dict.fromkeys(shown)) == [citation.marker for citation in resolver.citations]
    assert [citation.marker for citation in resolver.citations] == list(range(1, len(resolver.citations) + 1))
    assert not re.search(r"\[\[\w+\.\d+\]\]", text)
    at = 0
    for sentence in resolver.sentences:
        start = text.index(sentence.text, at)
        assert not text[at:start].strip()
        assert set(map(int, re.findall(r"\[(\d+)\]", sentence.text))) == set(sentence.citations)
        assert len(sentence.citations) <= MAX_CITATIONS_PER_SENTENCE
        at = start + len(sentence.text)
    assert at == len(text)
    text.encode()
