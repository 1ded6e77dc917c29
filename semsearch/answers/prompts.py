"""Build the messages for a chat model: rules, passages as data, question. Sends nothing and parses no reply.

The rules come first and are the same for every question, so that a server can cache them. The first four are the
grounding contract; the fifth is about the form of answers and comes from the prompt. The texts are in `prompt_texts/`;
raise the version line of a text with any change to it. The ids in the example of the contract look like real ones, but
have letters that those never have: a copy of them cites nothing.
"""

import json
import re
import secrets
from collections.abc import Sequence

from ..core.types.answers import Passage, Turn
from .prompt_files import Prompt, get_default_prompt, load_text

NO_ANSWER = "NO_ANSWER"
"""The complete reply of a model if the passages do not contain the answer."""

_RULE_INDENT = "\n   "
_LANGUAGE_REMINDER = "Answer in the language of the question. "
"""In the reminder, which stands last because small models follow best what they read last; only of the built-in prompt,
as another one may ask for another language."""

_DOUBLED_BRACKET = re.compile(r"\[(?=\[)|\](?=\])")
# Tokens that begin a turn in the chat templates of common models; some servers interpret them anywhere in a text.
_CHAT_TEMPLATE_TOKENS = re.compile(r"<(?=\||/?s>|/?<?SYS>|(?:start|end)_of_turn>)|\[(?=/?INST\])", re.IGNORECASE)

_MAX_PREVIOUS_DRAFT_CHARACTERS = 8_000


def build_messages(
    question: str,
    passages: Sequence[Passage],
    *,
    history: Sequence[Turn] = (),
    system: str | None = None,
    allow_unsupported: bool = False,
    previous_draft: str = "",
    fence: str = "",
    prompt: Prompt | None = None,
) -> list[dict[str, str]]:
    """Return the messages that make a model answer `question` from `passages`.

    `system` is added to the rules and replaces none; `prompt` replaces the rule about the form of answers. With
    `allow_unsupported` the model may write more than the passages say. `previous_draft` is an earlier reply that no
    passage supports; the model is asked to correct it. `fence` is the text around each passage, else a random one.
    """
    prompt = prompt or get_default_prompt()
    rules = _format_rules(prompt, allow_unsupported=allow_unsupported)
    if system:
        rules = f"{rules}\n\n{load_text('operator_note')}\n{_neutralize(system)}"
    fence = fence or secrets.token_hex(8)
    parts = [
        f"Question: {_to_line(question)}\n"
        f"Each passage stands between a line that begins with <{fence}> and a line </{fence}>.",
        *(_format_passage(passage, fence) for passage in passages),
        f"Question: {_neutralize(question)}",
        _format_reminder(passages, prompt, allow_unsupported=allow_unsupported),
    ]
    messages = [
        {"role": "system", "content": rules},
        *_format_history(history),
        {"role": "user", "content": "\n\n".join(parts)},
    ]
    return [*messages, *_format_repair(previous_draft, passages, allow_unsupported=allow_unsupported)]


def build_condense_messages(question: str, history: Sequence[Turn]) -> list[dict[str, str]]:
    """Return the messages that make a model rewrite a follow-up question so that it needs no context."""
    transcript = [
        line
        for turn in history
        for line in (f"Question: {_to_line(turn.question)}", f"Answer: {_to_line(turn.answer)}")
    ]
    conversation = "\n".join([*transcript, f"Question to word again: {_to_line(question)}"])
    return [{"role": "system", "content": load_text("condense")}, {"role": "user", "content": conversation}]


def build_check_messages(question: str, claim: str, cited: Sequence[tuple[Passage, int]]) -> list[dict[str, str]]:
    """Return the messages that make a model judge in one word whether cited sentences support a claim."""
    sentences = [
        {"source": _format_source(passage), "sentence": _to_line(passage.sentences[number - 1].text)}
        for passage, number in cited
    ]
    data = {"question": _to_line(question), "claim": _to_line(claim), "sentences": sentences}
    return [
        {"role": "system", "content": load_text("check")},
        {"role": "user", "content": json.dumps(data, ensure_ascii=False, indent=1)},
    ]


def _format_rules(prompt: Prompt, *, allow_unsupported: bool) -> str:
    """Return the contract as rules 1 to 4 and the prompt as rule 5, indented so that it cannot look like a rule."""
    lines = (line.rstrip() for line in _neutralize(prompt.text).splitlines())
    contract = load_text("draft_contract" if allow_unsupported else "contract")
    rules = f"{contract}\n5. {_RULE_INDENT.join(lines)}"
    return rules if prompt.is_built_in else f"{rules}\n{load_text('own_prompt_note')}"


def _format_repair(
    previous_draft: str, passages: Sequence[Passage], *, allow_unsupported: bool
) -> list[dict[str, str]]:
    """Return the earlier reply and the request to correct it; none without a reply."""
    if not previous_draft:
        return []
    repair_request = load_text("repair").format(
        ids=_join_ids(passages), no_answer="only what they say" if allow_unsupported else NO_ANSWER
    )
    draft_message = {"role": "assistant", "content": _neutralize(previous_draft[:_MAX_PREVIOUS_DRAFT_CHARACTERS])}
    return [draft_message, {"role": "user", "content": repair_request}]


def _format_history(history: Sequence[Turn]) -> list[dict[str, str]]:
    """Return the earlier turns as chat messages."""
    pairs = [(("user", turn.question), ("assistant", turn.answer or NO_ANSWER)) for turn in history]
    return [{"role": role, "content": _neutralize(text)} for pair in pairs for role, text in pair]


def _format_passage(passage: Passage, fence: str) -> str:
    """Format a passage with one numbered sentence per line, so that document text never begins a line."""
    lines = [f"{number}: {_to_line(sentence.text)}" for number, sentence in enumerate(passage.sentences, 1)]
    return "\n".join([f"<{fence}> id: {passage.id} source: {_format_source(passage)}", *lines, f"</{fence}>"])


def _format_source(passage: Passage) -> str:
    return _to_line(" › ".join(part for part in (passage.title, passage.heading) if part))


def _format_reminder(passages: Sequence[Passage], prompt: Prompt, *, allow_unsupported: bool) -> str:
    """Return the lines after the question: the form of citations and the ids."""
    missing = "" if allow_unsupported else f" If the passages do not hold the answer, write only {NO_ANSWER}."
    that_rests = "that rests on a passage " if allow_unsupported else ""
    return load_text("reminder").format(
        language=_LANGUAGE_REMINDER if prompt.is_built_in else "",
        that_rests=that_rests,
        ids=_join_ids(passages),
        missing=missing,
    )


def _join_ids(passages: Sequence[Passage]) -> str:
    return ", ".join(passage.id for passage in passages)


def _to_line(text: str) -> str:
    return " ".join(_neutralize(text).split())


def _neutralize(text: str) -> str:
    """Break up everything in `text` that looks like a citation marker or like the start of a chat turn."""
    return _CHAT_TEMPLATE_TOKENS.sub(
        lambda match: f"{match[0]} ", _DOUBLED_BRACKET.sub(lambda match: f"{match[0]} ", text)
    )
