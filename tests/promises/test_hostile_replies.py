"""What no model reply can do, however it is written: cite what is not stored, show a live id, bring live markup."""

import asyncio
import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import support.upstream as double
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

from semsearch import Library, text_source
from semsearch.answers.pipeline import AnswerConfig, Evidence, retrieve_evidence
from semsearch.answers.profiles import DEFAULT_PROFILE, PROFILES
from semsearch.collection import Collection
from semsearch.core.settings import Endpoint, Secret, Settings
from semsearch.core.types.answers import Answer, Delta, GenerationEnd, GenerationOptions, Passage, SupportPolicy
from semsearch.search.retrieval import Query, Search

pytestmark = pytest.mark.slow

ANY_NUMBER = re.compile(r"[\[［【]\s*\d[\d\s,;.\\-]*[\]］】]")
DEFINITION = re.compile(r"^[^\S\n]*\[[^\]\n]*\]:.*", re.MULTILINE)
"""Of a link: live at the beginning of a line only, so that a colon behind a number is free anywhere else."""

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """A collection with an honest and a hostile document in it."""
    with Library(tmp_path_factory.mktemp("indexes"), settings=Settings()) as library:
        yield filled(library)


def filled(library: Library) -> Collection:
    """The documents of the proof."""
    collection = library.create("hostile")
    collection.upsert([text_source(uri, text) for uri, text in DOCUMENTS.items()])
    return collection


def stored(collection: Collection) -> dict[str, tuple[str, str]]:
    """Each document's text and its hash, as they are kept."""
    found = {uri: collection.document(uri) for uri in DOCUMENTS}
    return {uri: (one.text, one.content_sha256) for uri, one in found.items()}


def evidence(collection: Collection, question: str) -> Evidence:
    """What a model is given, under ids of its own."""
    return retrieve_evidence(collection.store, Search([Query(question, None, None, "lexical", 0.0)], 8), 1)


def answered(found: Evidence, policy: SupportPolicy, *said: str, finish: GenerationEnd = GenerationEnd()) -> Answer:  # noqa: B008
    """The answer to replies that come in one piece."""
    given, _ = asyncio.run(
        run_answer(found, AnswerConfig(ScriptedAnswerer([[each, finish] for each in said]), policy, DEFAULT_PROFILE))
    )
    return given


def spoiled(dice: random.Random, passage: Passage, number: int, stale: str) -> str:
    """A marker spoiled in a way that a tokenizer, a keyboard or an attacker might."""
    live, right = passage.id, f"[[{passage.id}.{number}]]"
    cut = dice.randrange(1, len(right))
    return dice.choice(
        (
            right,
            right[:cut],
            right[cut:],
            right[:cut] + dice.choice("\u200b\u202e\x00\ufeff\n ]") + right[cut:],
            f"[[{live}.{str(number).translate(WIDE)}]]",
            f"[[{live}.{str(number).translate(ARABIC)}]]",
            f"⟦{live}.{number}⟧ ［［{live}.{number}］］ 【【{live}.{number}】】 〚{live}.{number}〛",
            f"[[{live}․{number}]] [[{live}。{number}]] [[{live} {number}]]",
            f"[[[[{right}]]]]",
            f"[[{stale}.1]] [[{stale}.{number}, {live}.{number}]]",
            f"[[{live}.{'9' * 400}]] [[{live}.{number}-{'9' * 6}]]",
            f"[[{live}]] [{live}] ({live}.{number}) {live}.{number}",
            f"[[{right}1]] [1[[zzz.1]]] [[[zzzzzz.1]]1] [１[[{live}.77]]]",
            f"<[[zzzzzz.1]]script>alert(1)<[[{live}.88]]/script>",
            f"[x][[zzzzzz.1]](http://evil.test) ![y]{right}(http://evil.test)",
            f"[x]{right}: http://evil.test\n",
            f"{right}({'http://evil.test'}) {right}[x]",
            f"[^1] [^1]: {right}",
            f"&#91;1&#93; &lbrack;1&rbrack; \\[1\\] {right}",
        )
    )


def villainy(dice: random.Random, passages: Sequence[Passage], stale: str) -> str:
    """A reply that mixes what is true with what is not, or does what a document tells it to do."""
    parts = []
    for _ in range(dice.randint(1, 6)):
        passage = dice.choice(passages)
        number = dice.randint(1, len(passage.sentences))
        true = passage.sentences[number - 1].text
        at = dice.randrange(len(true) + 1)
        marker = spoiled(dice, passage, number, stale)
        parts.append(
            dice.choice(
                (
                    f"{true} {marker}",
                    f"{true[:at]}{marker}{true[at:]}",
                    f"{true.replace('26', '27')} {marker}",
                    f"{true[:at]}\u202e{true[at:][::-1]} {marker}",
                    f"{INJECTION_TEXT} {marker}",
                    INJECTION_TEXT,
                    f"“Nobody said this.” {marker}",
                    marker,
                    f"{'no stop ' * 200}{marker}{'x' * 700}",
                )
            )
        )
    return dice.choice(("", " ", "\n", "\n\n- ", "]", "](", "<")).join(parts)


def stricter(
    given: Answer, text: str, policy: SupportPolicy, found: Evidence, kept: dict[str, tuple[str, str]]
) -> list[str]:
    """What the proof looks for, and numbers in other brackets, ids alone, and characters that nobody sees."""
    errors = [one for one in find_violations(given, text, policy, found, kept) if "match=']:" not in one]
    errors += [f"a definition: {one}" for one in DEFINITION.findall(given.answer)]
    numbers = [one for one in ANY_NUMBER.findall(given.answer) if not re.fullmatch(r"\[[0-9]+\]", one)]
    errors += [f"a number that looks like a citation: {one}" for one in numbers]
    errors += [f"the id {one.id} is shown" for one in found.passages if one.id in given.answer.casefold()]
    errors += [f"unseen: {one!r}" for one in UNSEEN.findall(given.answer)]
    return errors


def attack(collection: Collection, replies: int, seed: int) -> tuple[int, int, list[str]]:
    """Play so many replies; the citations and the answers that came of it, and what is wrong."""
    dice, kept, stale = random.Random(seed), stored(collection), "k3f9qa"
    citations, answers, errors = 0, 0, list[str]()
    for _ in range(replies):
        found = evidence(collection, dice.choice(QUESTIONS))
        said = [villainy(dice, found.passages, stale) for _ in range(2)]
        policy, profile = dice.choice(POLICIES), dice.choice((DEFAULT_PROFILE, PROFILES["writer"]))
        liar = ScriptedAnswerer([split_pieces(dice, each) for each in said])
        given, text = asyncio.run(run_answer(found, AnswerConfig(liar, policy, profile)))
        errors += [f"{each} ({policy}; {said!r})" for each in stricter(given, text, policy, found, kept)]
        citations, answers = citations + len(given.citations), answers + given.answered
        stale = dice.choice(found.passages).id
    return citations, answers, errors


def test_whatever_a_model_writes_every_citation_is_stored(hostile: Collection) -> None:
    """Spoiled markers, markup around them, look-alikes and a hostile document's words: nothing false, nothing live."""
    citations, answers, errors = attack(hostile, 400, seed=4)
    assert errors == []
    assert citations > 100
    assert answers > 100


@pytest.mark.parametrize("policy", POLICIES)
def test_ids_of_one_request_are_nothing_to_the_next(hostile: Collection, policy: SupportPolicy) -> None:
    """What a model remembers from another question, perhaps another caller's, cites nothing."""
    earlier, found = evidence(hostile, QUESTIONS[0]), evidence(hostile, QUESTIONS[0])
    assert {one.id for one in earlier.passages}.isdisjoint(one.id for one in found.passages)
    said = " ".join(f"{one.sentences[0].text} [[{one.id}.1]]" for one in earlier.passages if one.uri != "evil.txt")
    assert answered(earlier, policy, said, said).citations
    given = answered(found, policy, said, said)
    assert given.citations == ()
    assert given.answered is (policy == "off")


@pytest.mark.parametrize("policy", POLICIES)
def test_the_ids_of_the_example_cite_nothing(hostile: Collection, policy: SupportPolicy) -> None:
    """A model that copies the prompt's own example has cited nothing."""
    said = "Lamps are checked every spring [[PASSAGE-ONE.4]]. Two sign [[PASSAGE-ONE.5]] [[PASSAGE-TWO.1]]."
    given = answered(evidence(hostile, QUESTIONS[0]), policy, said, said)
    assert given.citations == ()
    assert "PASSAGE" not in given.answer


@pytest.mark.parametrize("number", ["0", "-1", "00", "99", "999999", "1e0", "0x1", "9" * 400])
def test_a_sentence_that_is_not_there_cites_nothing(hostile: Collection, number: str) -> None:
    """Neither the one before the first nor the last one counted from behind."""
    found = evidence(hostile, QUESTIONS[0])
    said = f"{found.passages[0].sentences[-1].text} [[{found.passages[0].id}.{number}]]"
    given = answered(found, "off", said)
    assert given.citations == ()
    assert found.passages[0].id not in given.answer


def test_an_altered_digit_is_caught(hostile: Collection) -> None:
    """The right citation behind a wrong figure is shown as unsupported, and not at all where that is strict."""
    found = evidence(hostile, QUESTIONS[0])
    leave = next(one for one in found.passages if one.uri == "leave.txt")
    said = f"Parental leave lasts 26 weeks [[{leave.id}.1]]. Parental leave lasts 62 weeks [[{leave.id}.1]]."
    assert [each.support for each in answered(found, "flag", said).sentences] == ["supported", "unsupported"]
    assert answered(found, "strict", said).answer == "Parental leave lasts 26 weeks [1]."


@pytest.mark.parametrize("cites", [True, False])
def test_the_obedient_villain_gains_nothing(hostile: Collection, cites: bool) -> None:
    """What a document tells a model to say is a quotation of that document, or unsupported; it is never live."""
    found = evidence(hostile, QUESTIONS[2])
    evil = next(one for one in found.passages if one.uri == "evil.txt")
    leave = next((one for one in found.passages if one.uri == "leave.txt"), evil)
    said = INJECTION_TEXT.replace("[[zzzzzz.1]]", f"[[{evil.id}.1]]" if cites else f"[[{leave.id}9.1]]")
    for policy in POLICIES:
        given = answered(found, policy, said, said)
        assert {cited.uri for cited in given.citations} <= {"evil.txt"}
        assert not re.search(r"\]\(|<[a-z]", given.answer)
        assert cites or not given.citations
        assert policy != "strict" or "99 weeks" not in given.answer


@pytest.mark.parametrize("unit", ["x", "no stop ", "[[", "]]", "[[a.1]", "<", "[1", "“", "1", "灯", "\u202e", "]("])
def test_100_kb_without_a_stop_take_no_time(hostile: Collection, unit: str) -> None:
    """They are released in parts, or left out, in time that grows with them, not with their square: that is minutes."""
    found, kept = evidence(hostile, QUESTIONS[0]), stored(hostile)
    said = (unit * 100_000)[:100_000]
    begun = time.process_time()
    given, text = asyncio.run(
        run_answer(found, AnswerConfig(ScriptedAnswerer([[said, GenerationEnd()]]), "off", DEFAULT_PROFILE))
    )
    assert time.process_time() - begun < 15
    assert stricter(given, text, "off", found, kept) == []


def test_a_marker_that_is_cut_anywhere_cites_nothing_false(hostile: Collection) -> None:
    """At every character at which a model can stop, and in two pieces at every character."""
    found, kept = evidence(hostile, QUESTIONS[0]), stored(hostile)
    leave = next(one for one in found.passages if one.uri == "leave.txt")
    said = f"Parental leave lasts 26 weeks at full pay [[{leave.id}.1]]. It is asked for before [[{leave.id}.2]]."
    whole = answered(found, "off", said)
    assert len(whole.citations) == 2
    for at in range(len(said)):
        stopped = answered(found, "off", said[:at], finish=GenerationEnd(complete=False))
        assert stricter(stopped, stopped.answer, "off", found, kept) == []
        halves = ScriptedAnswerer([[said[:at], said[at:], GenerationEnd()]])
        given, text = asyncio.run(run_answer(found, AnswerConfig(halves, "off", DEFAULT_PROFILE)))
        assert (text, given.citations) == (whole.answer, whole.citations)


def test_the_same_holds_through_a_model_server(tmp_path: Path) -> None:
    """Over HTTP, with the prompt that a model really gets, from which the hostile server takes its ids."""
    dice, errors, answers = random.Random(9), list[str](), 0
    shown: list[list[str]] = []

    def villain(messages: list[dict[str, str]]) -> str:
        prompt = "\n".join(message["content"] for message in messages)
        shown.append(re.findall(r"^<\w+> id: (\S+) source", prompt, re.MULTILINE))
        one = dice.choice(shown[-1])
        said = re.search(rf"id: {one} source: .*\n1: (.*)", prompt)
        assert said
        echo = f"{said[1]} [[{one}.1]] {INJECTION_TEXT} <script>[[{one}.7]]</script> [[{shown[0][0]}.1]]"
        return dice.choice((echo, echo[::-1], f"{said[1]} [[{one}.1]]", prompt[-300:], f"{INJECTION_TEXT} [[{one}.1]]"))

    with double.run_upstream() as upstream:
        upstream.answer = villain
        chosen = Settings(chat=Endpoint(upstream.url, Secret(double.KEY)), chat_model="m")
        with Library(tmp_path, settings=chosen) as library:
            collection = filled(library)
            kept = stored(collection)
            for _ in range(40):
                policy = dice.choice(POLICIES)
                *before, given = collection.stream(dice.choice(QUESTIONS[:2]), options=GenerationOptions(policy=policy))
                assert isinstance(given, Answer)
                text = "".join(event.text for event in before if isinstance(event, Delta))
                errors += find_violations(given, text, policy, Evidence(None, 0, (), ()), kept)  # type: ignore[arg-type]
                errors += [one for one in {name for each in shown for name in each} if one in given.answer]
                answers += given.answered
    assert errors == []
    assert answers
