"""Build chat examples from recorded answers: the messages that `ask` sends, and the cited answer as the reply.

Ids and fences of passages are random in every prompt; here they are derived from the id of the answer, so that the
same data give the same file.
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from ..answers.history import truncate_history
from ..answers.passages import build_passages
from ..answers.plain_text import extract_sentence_text
from ..answers.prompt_files import Prompt
from ..answers.prompts import build_messages
from ..collection import Collection
from ..core.types.answers import Answer, AnswerSentence, Citation, Passage, Turn
from ..core.types.rated_answers import RatedAnswer
from ..core.types.search import StoredChunk
from ..core.types.sessions import AnswerRecord
from ..text.instructions import strip_instructions
from .recorded_sources import load_hits
from .training_examples import Example, Reason

MAX_EXCERPT_SENTENCES = 8
"""The prompt asks for a few sentences or a short list; a longer excerpt would teach another length."""

MAX_MARKERS = 3
"""Of one sentence, as in the prompt."""

NEIGHBOUR_CHUNKS = 1
"""As the answerer with a chat model adds them."""

Skipped = Literal[
    "not answered",
    "rated as wrong",
    "not rated, and not wholly supported",
    "copy of an approved answer",
    "changed by its reviewer",
    "sources have changed",
    "not cited in full",
]

_FINAL_PUNCTUATION = re.compile(r"[.!?…。！？]*\Z")


def choose_reason(rated: RatedAnswer, approved_texts: Mapping[str, str]) -> Reason | Skipped:
    """Return why an answer is an example, or why it is none. A sentence that its sources contradict never is one.

    `approved_texts` has the text that was approved by the id of its answer. A text of a reviewer has no sentences with
    citations of their own, so neither it nor the text that it replaces is an example.
    """
    answer, feedback = rated.record.answer, rated.feedback
    if not answer.answered:  # "helpful" may be said of the passages that were shown instead
        return "not answered"
    if feedback is not None and (feedback.helpful is False or feedback.wrong_marker is not None):
        return "rated as wrong"
    if answer.approved is not None:
        return "copy of an approved answer"
    if answer.id in approved_texts:
        return "approved" if approved_texts[answer.id] == answer.text else "changed by its reviewer"
    verdicts = {sentence.support for sentence in answer.sentences}
    if not answer.complete or verdicts & {"unsupported", "contradicted"}:
        return "not rated, and not wholly supported"
    if feedback is not None and feedback.helpful:
        return "helpful"
    if answer.kind == "generated" and verdicts and verdicts <= {"verbatim", "supported"}:
        return "supported"
    return "not rated, and not wholly supported"


def build_chat_example(
    collection: Collection,
    record: AnswerRecord,
    reason: Reason,
    history: Sequence[Turn] = (),
    system: str | None = None,
    prompt: Prompt | None = None,
) -> Example | Skipped:
    """Return the example of a recorded answer, or why there is none. `history` has the turns before the question."""
    random_source = random.Random(record.answer.id)  # noqa: S311, reproducible on purpose
    hits = load_hits(collection, record)
    passages = _build_passages(collection, hits, random_source)
    reply = _build_reply(record.answer, passages) if passages else None
    if reply is None:
        is_present = len(hits) == len(record.answer.hits)
        return "not cited in full" if is_present else "sources have changed"
    messages = build_messages(
        choose_question(record) if history else record.question,
        passages,
        history=truncate_history(history),
        system=system,
        prompt=prompt,
        fence="".join(random_source.choices("0123456789abcdef", k=16)),
    )
    uris = dict.fromkeys(citation.uri for citation in record.answer.citations)
    return Example(
        "chat",
        {"messages": [*messages, {"role": "assistant", "content": reply}]},
        "\n".join([*(turn.question for turn in history), record.question]),
        re.sub(r"\[\[[^\]]*\]\]", "", reply),
        tuple(f"{record.collection}/{uri}" for uri in uris),
        record.owner,
        reason,
        record.created,
    )


def choose_question(record: AnswerRecord) -> str:
    """Return a follow-up as the model read it: as a model has rewritten it, else as the user wrote it.

    Without a model, several questions were searched as one text, which is no question.
    """
    is_rewritten = strip_instructions(record.question) not in record.search_question
    return record.search_question if is_rewritten else record.question


def _build_passages(
    collection: Collection, hits: Sequence[tuple[StoredChunk, float]], random_source: random.Random
) -> list[Passage]:
    with collection.backends.store.snapshot() as snapshot:
        return build_passages(snapshot, hits, NEIGHBOUR_CHUNKS, choose=random_source.choice)


def _build_reply(answer: Answer, passages: Sequence[Passage]) -> str | None:
    """Return the reply of the model, or None if a sentence of it cites nothing that the passages hold."""
    if answer.kind == "excerpt":
        return _build_excerpt_reply(answer.citations[0], passages) if answer.citations else None
    parts, end = list[str](), 0
    for sentence in answer.sentences:
        start = answer.text.find(sentence.text, end)
        cited = _cite(sentence, answer.citations, passages)
        if start < 0 or cited is None:
            return None
        parts += [answer.text[end:start], cited]
        end = start + len(sentence.text)
    return "".join(parts).strip() or None


def _build_excerpt_reply(citation: Citation, passages: Sequence[Passage]) -> str | None:
    """Return the sentences of a copied span, each with its marker, and each on a line of its own if it was."""
    markers = _find_markers(citation, passages)
    if not 1 <= len(markers) <= MAX_EXCERPT_SENTENCES:
        return None
    parts, end = list[str](), 0
    for marker, text in markers:
        start = max(end, citation.quote.find(text, end))
        separator = "\n" if "\n" in citation.quote[end:start] else " "
        parts += [separator if parts else "", _add_markers(text, [marker])]
        end = start + len(text)
    return "".join(parts)


def _cite(sentence: AnswerSentence, citations: Sequence[Citation], passages: Sequence[Passage]) -> str | None:
    """Return a sentence with the markers of its citations; None if one of them is not in the passages."""
    markers: list[str] = []
    for citation in citations:
        if citation.marker in sentence.citations:
            markers = [marker for marker, _ in _find_markers(citation, passages)]
            if not markers:
                return None
            markers += markers
    markers = list(dict.fromkeys(markers))
    text = extract_sentence_text(sentence, citations)
    return _add_markers(text, markers) if 1 <= len(markers) <= MAX_MARKERS else None


def _find_markers(citation: Citation, passages: Sequence[Passage]) -> list[tuple[str, str]]:
    """Return the markers and the texts of the passage sentences that a citation covers; none if they have changed."""
    for passage in passages:
        markers = [
            (f"[[{passage.id}.{number}]]", sentence.text)
            for number, sentence in enumerate(passage.sentences, 1)
            if passage.uri == citation.uri and sentence.start < citation.end and sentence.end > citation.start
        ]
        if markers:
            return markers if all(text in citation.quote or citation.quote in text for _, text in markers) else []
    return []


def _add_markers(text: str, markers: Sequence[str]) -> str:
    """Return a sentence with markers before its final punctuation, as in the example of the prompt."""
    text = " ".join(text.split())
    end = _FINAL_PUNCTUATION.search(text)
    offset = end.start() if end else len(text)
    return f"{text[:offset]} {' '.join(markers)}{text[offset:]}"
