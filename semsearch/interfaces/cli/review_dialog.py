"""Show judged questions one by one on a terminal, and ask what to do with each."""

from collections.abc import Callable, Sequence

import click

from ...core.errors import InvalidError
from ...core.escapes import escape_text
from ...core.types.judgements import JudgedQuestion
from ...learning.review import edit
from . import output

_SOURCES = {
    "right_chunk": "named as the right passage",
    "helpful": "cited in a helpful answer",
    "wrong_marker": "called a wrong citation",
}
_MAX_QUOTE_CHARACTERS = 300


def review_questions(
    questions: Sequence[JudgedQuestion], save: Callable[[list[JudgedQuestion]], None]
) -> list[JudgedQuestion]:
    """Ask about each question that is not reviewed, save after each decision, and return what is left in the end."""
    decided, open_questions = [each for each in questions if each.reviewed], [q for q in questions if not q.reviewed]
    left = list(open_questions)
    for number, question in enumerate(open_questions, 1):
        output.print_err(f"\n{number} of {len(open_questions)}\n{format_question(question)}")
        choice = click.prompt(
            "Right? y(es), n(o, delete), s(kip), e(dit), q(uit)",
            type=click.Choice(["y", "n", "s", "e", "q"]),
            show_choices=False,
            err=True,
        )
        if choice == "q":
            break
        if choice == "s":
            continue
        left.remove(question)
        decided += [] if choice == "n" else [_edit(question) if choice == "e" else edit_nothing(question)]
        save([*decided, *left])
    return [*decided, *left]


def edit_nothing(question: JudgedQuestion) -> JudgedQuestion:
    """Return the question, accepted as it is."""
    return edit(question, question.query, question.relevant)


def format_question(question: JudgedQuestion) -> str:
    """Return the question, the grade of each document, and the passages with what was said about them."""
    lines = [click.style(escape_text(question.query), bold=True)]
    lines += [f"  {escape_text(uri)}: grade {grade}" for uri, grade in question.relevant.items()]
    for each in question.evidence:
        quote = " ".join(each.quote.split())[:_MAX_QUOTE_CHARACTERS]
        owners = output.format_count(each.owners, "owner")
        lines.append(f"  {escape_text(each.uri)} {each.start}–{each.end}, {_SOURCES[each.source]} ({owners})")
        lines.append(f"    {escape_text(quote)}")
    return "\n".join(lines)


def _edit(question: JudgedQuestion) -> JudgedQuestion:
    """Ask for the text of the question and whether each document is relevant, until the result is valid."""
    while True:
        query = click.prompt("Question", default=question.query, err=True)
        relevant = {
            uri: max(grade, 1) if click.confirm(f"Is {escape_text(uri)} relevant?", grade > 0, err=True) else 0
            for uri, grade in question.relevant.items()
        }
        try:
            return edit(question, query, relevant)
        except InvalidError as exc:
            output.print_err(str(exc))
