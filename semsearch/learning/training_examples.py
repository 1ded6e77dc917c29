"""Examples for fine-tuning: their type, duplicates among them, and limits for the ratings of one owner."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .screening import find_patterns, mask

ExampleKind = Literal["chat", "embedding"]
Reason = Literal["approved", "helpful", "supported"]
"""Why an answer is an example: a person approved it, its owner rated it, or each sentence is wholly supported."""

MAX_RATED_EXAMPLES_PER_OWNER = 100
"""Of one kind, in an export of several owners: examples that rest on the ratings of one owner alone."""

_REASON_ORDER: tuple[Reason, ...] = ("approved", "helpful", "supported")


@dataclass(frozen=True, slots=True)
class Example:
    """One line of a training file, with what decides about its use."""

    kind: ExampleKind
    data: dict[str, Any]
    """The JSON object of the line."""
    question: str
    answer: str
    """The text to learn: an answer without markers, or the positive passage."""
    uris: tuple[str, ...]
    """The documents that the example teaches."""
    owner: str
    reason: Reason
    created: float
    """When the question was answered, in seconds since 1970."""

    @property
    def question_key(self) -> str:
        """The question without differences of case, space and punctuation."""
        return normalize(self.question)

    @property
    def texts(self) -> list[str]:
        """All texts of the line."""
        if self.kind == "chat":
            return [message["content"] for message in self.data["messages"]]
        return list(self.data.values())

    def encode(self) -> bytes:
        """Return the line."""
        return json.dumps(self.data, ensure_ascii=False).encode() + b"\n"


def normalize(text: str) -> str:
    """Return the words of a text in lower case, without punctuation.

    >>> normalize(" How long  is LEAVE? ")
    'how long is leave'
    """
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def drop_duplicates(examples: Iterable[Example]) -> list[Example]:
    """Return one example of each question and answer: the one with the best reason, of several the newest."""
    ordered = sorted(examples, key=lambda example: (_REASON_ORDER.index(example.reason), -example.created))
    kept: dict[tuple[str, ...], Example] = {}
    for example in ordered:
        negative = normalize(example.data["negative"]) if example.kind == "embedding" else ""
        kept.setdefault((example.kind, example.question_key, normalize(example.answer), negative), example)
    return list(kept.values())


def limit_rated_examples(examples: Sequence[Example]) -> list[Example]:
    """Return the examples; each owner may add a limited number that rest on their ratings alone."""
    counts: Counter[tuple[str, str]] = Counter()
    kept = []
    for example in examples:
        counts[example.owner, example.kind] += example.reason == "helpful"
        if example.reason != "helpful" or counts[example.owner, example.kind] <= MAX_RATED_EXAMPLES_PER_OWNER:
            kept.append(example)
    return kept


def screen(examples: Iterable[Example], *, masks: bool) -> tuple[list[Example], Counter[str]]:
    """Return the examples without secrets and personal data, and how many had some, by pattern.

    An example with a match is left out; with `masks` the match is replaced.
    """
    kept, counts = [], Counter[str]()
    for example in examples:
        names = set(find_patterns([*example.texts, example.question]))
        counts.update(names)
        screened = _mask_example(example) if names and masks else None if names else example
        if screened is not None:
            kept.append(screened)
    return kept, counts


def _mask_example(example: Example) -> Example | None:
    """Return the example with all matches masked; None if something still matches."""
    masked = [mask(text) for text in example.texts]
    texts = [text for text in masked if text is not None]
    if len(texts) < len(masked):
        return None
    if example.kind == "embedding":
        return replace(example, data=dict(zip(example.data, texts, strict=True)))
    messages = [{**message, "content": text} for message, text in zip(example.data["messages"], texts, strict=True)]
    return replace(example, data={"messages": messages})
