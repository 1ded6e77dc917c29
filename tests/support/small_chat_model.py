"""A double of a small local chat model: it reads the real prompt, answers from it, and has the habits of such models.

It picks the sentences with the most words of the question, shortens them a little, and cites them in the form of its
habit. It is set as `Upstream.answer`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_PASSAGE = re.compile(r"^<(?P<fence>\w+)> id: (?P<id>\S+) source: .*\n(?P<lines>(?:\d+: .*\n)+)</(?P=fence)>$", re.M)
_QUESTION = re.compile(r"^Question: (.*)", re.M)
_STOP_WORDS = set(
    "a an and are do does for from how i in is it much must of on the to what when where which who".split()
)
_FILLERS = re.compile(r" \([^()]*\)|\b(?:usually|also|please|then) ", re.I)


@dataclass(frozen=True, slots=True)
class CitedSentence:
    """A sentence of the prompt: its text, and where the prompt has it."""

    text: str
    passage_id: str
    passage_number: int
    """From 1, in the order of the prompt."""
    number: int


Habit = Callable[[str, Sequence[CitedSentence]], str]
"""Writes the reply to a question from the chosen sentences."""


@dataclass(frozen=True, slots=True)
class SmallChatModel:
    """Answers with its habit, from so many sentences."""

    habit: Habit
    sentence_count: int = 1

    def __call__(self, messages: list[dict[str, str]]) -> str:
        """Return the reply to the messages of a request."""
        prompt = messages[1]["content"]
        question = _QUESTION.findall(prompt)[-1]
        words = set(_read_words(question))
        sentences = sorted(read_sentences(prompt), key=lambda item: -len(words.intersection(_read_words(item.text))))
        return self.habit(question, sentences[: self.sentence_count])


def read_sentences(prompt: str) -> list[CitedSentence]:
    """Return the sentences of all passages of a prompt."""
    return [
        CitedSentence(text, passage["id"], passage_number, int(number))
        for passage_number, passage in enumerate(_PASSAGE.finditer(prompt), 1)
        for number, text in re.findall(r"^(\d+): (.*)$", passage["lines"], re.M)
    ]


def _read_words(text: str) -> list[str]:
    return [word.rstrip("s") for word in re.findall(r"\w+", text.lower()) if word not in _STOP_WORDS]


def shorten(text: str) -> str:
    """Return a sentence without remarks in brackets, fillers and its full stop."""
    return _FILLERS.sub("", text).strip().rstrip(".")


def cite_with(form: str) -> Habit:
    """Return the habit to end each sentence with a marker of this form, before the full stop.

    `{id}` and `{ID}` stand for the id of the passage, `{n}` for its number, `{s}` for the number of the sentence.
    """
    return lambda question, sentences: " ".join(
        f"{shorten(item.text)} {format_marker(form, item)}." for item in sentences
    )


def cite_after_stop(form: str) -> Habit:
    """Return the habit to write the marker behind the full stop."""
    return lambda question, sentences: " ".join(
        f"{shorten(item.text)}. {format_marker(form, item)}" for item in sentences
    )


def cite_at_end(form: str) -> Habit:
    """Return the habit to write all markers at the end of the paragraph."""

    def write(question: str, sentences: Sequence[CitedSentence]) -> str:
        markers = " ".join(format_marker(form, item) for item in sentences)
        return " ".join(f"{shorten(item.text)}." for item in sentences) + f" {markers}"

    return write


def surround(before: str, habit: Habit, after: str = "") -> Habit:
    """Return a habit that writes more around its answer; `{question}` stands for the question."""
    return lambda question, sentences: before.format(question=question) + habit(question, sentences) + after


def forget_markers(question: str, sentences: Sequence[CitedSentence]) -> str:
    """Cite nothing."""
    return " ".join(f"{shorten(item.text)}." for item in sentences)


def format_marker(form: str, item: CitedSentence) -> str:
    """Return a marker in the form of a habit."""
    return form.format(id=item.passage_id, ID=item.passage_id.upper(), n=item.passage_number, s=item.number)
