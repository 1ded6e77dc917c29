"""No model reply can cite text that is not stored, show an internal passage id, or contain active markup."""

import asyncio
import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from proofs.hostile import (
    DOCUMENTS,
    INJECTION_TEXT,
    POLICIES,
    QUESTIONS,
    ScriptedAnswerer,
    find_violations,
    run_answer,
    split_pieces,
)
from support.upstream import KEY, run_upstream

from semsearch import Library, text_source
from semsearch.answers.pipeline import AnswerConfig, Evidence, retrieve_evidence
from semsearch.answers.profiles import DEFAULT_PROFILE, PROFILES
from semsearch.collection import Collection
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answer_requests import GenerationOptions, SupportPolicy
from semsearch.core.types.answers import Answer, Delta, GenerationEnd, Passage
from semsearch.search.retrieval import Query, Search

pytestmark = pytest.mark.slow

BRACKETED_NUMBER = re.compile(r"[\[［【]\s*\d[\d\s,;.\\-]*[\]］】]")
LINK_DEFINITION = re.compile(r"^[^\S\n]*\[[^\]\n]*\]:.*", re.MULTILINE)
"""A link definition: it is active only at the start of a line, so a colon after a number is allowed elsewhere."""

INVISIBLE_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
TO_FULLWIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
TO_ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Return a collection with an honest and a hostile document."""
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        yield create_collection(library)


def create_collection(library: Library) -> Collection:
    """Create a collection with the documents of the proof."""
    collection = library.create("hostile")
    collection.upsert([text_source(uri, text) for uri, text in DOCUMENTS.items()])
    return collection


def load_stored_documents(collection: Collection) -> dict[str, tuple[str, str]]:
    """Return text and hash of each stored document."""
    documents = {uri: collection.document(uri) for uri in DOCUMENTS}
    return {uri: (document.text, document.content_sha256) for uri, document in documents.items()}


def get_evidence(collection: Collection, question: str) -> Evidence:
    """Return the evidence for a question, with new passage ids."""
    return retrieve_evidence(collection.backends.store, Search([Query(question, None, None, "lexical", 0.0)], 8), 1)


def run_replies(evidence: Evidence, policy: SupportPolicy, *replies: str, complete: bool = True) -> Answer:
    """Return the answer to replies that come in one piece."""
    answer, _ = asyncio.run(
        run_answer(
            evidence,
            AnswerConfig(
                ScriptedAnswerer([[reply, GenerationEnd(complete=complete)] for reply in replies]),
                policy,
                DEFAULT_PROFILE,
            ),
        )
    )
    return answer


def make_corrupt_marker(rng: random.Random, passage: Passage, number: int, old_id: str) -> str:
    """Return a marker that is corrupted as by a tokenizer, a keyboard or an attacker."""
    live, marker = passage.id, f"[[{passage.id}.{number}]]"
    cut = rng.randrange(1, len(marker))
    return rng.choice(
        (
            marker,
            marker[:cut],
            marker[cut:],
            marker[:cut] + rng.choice("\u200b\u202e\x00\ufeff\n ]") + marker[cut:],
            f"[[{live}.{str(number).translate(TO_FULLWIDTH)}]]",
            f"[[{live}.{str(number).translate(TO_ARABIC)}]]",
            f"⟦{live}.{number}⟧ ［［{live}.{number}］］ 【【{live}.{number}】】 〚{live}.{number}〛",
            f"[[{live}․{number}]] [[{live}。{number}]] [[{live} {number}]]",
            f"[[[[{marker}]]]]",
            f"[[{old_id}.1]] [[{old_id}.{number}, {live}.{number}]]",
            f"[[{live}.{'9' * 400}]] [[{live}.{number}-{'9' * 6}]]",
            f"[[{live}]] [{live}] ({live}.{number}) {live}.{number}",
            f"[[{marker}1]] [1[[zzz.1]]] [[[zzzzzz.1]]1] [１[[{live}.77]]]",
            f"<[[zzzzzz.1]]script>alert(1)<[[{live}.88]]/script>",
            f"[x][[zzzzzz.1]](http://evil.test) ![y]{marker}(http://evil.test)",
            f"[x]{marker}: http://evil.test\n",
            f"{marker}({'http://evil.test'}) {marker}[x]",
            f"[^1] [^1]: {marker}",
            f"&#91;1&#93; &lbrack;1&rbrack; \\[1\\] {marker}",
        )
    )


def make_hostile_reply(rng: random.Random, passages: Sequence[Passage], old_id: str) -> str:
    """Return a reply that mixes true and false text, or follows instructions in a document."""
    parts = []
    for _ in range(rng.randint(1, 6)):
        passage = rng.choice(passages)
        number = rng.randint(1, len(passage.sentences))
        sentence = passage.sentences[number - 1].text
        offset = rng.randrange(len(sentence) + 1)
        marker = make_corrupt_marker(rng, passage, number, old_id)
        parts.append(
            rng.choice(
                (
                    f"{sentence} {marker}",
                    f"{sentence[:offset]}{marker}{sentence[offset:]}",
                    f"{sentence.replace('26', '27')} {marker}",
                    f"{sentence[:offset]}\u202e{sentence[offset:][::-1]} {marker}",
                    f"{INJECTION_TEXT} {marker}",
                    INJECTION_TEXT,
                    f"“Nobody said this.” {marker}",
                    marker,
                    f"{'no stop ' * 200}{marker}{'x' * 700}",
                )
            )
        )
    return rng.choice(("", " ", "\n", "\n\n- ", "]", "](", "<")).join(parts)


def find_all_violations(
    answer: Answer, text: str, policy: SupportPolicy, evidence: Evidence, stored_documents: dict[str, tuple[str, str]]
) -> list[str]:
    """Return the violations of the proof, and numbers in other brackets, bare ids and invisible characters."""
    violations = find_violations(answer, text, policy, evidence, stored_documents)
    errors = [violation for violation in violations if "match=']:" not in violation]
    errors += [f"link definition: {match}" for match in LINK_DEFINITION.findall(answer.text)]
    numbers = [match for match in BRACKETED_NUMBER.findall(answer.text) if not re.fullmatch(r"\[[0-9]+\]", match)]
    errors += [f"a number that looks like a citation: {number}" for number in numbers]
    errors += [f"the id {passage.id} is shown" for passage in evidence.passages if passage.id in answer.text.casefold()]
    errors += [f"invisible: {character!r}" for character in INVISIBLE_CHARACTERS.findall(answer.text)]
    return errors


def run_attack(collection: Collection, rounds: int, seed: int) -> tuple[int, int, list[str]]:
    """Run so many hostile replies; return the number of citations, the number of answers, and the violations."""
    rng, stored_documents, old_id = random.Random(seed), load_stored_documents(collection), "k3f9qa"
    citations, answers, errors = 0, 0, list[str]()
    for _ in range(rounds):
        evidence = get_evidence(collection, rng.choice(QUESTIONS))
        replies = [make_hostile_reply(rng, evidence.passages, old_id) for _ in range(2)]
        policy, profile = rng.choice(POLICIES), rng.choice((DEFAULT_PROFILE, PROFILES["writer"]))
        answerer = ScriptedAnswerer([split_pieces(rng, reply) for reply in replies])
        answer, text = asyncio.run(run_answer(evidence, AnswerConfig(answerer, policy, profile)))
        violations = find_all_violations(answer, text, policy, evidence, stored_documents)
        errors += [f"{violation} ({policy}; {replies!r})" for violation in violations]
        citations, answers = citations + len(answer.citations), answers + answer.answered
        old_id = rng.choice(evidence.passages).id
    return citations, answers, errors


def test_every_citation_of_hostile_replies_is_stored(collection: Collection) -> None:
    """Replies contain corrupt markers, markup, look-alikes and text of a hostile document; no violation follows."""
    citations, answers, errors = run_attack(collection, 100, seed=4)
    assert errors == []
    assert citations > 50
    assert answers > 50


@pytest.mark.parametrize("policy", POLICIES)
def test_passage_ids_of_another_request_cite_nothing(collection: Collection, policy: SupportPolicy) -> None:
    """Ids from another question, perhaps of another caller, are unknown."""
    earlier_evidence, evidence = get_evidence(collection, QUESTIONS[0]), get_evidence(collection, QUESTIONS[0])
    assert {passage.id for passage in earlier_evidence.passages}.isdisjoint(passage.id for passage in evidence.passages)
    reply = " ".join(
        f"{passage.sentences[0].text} [[{passage.id}.1]]"
        for passage in earlier_evidence.passages
        if passage.uri != "evil.txt"
    )
    assert run_replies(earlier_evidence, policy, reply, reply).citations
    answer = run_replies(evidence, policy, reply, reply)
    assert answer.citations == ()
    assert answer.answered is (policy == "off")


@pytest.mark.parametrize("policy", POLICIES)
def test_ids_of_the_prompt_example_cite_nothing(collection: Collection, policy: SupportPolicy) -> None:
    """A model may copy the example in its prompt."""
    reply = "Lamps are checked every spring [[PASSAGE-ONE.4]]. Two sign [[PASSAGE-ONE.5]] [[PASSAGE-TWO.1]]."
    answer = run_replies(get_evidence(collection, QUESTIONS[0]), policy, reply, reply)
    assert answer.citations == ()
    assert "PASSAGE" not in answer.text


@pytest.mark.parametrize("number", ["0", "-1", "00", "99", "999999", "1e0", "0x1", "9" * 400])
def test_sentence_number_out_of_range_cites_nothing(collection: Collection, number: str) -> None:
    """Zero and negative numbers are out of range, too."""
    evidence = get_evidence(collection, QUESTIONS[0])
    reply = f"{evidence.passages[0].sentences[-1].text} [[{evidence.passages[0].id}.{number}]]"
    answer = run_replies(evidence, "off", reply)
    assert answer.citations == ()
    assert evidence.passages[0].id not in answer.text


def test_changed_digit_is_contradicted(collection: Collection) -> None:
    """A wrong figure with the right citation is flagged as contradicted, and dropped by the strict policy."""
    evidence = get_evidence(collection, QUESTIONS[0])
    leave = next(passage for passage in evidence.passages if passage.uri == "leave.txt")
    reply = f"Parental leave lasts 26 weeks [[{leave.id}.1]]. Parental leave lasts 62 weeks [[{leave.id}.1]]."
    assert [sentence.support for sentence in run_replies(evidence, "flag", reply).sentences] == [
        "supported",
        "contradicted",
    ]
    assert run_replies(evidence, "strict", reply).text == "Parental leave lasts 26 weeks [1]."


@pytest.mark.parametrize("cites", [True, False])
def test_injected_instructions_have_no_effect(collection: Collection, cites: bool) -> None:
    """Text that a document dictates cites that document or is unsupported; its markup is never active."""
    evidence = get_evidence(collection, QUESTIONS[2])
    evil = next(passage for passage in evidence.passages if passage.uri == "evil.txt")
    leave = next((passage for passage in evidence.passages if passage.uri == "leave.txt"), evil)
    reply = INJECTION_TEXT.replace("[[zzzzzz.1]]", f"[[{evil.id}.1]]" if cites else f"[[{leave.id}9.1]]")
    for policy in POLICIES:
        answer = run_replies(evidence, policy, reply, reply)
        assert {cited.uri for cited in answer.citations} <= {"evil.txt"}
        assert not re.search(r"\]\(|<[a-z]", answer.text)
        assert cites or not answer.citations
        assert policy != "strict" or "99 weeks" not in answer.text


@pytest.mark.parametrize("unit", ["x", "no stop ", "[[", "]]", "[[a.1]", "<", "[1", "“", "1", "灯", "\u202e", "]("])
def test_100_kb_without_a_sentence_end_take_linear_time(collection: Collection, unit: str) -> None:
    """They are yielded in parts or dropped; quadratic time would take minutes."""
    evidence, stored_documents = get_evidence(collection, QUESTIONS[0]), load_stored_documents(collection)
    reply = (unit * 100_000)[:100_000]
    start = time.process_time()
    answer, text = asyncio.run(
        run_answer(evidence, AnswerConfig(ScriptedAnswerer([[reply, GenerationEnd()]]), "off", DEFAULT_PROFILE))
    )
    assert time.process_time() - start < 15
    assert find_all_violations(answer, text, "off", evidence, stored_documents) == []


def test_truncated_marker_cites_nothing_false(collection: Collection) -> None:
    """The reply ends after any character, or is split there into two pieces."""
    evidence, stored_documents = get_evidence(collection, QUESTIONS[0]), load_stored_documents(collection)
    leave = next(passage for passage in evidence.passages if passage.uri == "leave.txt")
    reply = f"Parental leave lasts 26 weeks at full pay [[{leave.id}.1]]. It is asked for before [[{leave.id}.2]]."
    complete_answer = run_replies(evidence, "off", reply)
    assert len(complete_answer.citations) == 2
    for offset in range(len(reply)):
        truncated_answer = run_replies(evidence, "off", reply[:offset], complete=False)
        assert find_all_violations(truncated_answer, truncated_answer.text, "off", evidence, stored_documents) == []
        answerer = ScriptedAnswerer([[reply[:offset], reply[offset:], GenerationEnd()]])
        answer, text = asyncio.run(run_answer(evidence, AnswerConfig(answerer, "off", DEFAULT_PROFILE)))
        assert (text, answer.citations) == (complete_answer.text, complete_answer.citations)


def test_hostile_replies_of_a_model_server_cause_no_violation(tmp_path: Path) -> None:
    """The hostile server takes passage ids from the prompt that a model gets over HTTP."""
    rng, errors, answers = random.Random(9), list[str](), 0
    prompt_ids: list[list[str]] = []

    def reply_with_hostile_text(messages: list[dict[str, str]]) -> str:
        prompt = "\n".join(message["content"] for message in messages)
        prompt_ids.append(re.findall(r"^<\w+> id: (\S+) source", prompt, re.MULTILINE))
        passage_id = rng.choice(prompt_ids[-1])
        match = re.search(rf"id: {passage_id} source: .*\n1: (.*)", prompt)
        assert match
        old_id = prompt_ids[0][0]
        echo = f"{match[1]} [[{passage_id}.1]] {INJECTION_TEXT} <script>[[{passage_id}.7]]</script> [[{old_id}.1]]"
        return rng.choice(
            (echo, echo[::-1], f"{match[1]} [[{passage_id}.1]]", prompt[-300:], f"{INJECTION_TEXT} [[{passage_id}.1]]")
        )

    with run_upstream() as upstream:
        upstream.answer = reply_with_hostile_text
        settings = Settings(chat=Endpoint(upstream.url, Secret(KEY)), chat_model="m")
        with Library(tmp_path, settings=settings) as library:
            collection = create_collection(library)
            stored_documents = load_stored_documents(collection)
            for _ in range(40):
                policy = rng.choice(POLICIES)
                *events, answer = collection.stream(rng.choice(QUESTIONS[:2]), options=GenerationOptions(policy=policy))
                assert isinstance(answer, Answer)
                text = "".join(event.text for event in events if isinstance(event, Delta))
                errors += find_violations(answer, text, policy, Evidence(None, 0, (), ()), stored_documents)  # type: ignore[arg-type]
                all_ids = {passage_id for ids in prompt_ids for passage_id in ids}
                errors += [passage_id for passage_id in all_ids if passage_id in answer.text]
                answers += answer.answered
    assert errors == []
    assert answers
