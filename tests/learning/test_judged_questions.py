"""Judged questions from feedback: grades, votes of owners, splits and files."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch import Caller, ForbiddenError, InvalidError, Library, NotFoundError, text_source
from semsearch.core.settings import Settings
from semsearch.core.types.access import LOCAL_CALLER
from semsearch.core.types.judgements import JudgedQuestion
from semsearch.evaluation.datasets import read_dataset
from semsearch.learning import review
from semsearch.learning.judged_files import read_judged_questions, write_judged_questions, write_splits
from semsearch.learning.judged_questions import _split, make_judged_questions

TEXTS = {
    "leave": "Parental leave is 26 weeks at full pay for each parent.",
    "vpn": "The VPN gateway is at vpn.example.org for all staff.",
    "lamp": "The lamp of the lighthouse burns two litres of oil each night.",
}
LEAVE, VPN = "How long is parental leave?", "Where is the VPN gateway?"
ANN, BOB, EVE = Caller("ann"), Caller("bob"), Caller("eve")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """A library with three documents."""
    with Library(tmp_path / "indexes", settings=Settings()) as library:
        library.create("hb").upsert([text_source(uri, text) for uri, text in TEXTS.items()])
        yield library


def rate(library: Library, caller: Caller, question: str, **feedback: bool | int | str) -> None:
    """Let a caller ask and say something about the answer; `right` is the uri of the right passage."""
    answer = library.open("hb", caller=caller).ask(question)
    if (right := feedback.pop("right", None)) is not None:
        hits = library.open("hb", caller=caller).search(TEXTS[str(right)])
        feedback["right_chunk_id"] = next(hit.chunk_id for hit in hits if hit.uri == right)
    library.add_feedback(answer.id, caller=caller, **feedback)  # type: ignore[arg-type]  # as the test says


def export(library: Library, **options: bool) -> dict[str, dict[str, int]]:
    """Return the grades by question."""
    return {each.query: each.relevant for each in make_judged_questions(library, "hb", **options)}  # type: ignore[arg-type]  # flags


def test_feedback_becomes_grades_with_evidence(library: Library) -> None:
    """The right passage, a helpful citation and a wrong one; without a relevant document there is no question."""
    rate(library, LOCAL_CALLER, LEAVE, helpful=True)
    rate(library, LOCAL_CALLER, VPN, helpful=False, wrong_marker=1, right="lamp")
    rate(library, LOCAL_CALLER, "How much oil does the lamp burn?", helpful=False, wrong_marker=1)
    rate(library, ANN, "How much oil does the lamp burn each night?", helpful=True)
    assert export(library) == {LEAVE: {"leave": 1}, VPN: {"vpn": 0, "lamp": 2}}
    leave, vpn = make_judged_questions(library, "hb")
    assert [(each.quote, each.source, each.owners) for each in leave.evidence] == [(TEXTS["leave"], "helpful", 1)]
    assert {each.source for each in vpn.evidence} == {"wrong_marker", "right_chunk"}
    for each in (*leave.evidence, *vpn.evidence):
        assert library.open("hb").document(each.uri).text[each.start : each.end] == each.quote
    assert not leave.reviewed


def test_passage_that_is_gone_judges_nothing(library: Library) -> None:
    """One that moved is judged at its new place."""
    rate(library, LOCAL_CALLER, LEAVE, helpful=True)
    rate(library, LOCAL_CALLER, VPN, helpful=True)
    library.open("hb").remove(["leave"])
    library.open("hb").upsert([text_source("vpn", f"Some words came first. {TEXTS['vpn']}")])
    (question,) = make_judged_questions(library, "hb")
    assert (question.query, question.evidence[0].start) == (VPN, 23)


def test_grade_of_other_owners_needs_two_of_them(library: Library) -> None:
    """Near-identical questions are one. The caller needs no second owner, and has the last word."""
    rate(library, ANN, LEAVE, helpful=True)
    rate(library, BOB, VPN, helpful=True)
    rate(library, EVE, "where is the VPN gateway", helpful=True)
    rate(library, LOCAL_CALLER, "How much oil does the lamp of the lighthouse burn?", helpful=True)
    assert {uri for grades in export(library).values() for uri in grades} == {"lamp"}
    judged = make_judged_questions(library, "hb", all_owners=True)
    assert {(*each.relevant, each.is_agreed) for each in judged} == {("vpn", True), ("lamp", False)}
    every = make_judged_questions(library, "hb", all_owners=True, include_single=True)
    assert {uri for each in every for uri in each.relevant} == TEXTS.keys()
    rate(library, LOCAL_CALLER, VPN, helpful=False, wrong_marker=1)
    assert {uri for grades in export(library, all_owners=True).values() for uri in grades} == {"lamp"}


def test_false_ratings_of_one_owner_change_no_grade(library: Library) -> None:
    """However many there are: an owner has one vote on a document of a question."""
    for caller in (ANN, BOB):
        rate(library, caller, LEAVE, helpful=True)
    expected = export(library, all_owners=True)
    for _ in range(20):
        rate(library, EVE, LEAVE, helpful=False, wrong_marker=1, right="lamp")
    assert export(library, all_owners=True) == expected == {LEAVE: {"leave": 1}}


def test_other_owners_are_for_administrators_only(library: Library) -> None:
    """The own feedback of a caller names no document that they may not see."""
    for caller in (Caller("x", scopes=frozenset({"ask"})), Caller("x", filter={"team": "hr"})):
        with pytest.raises(ForbiddenError):
            make_judged_questions(library, "hb", all_owners=True, caller=caller)
    rate(library, ANN, LEAVE, helpful=True)
    assert make_judged_questions(library, "hb", caller=replace(ANN, filter={"team": "hr"})) == []
    assert len(make_judged_questions(library, "hb", caller=ANN)) == 1


def make_question(number: int, uris: set[str]) -> JudgedQuestion:
    """Return a question that judges these documents."""
    return JudgedQuestion(str(number), f"question {number}", dict.fromkeys(sorted(uris), 1), "training", True, ())


@given(st.lists(st.sets(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=3), max_size=20), st.floats(0, 0.9))
def test_no_document_is_in_both_splits(groups: list[set[str]], held_out: float) -> None:
    """The same questions in another order are split in the same way."""
    questions = [make_question(number, uris) for number, uris in enumerate(groups)]
    split = _split(questions, held_out)
    uris = {name: {uri for each in split if each.split == name for uri in each.relevant} for name in SPLITS}
    assert uris["training"].isdisjoint(uris["held-out"])
    backwards = _split(questions[::-1], held_out)
    assert {each.id: each.split for each in backwards} == {each.id: each.split for each in split}


SPLITS = ("training", "held-out")


def test_file_is_read_by_eval_and_split_after_the_review(tmp_path: Path) -> None:
    """Only reviewed questions are in the files of the splits."""
    path = tmp_path / "judged.jsonl"
    questions = [replace(make_question(0, {"a"}), split="held-out"), make_question(1, {"b"}), make_question(2, {"c"})]
    write_judged_questions(path, questions)
    assert read_judged_questions(path) == questions
    assert [dict(each.grades) for each in read_dataset(path)] == [{"a": 1}, {"b": 1}, {"c": 1}]
    assert {json.loads(line)["reviewed"] for line in path.read_text().splitlines()} == {False}
    decided = review.accept(review.reject(questions, ["1"]), ["0"])
    files = write_splits(path, decided)
    assert files == {"held-out": tmp_path / "judged.held-out.jsonl"}
    assert [each.id for each in read_dataset(files["held-out"])] == ["0"]
    write_splits(path, review.accept(decided, ["all"]))
    assert [each.id for each in read_dataset(tmp_path / "judged.training.jsonl")] == ["2"]
    for name in ("1", "agree"):
        with pytest.raises(NotFoundError, match=name):
            review.accept(decided, [name])
    with pytest.raises(InvalidError, match="reject"):
        review.edit(questions[0], "question", {"a": 0})
    path.write_text("{}\n")
    with pytest.raises(InvalidError, match="line 1"):
        read_judged_questions(path)
