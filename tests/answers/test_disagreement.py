"""find_disagreements: sources with different values for what is asked, and only those."""

import pytest

from semsearch.answers.disagreement import compare_sentences, find_disagreements, format_disagreement
from semsearch.answers.evidence import Candidate
from semsearch.core.types.answers import AnalyzedQuery, Passage, Sentence
from semsearch.text.analyzer import analyze, extract_query_terms

QUESTION = "How long is parental leave?"


def make_candidate(text: str, uri: str, title: str = "", heading: str = "") -> Candidate:
    """Return a candidate that is the only sentence of its passage."""
    sentence = Sentence(0, len(text), text, tuple(analyze(text)), 1)
    passage = Passage("p", uri, title, heading, None, 0, len(text), (sentence,), "", 1.0)
    return Candidate(passage, 1, 1.0, 1.0, 1.0)


def find(shown: Candidate, *others: Candidate, question: str = QUESTION) -> list[str]:
    """Return the warnings for a shown sentence."""
    terms = tuple(extract_query_terms(question))
    analyzed = AnalyzedQuery(question, terms, dict.fromkeys(terms, 1.0))
    return [format_disagreement(each) for each in find_disagreements(analyzed, [shown], [shown, *others])]


@pytest.mark.parametrize(
    ("question", "first", "second", "values"),
    [
        (
            QUESTION,
            "New parents get 16 weeks of paid parental leave.",
            "Paid parental leave lasts 18 weeks.",
            ("16 weeks", "18 weeks"),
        ),
        (
            "When is the deadline?",
            "The deadline for reviews is 15 March.",
            "The deadline for reviews is 31 March.",
            ("15 March", "31 March"),
        ),
        (
            "What share of costs is covered?",
            "The plan covers 80% of the costs.",
            "The plan covers 70 percent of all costs.",
            ("80 percent", "70 percent"),
        ),
        (
            "Is remote work allowed?",
            "Remote work is allowed on Fridays.",
            "Remote work on Fridays is prohibited.",
            ("allowed", "prohibited"),
        ),
        (
            "Are receipts required for taxis?",
            "Receipts are required for taxis.",
            "Receipts are not required for taxis.",
            ("required", "not required"),
        ),
        (
            "Who approves travel?",
            "Travel must be approved by the Finance Director in advance.",
            "Travel must be approved by the Office Manager in advance.",
            ("Finance Director", "Office Manager"),
        ),
        (
            "Since which version is streaming supported?",
            "Streaming is supported since version 1.2.0.",
            "Streaming is supported since version 1.4.0.",
            ("1.2.0", "1.4.0"),
        ),
    ],
)
def test_different_values_for_one_thing_are_found(
    question: str, first: str, second: str, values: tuple[str, str]
) -> None:
    """Durations, dates, shares, opposites, names and versions, also in other words."""
    assert compare_sentences(question, first, second) == values


@pytest.mark.parametrize(
    ("question", "first", "second"),
    [
        (QUESTION, "Employees get 16 weeks of parental leave.", "Employees give 4 weeks of notice."),
        (QUESTION, "Parental leave lasts 16 weeks.", "Parental leave lasts sixteen weeks."),
        ("How long?", "Leave lasts 2 weeks for staff.", "Leave lasts 14 days for staff."),
        ("How long?", "The trial period lasts 3 months.", "The notice period lasts 2 months."),
        (
            "What is the revenue?",
            "In 2019 the revenue was 5 million euros.",
            "In 2020 the revenue was 6 million euros.",
        ),
        ("What is the limit?", "The minimum order is 10 boxes.", "The maximum order is 20 boxes."),
        ("What changed?", "Fixed a bug in the parser in 1.2.0.", "Fixed a bug in the parser in 1.2.1."),
        ("How do I save?", "Step 1: click the button Save.", "Step 2: click the button Save."),
        ("What is the fee?", "Members pay a fee of $20 per year.", "Guests pay a fee of $10 per year."),
        ("How many hours?", "Full-time staff work 40 hours per week.", "Part-time staff work 20 hours per week."),
        ("Are dogs allowed?", "Dogs are allowed in the office.", "Cats are not allowed in the kitchen."),
        ("How many people?", "About 1,000 people live in the village.", "1,043 people live in the village."),
    ],
)
def test_sentences_about_different_things_or_with_equal_values_agree(question: str, first: str, second: str) -> None:
    """Precision comes first: a false warning takes away trust in a right answer."""
    assert compare_sentences(question, first, second) is None
    assert compare_sentences(question, second, first) is None


def test_warning_names_both_sources_and_values() -> None:
    """The uri of each source stands with its value."""
    shown = make_candidate("Parental leave lasts 16 weeks for all.", "handbook/leave.md")
    other = make_candidate("For all, parental leave lasts 18 weeks.", "policy/2024.md")
    assert find(shown, other) == [
        "the sources disagree: handbook/leave.md says '16 weeks', policy/2024.md says '18 weeks'"
    ]


def test_one_document_does_not_disagree_with_itself_and_counts_once() -> None:
    """Two values in one document are two rules; a second sentence of another document adds no second warning."""
    shown = make_candidate("Parental leave lasts 16 weeks for all.", "a.md")
    others = [make_candidate(f"For all, parental leave lasts {count} weeks.", "b.md") for count in (18, 20)]
    assert find(shown, make_candidate("Parental leave lasts 18 weeks for all.", "a.md")) == []
    assert len(find(shown, *others)) == 1


def test_titles_tell_what_sentences_are_about() -> None:
    """A sentence without the subject takes it from its title; releases and yearly reports differ anyway."""
    shown = make_candidate("All staff get 16 weeks of time off.", "a.md", title="Parental leave")
    same = make_candidate("All staff get 18 weeks of time off.", "b.md", title="Parental leave")
    other = make_candidate("All staff get 4 weeks of time off.", "c.md", title="Vacation")
    assert len(find(shown, same)) == 1
    assert find(shown, other) == []
    yearly = [
        make_candidate(f"Parental leave lasts {weeks} weeks for all.", f"{year}.md", title=f"Report {year}")
        for year, weeks in ((2023, 16), (2024, 18))
    ]
    assert find(*yearly) == []


def test_terms_that_every_document_has_still_count() -> None:
    """In a folder with two versions of one policy, the terms of its topic have almost no idf."""
    first = make_candidate("Parental leave lasts 16 weeks for all employees.", "a.md")
    second = make_candidate("Parental leave lasts 12 weeks for all employees.", "b.md")
    idf = {"long": 1.8, "parent": 0.2, "leav": 0.2}
    question = AnalyzedQuery("How long is parental leave?", tuple(idf), idf)
    assert len(find_disagreements(question, [first], [first, second])) == 1
