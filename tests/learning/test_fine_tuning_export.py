"""The export of training data: what becomes an example, what does not, and the form of the files."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fine_tuning_server import FineTuningServer, find_training_problems
from support.things import THINGS, ask, open_collection

from semsearch import Caller, Library, text_source
from semsearch.answers.citations import CitationResolver
from semsearch.answers.support import skip_support_check
from semsearch.collection import Collection
from semsearch.core.errors import ForbiddenError, InvalidError, UnavailableError
from semsearch.core.settings import Settings
from semsearch.core.types.answers import Passage, Sentence
from semsearch.learning.fine_tuning_export import ExportOptions, ExportReport, export_training_data
from semsearch.learning.training_examples import MAX_RATED_EXAMPLES_PER_OWNER

pytestmark = pytest.mark.slow

STRANGER = Caller("stranger")
_ID = re.compile(r"\b[bcdfghjkmnpqrstvwxz][2-9][bcdfghjkmnpqrstvwxz][2-9][bcdfghjkmnpqrstvwxz](?=\d)")


def export(library: Library, folder: Path, **options: Any) -> tuple[ExportReport, dict[str, list[dict[str, Any]]]]:
    """Return the report and the lines of each file."""
    chosen = replace(ExportOptions(folder, "default"), **options)
    report = export_training_data(library, chosen)
    lines = {
        name.name: [json.loads(line) for line in name.read_text().splitlines()] for name in sorted(folder.iterdir())
    }
    return report, lines


def hide_random_parts(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return messages with the fence and the prefix of the ids, which are random in every prompt, made equal."""
    return [
        {**message, "content": _ID.sub("ID", re.sub(r"[0-9a-f]{16}", "FENCE", message["content"]))}
        for message in messages
    ]


def test_chat_examples_are_the_messages_that_ask_sent(
    library: Library, server: FineTuningServer, tmp_path: Path
) -> None:
    """The reply is the answer with markers that the server's own resolver accepts; the file is valid for OpenAI."""
    sent = {}
    for thing in THINGS:
        assert ask(library, thing).sentences[0].support in ("verbatim", "supported")
        sent[thing] = server.calls[-1].body["messages"]
    report, lines = export(library, tmp_path / "out", held_out=0.0, kinds=("chat",))
    data = (tmp_path / "out" / "chat.train.jsonl").read_bytes()
    assert find_training_problems(data) == []
    examples = lines["chat.train.jsonl"]
    assert len(examples) == len(THINGS)
    assert (report.problems, report.skipped) == ([], {})
    for example in examples:
        *prompt, reply = example["messages"]
        thing = next(thing for thing in THINGS if f"the {thing} checked?" in prompt[-1]["content"])
        assert hide_random_parts(prompt) == hide_random_parts(sent[thing])
        assert check_reply(prompt[-1]["content"], reply["content"]).startswith(f"The {thing} is checked every")
    assert report.training is not None
    assert report.training.usd == pytest.approx(report.training.tokens * 2e-6)


def test_neighbours_of_a_hit_are_in_the_prompt_as_ask_sent_them(
    library: Library, server: FineTuningServer, tmp_path: Path
) -> None:
    """A passage of a long document has the chunks around its hit."""
    sentences = [f"Stair {number} of the tower leads past window {number * 7} to the north." for number in range(200)]
    open_collection(library).upsert([text_source("tower.txt", " ".join(sentences))])
    answer = open_collection(library).ask("Which window does stair 90 of the tower lead past?", k=1)
    assert len(answer.hits) == 1
    sent = server.calls[-1].body["messages"]
    assert len(sent[-1]["content"]) > 2 * len(answer.hits[0].text)
    library.add_feedback(answer.id, helpful=True)
    _, lines = export(library, tmp_path / "out", held_out=0.0)
    assert hide_random_parts(lines["chat.train.jsonl"][0]["messages"][:-1]) == hide_random_parts(sent)


def test_own_prompt_is_in_the_messages(settings: Settings, server: FineTuningServer, tmp_path: Path) -> None:
    """As `ask` sends it; a file that cannot be used is an error, and nothing is written."""
    file = tmp_path / "prompt.txt"
    file.write_text("version: mine\n\nAnswer as a lighthouse keeper would.\n")
    with Library(tmp_path / "indexes", settings=replace(settings, prompt_file=file, system="Be kind.")) as library:
        library.create("default").upsert([text_source("lamp.txt", "The lamp is checked every week.")])
        library.add_feedback(ask(library, "lamp").id, helpful=True)
        sent = server.calls[-1].body["messages"]
        assert "as a lighthouse keeper would" in sent[0]["content"]
        _, lines = export(library, tmp_path / "out", held_out=0.0)
        assert hide_random_parts(lines["chat.train.jsonl"][0]["messages"][:-1]) == hide_random_parts(sent)
        file.unlink()
        with pytest.raises(UnavailableError, match="prompt file cannot be read"):
            export_training_data(library, ExportOptions(tmp_path / "other", "default"))
        assert not (tmp_path / "other").exists()
        report, _ = export(library, tmp_path / "triplets", kinds=("embedding",))
        assert report.answers == 1


def check_reply(prompt: str, reply: str) -> str:
    """Return the quote that a reply cites in its prompt; every sentence must cite one."""
    passages = [
        Passage(
            match[1], match[1], "", "", None, 0, 0,
            tuple(Sentence(n, n + 1, line.split(": ", 1)[1], (), 1) for n, line in enumerate(match[2].splitlines())),
            "", 0.0,
        )
        for match in re.finditer(r"id: (\S+) source: .*\n((?:\d+: .*\n)+)", prompt)
    ]  # fmt: skip
    resolver = CitationResolver(passages, skip_support_check)
    resolver.feed(reply)
    resolver.finish()
    assert resolver.sentences
    assert all(sentence.citations for sentence in resolver.sentences)
    return resolver.citations[0].quote


def test_same_data_give_the_same_files(library: Library, tmp_path: Path) -> None:
    """Also the split; no question of a held-out example is in the training file."""
    for thing in THINGS:
        library.add_feedback(ask(library, thing).id, helpful=True)
    _, lines = export(library, tmp_path / "one", held_out=0.2)
    assert export(library, tmp_path / "two", held_out=0.2)[1] == lines
    queries = [{line["query"] for line in lines[f"embedding.{side}.jsonl"]} for side in ("train", "held_out")]
    assert queries[0].isdisjoint(queries[1])
    assert queries[0]
    assert queries[1]
    assert len(lines["chat.held_out.jsonl"]) == 2


def test_feedback_decides(library: Library, tmp_path: Path) -> None:
    """What is rated as wrong is no example; a right passage and a wrong citation make a triplet."""
    first, second, third = (ask(library, thing) for thing in THINGS[:3])
    library.add_feedback(first.id, helpful=False)
    right = open_collection(library).search("garden", k=1)[0]
    library.add_feedback(second.id, wrong_marker=1, right_chunk_id=right.chunk_id)
    report, lines = export(library, tmp_path / "out", held_out=0.0)
    assert report.skipped == {"rated as wrong": 2}
    assert len(lines["chat.train.jsonl"]) == 1
    assert third.citations[0].quote.rstrip(".") in lines["chat.train.jsonl"][0]["messages"][-1]["content"]
    triplets = lines["embedding.train.jsonl"]
    assert {(line["query"], line["positive"].splitlines()[-1]) for line in triplets} == {
        ("How often is the foghorn checked?", right.text)
    }
    assert second.citations[0].quote in triplets[0]["negative"]
    assert all(right.text not in line["negative"] for line in triplets)


def test_changed_source_is_no_example(library: Library, tmp_path: Path) -> None:
    """The cited sentence is not in the documents any more."""
    ask(library, "lamp")
    open_collection(library).upsert([text_source("lamp.txt", "The lamp is checked by nobody.")])
    report, lines = export(library, tmp_path / "out")
    assert report.skipped == {"sources have changed": 1}
    assert lines["chat.train.jsonl"] == []
    assert report.problems


def test_secrets_are_left_out_or_masked(library: Library, tmp_path: Path) -> None:
    """Of questions and of documents; counted by pattern."""
    collection = open_collection(library)
    collection.upsert([text_source("lamp.txt", "The lamp is checked by lamp.keeper@example.org every two weeks.")])
    ask(library, "lamp")
    collection.ask("How often is the museum checked? Call me at +49 30 9018 2017.")
    report, lines = export(library, tmp_path / "out", held_out=0.0, kinds=("chat",))
    assert (len(lines["chat.train.jsonl"]), report.screened["phone-number"]) == (0, 1)
    report, lines = export(library, tmp_path / "masked", held_out=0.0, masks=True, kinds=("chat",))
    text = (tmp_path / "masked" / "chat.train.jsonl").read_text()
    assert len(lines["chat.train.jsonl"]) == 2
    assert not re.search(r"keeper@|9018", text)
    assert "(e-mail removed)" in text


def test_false_ratings_of_another_key_do_not_enter(library: Library, tmp_path: Path) -> None:
    """1,000 of them change no byte of an owner's export, and at most a limited number enters that of all owners."""
    library.add_feedback(ask(library, "lamp").id, helpful=True)
    before = export(library, tmp_path / "before", held_out=0.0)[1]
    answer = ask(library, "well", STRANGER)
    record = library.get_answer(answer.id, caller=STRANGER)[0]
    wrong_chunk = open_collection(library).search("chapel", k=1)[0].chunk_id
    for number in range(1_000):
        forged = replace(record.answer, id=f"ans_{number}")
        question = f"{record.question} {number}"
        forged_record = replace(
            record, answer=forged, question=question, search_question=question, created=record.created + 1
        )
        library.ledger.record_answer(forged_record, None)
        library.add_feedback(forged.id, helpful=True, right_chunk_id=wrong_chunk, caller=STRANGER)
    assert export(library, tmp_path / "after", held_out=0.0)[1] == before
    report, lines = export(library, tmp_path / "all", held_out=0.0, all_owners=True)
    assert report.limited > 0
    assert len(lines["chat.train.jsonl"]) == MAX_RATED_EXAMPLES_PER_OWNER + 2
    assert len(lines["embedding.train.jsonl"]) <= MAX_RATED_EXAMPLES_PER_OWNER + 3
    start = record.created + 1e-9  # only the false ratings are of this period
    _, lines = export(library, tmp_path / "later", held_out=0.0, all_owners=True, kinds=("embedding",), since=start)
    assert len(lines["embedding.train.jsonl"]) <= MAX_RATED_EXAMPLES_PER_OWNER


def test_follow_up_has_its_conversation(library: Library, server: FineTuningServer, tmp_path: Path) -> None:
    """The turns before it are messages, as `ask` sent them; without its session it is no example."""
    collection = open_collection(library)
    session = collection.create_session().id
    collection.ask("How often is the lamp checked?", session=session)
    collection.ask("And how often is the crane checked?", session=session)
    sent = server.calls[-1].body["messages"]
    _, lines = export(library, tmp_path / "out", held_out=0.0)
    longest = max((line["messages"] for line in lines["chat.train.jsonl"]), key=len)
    assert hide_random_parts(longest[:-1]) == hide_random_parts(sent)
    library.delete_session(session)
    report, _ = export(library, tmp_path / "out", held_out=0.0)
    assert report.skipped == {"its session was deleted": 2}


def test_documents_outside_the_filter_of_a_caller_are_not_exported(library: Library, tmp_path: Path) -> None:
    """Neither as a cited source, nor as another passage of a prompt, nor as a negative of a triplet."""
    narrow = Caller("local", filter={"uri": {"$in": ["lamp.txt", "boat.txt", "chapel.txt", "well.txt", "lift.txt"]}})
    for thing in THINGS[:4]:  # answers of this caller, from documents that they do not see any more
        answer = ask(library, thing)
        record = replace(library.get_answer(answer.id)[0], owner=narrow.record_owner)
        library.ledger.record_answer(record, None)
        library.add_feedback(answer.id, helpful=True, caller=narrow)
    options = ExportOptions(tmp_path / "out", "default", held_out=0.0)
    report = export_training_data(library, options, caller=narrow)
    text = "".join(file.read_text() for file in (tmp_path / "out").iterdir())
    assert report.skipped == {"sources have changed": 2}
    assert "The lamp is" in text
    assert not re.search("The (foghorn|crane|kitchen|garden|museum) is", text)


def test_share_of_held_out_examples_is_bounded(library: Library, tmp_path: Path) -> None:
    """More than half is refused before anything is written."""
    with pytest.raises(InvalidError, match=r"between 0 and 0\.5, not 0\.9"):
        export(library, tmp_path / "out", held_out=0.9)
    assert not (tmp_path / "out").exists()


def test_approved_answers_are_examples_unless_their_reviewer_changed_them(library: Library, tmp_path: Path) -> None:
    """An approved excerpt needs no rating; an answer that is a copy of an approved one is none of its own."""
    collection = open_collection(library)
    backends = replace(
        collection.backends,
        answerer_deps=replace(collection.backends.answerer_deps, settings=replace(library.settings, chat_model=None)),
    )
    extractive = Collection(collection.name, backends)
    lamp, boat = (extractive.ask(f"How often is the {thing} checked?") for thing in ("lamp", "boat"))
    library.approve(lamp.id)
    library.approve(boat.id, answer="Every four weeks [1].")
    copy = extractive.ask("How often is the boat checked?")
    assert copy.approved is not None
    library.add_feedback(copy.id, helpful=True)
    report, lines = export(library, tmp_path / "out", held_out=0.0, kinds=("chat",))
    (example,) = lines["chat.train.jsonl"]
    assert "The lamp is checked every" in example["messages"][-1]["content"]
    assert report.skipped == {"changed by its reviewer": 1, "copy of an approved answer": 1}


def test_answers_of_all_owners_are_for_administrators_without_a_filter(library: Library, tmp_path: Path) -> None:
    """As content gaps are."""
    options = ExportOptions(tmp_path / "out", "default", all_owners=True)
    for caller in (Caller("eve", scopes=frozenset(("search", "ask"))), Caller("eve", filter={"team": "all"})):
        with pytest.raises(ForbiddenError):
            export_training_data(library, options, caller=caller)
    assert not options.folder.exists()
