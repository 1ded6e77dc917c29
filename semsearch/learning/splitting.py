"""Split examples into training and held-out ones, by question and by document. The same examples give the same split.

A question is on one side only, with all its answers and triplets, and so is a document, where that is possible.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from .training_examples import Example

SplitBy = Literal["question and document", "question"]


class Split(NamedTuple):
    """The examples of both sides, and what they do not share."""

    train: list[Example]
    held_out: list[Example]
    by: SplitBy


def split_examples(examples: Sequence[Example], share: float) -> Split:
    """Return at most `share` of the examples as held-out ones, chosen by hash.

    Examples that share a question or a document stay together. If every such group is larger than the share, as where
    one document answers all questions, only the questions are kept apart.
    """
    by_both = _group_by_both(examples)
    chosen = _choose_groups(by_both, share * len(examples))
    if chosen or share * len(examples) < 1:
        return _split(examples, chosen, "question and document")
    by_question = defaultdict[str, list[int]](list)
    for row, example in enumerate(examples):
        by_question[example.question_key].append(row)
    return _split(examples, _choose_groups(by_question, share * len(examples)), "question")


def _group_by_both(examples: Sequence[Example]) -> dict[str, list[int]]:
    """Return the rows of the examples that share a question or a document, by a name of the group."""
    parents: dict[str, str] = {}

    def find_root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            name = parents[name]
        return name

    for example in examples:
        first, *others = [f"question {example.question_key}", *(f"document {uri}" for uri in example.uris)]
        for other in others:  # the smallest name is the root, whatever the order of the examples is
            low, high = sorted((find_root(first), find_root(other)))
            parents[high] = low
    groups = defaultdict[str, list[int]](list)
    for row, example in enumerate(examples):
        groups[find_root(f"question {example.question_key}")].append(row)
    return groups


def _choose_groups(groups: Mapping[str, Sequence[int]], target: float) -> set[int]:
    """Return the rows of groups, in the order of their hashes, that fit into the target together."""
    chosen: set[int] = set()
    for name in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if len(chosen) + len(groups[name]) <= target:
            chosen.update(groups[name])
    return chosen


def _split(examples: Sequence[Example], held_out_rows: set[int], by: SplitBy) -> Split:
    train = [example for row, example in enumerate(examples) if row not in held_out_rows]
    held_out = [example for row, example in enumerate(examples) if row in held_out_rows]
    return Split(train, held_out, by)
