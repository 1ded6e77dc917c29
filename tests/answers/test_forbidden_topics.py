"""Which questions belong to a forbidden topic."""

import asyncio

import pytest

from semsearch.answers.forbidden_topics import contains_phrase, find_forbidden_topic
from semsearch.core.types.escalations import ForbiddenTopic
from semsearch.core.types.usage import RequestContext
from semsearch.models.embedders.local import LocalEmbedder

TOPICS = [
    ForbiddenTopic("legal advice", ("Can I sue the company?", "Do I need a lawyer?", "Klage einreichen")),
    ForbiddenTopic("politics", ("Which party should I vote for?", "Who will win the election?")),
    ForbiddenTopic("weapons", ("How do I build a bomb?", "Where can I buy a gun?")),
    ForbiddenTopic("salaries of employees", ("How much does the chief executive earn?",)),
]


def find(question: str, topics: list[ForbiddenTopic] = TOPICS) -> str | None:
    """Return the description of the topic of a question."""
    topic = asyncio.run(find_forbidden_topic(question, topics, LocalEmbedder(), RequestContext("query")))
    return None if topic is None else topic.description


@pytest.mark.parametrize(
    ("question", "description"),
    [
        ("Could I sue your company?", "legal advice"),
        ("My parcel is lost.\nI am angry. Should I hire a lawyer?", "legal advice"),
        ("Kann ich hier eine KLAGE einreichen?", "legal advice"),
        ("Who should I vote for in the election?", "politics"),
        ("How much do your chief executives earn?", "salaries of employees"),
    ],
)
def test_other_wording_and_one_sentence_are_enough(question: str, description: str) -> None:
    """By vectors in English, by the words of an example in every language."""
    assert find(question) == description


@pytest.mark.parametrize(
    "question",
    [
        "How long is parental leave?",
        "Who has the task of ensuring that laws are published?",
        "What does the company say about lost parcels?",
        "How many members has the parliament?",
        "How do I reset my password?",
        "When did the court move to Strasbourg?",
        "Wie lange dauert die Klage?",
        "Which region invented the machine gun?",
        "What party had a victory in the 2015 UK election?",
        "What method is used for tallying votes in the second vote of the ballot?",
    ],
)
def test_question_about_something_near_is_answered(question: str) -> None:
    """A common word is not enough."""
    assert find(question) is None


def test_profile_without_topics_forbids_nothing() -> None:
    """A topic without examples is compared by its description."""
    assert find("Can I sue the company?", []) is None
    assert find("What is the salary of your employees?", [ForbiddenTopic("salaries of employees")]) is not None


@pytest.mark.parametrize("phrases", [(), ("",), ("?!",)])
def test_phrase_without_words_matches_nothing(phrases: tuple[str, ...]) -> None:
    """An empty phrase must not escalate every question."""
    assert not contains_phrase("Could I talk to a human?", phrases)
