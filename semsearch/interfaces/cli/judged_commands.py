"""The commands `feedback export` and `feedback review`: judged questions for `eval`, from feedback."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...core.errors import ConflictError, InvalidError
from .context import CliContext, accept_global_options
from .gaps_command import parse_since, since_option
from .options import collection_option
from .output import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...core.types.judgements import JudgedQuestion

_file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")


@click.command()
@_file_argument
@collection_option
@since_option
@click.option("--held-out", default=0.2, show_default=True, metavar="SHARE", help="Share of documents to hold out.")
@click.option("--all-owners", is_flag=True, help="Feedback of all owners, where two agree (default: your own).")
@click.option("--include-single", is_flag=True, help="With --all-owners: also feedback of one owner, to be reviewed.")
@click.option("--overwrite", is_flag=True, help="Replace FILE, with the reviews in it.")
@accept_global_options
def export(
    context: CliContext,
    file: Path,
    collection: str,
    since: str | None,
    held_out: float,
    all_owners: bool,
    include_single: bool,
    overwrite: bool,
) -> None:
    """Write the questions that feedback judges to FILE, as JSON Lines for eval.

    A passage that was named as the right one makes its document relevant, and so does a citation of a helpful answer; a
    wrong citation makes it irrelevant. Each line has its evidence, "reviewed": false, and the split that it is in.
    """
    from ...learning.judged_files import write_judged_questions
    from ...learning.judged_questions import count_splits, make_judged_questions

    if file.exists() and not overwrite:
        raise ConflictError(f"{file} exists, and may hold reviews; choose another name, or add --overwrite")
    with context.open_library() as library:
        questions = make_judged_questions(
            library,
            collection,
            since=parse_since(since),
            held_out=held_out,
            all_owners=all_owners,
            include_single=include_single,
        )
    write_judged_questions(file, questions)
    counts = count_splits(questions)
    result = {"file": str(file), "questions": len(questions), **counts}
    context.print_result(
        result,
        lambda: (
            f"{format_count(len(questions), 'judged question')} in {file}: {counts['training']} for training,"
            f" {counts['held_out']} held out\nreview them: semsearch feedback review {file}"
        ),
    )


@click.command()
@_file_argument
@click.option("--accept", "accepted", multiple=True, metavar="ID|agreed|all", help="Do not ask; accept. Repeatable.")
@click.option("--reject", "rejected", multiple=True, metavar="ID", help="Do not ask; delete. Repeatable.")
@accept_global_options
def review(context: CliContext, file: Path, accepted: tuple[str, ...], rejected: tuple[str, ...]) -> None:
    """Decide on the questions of an exported FILE: on a terminal one by one, else as the options say.

    Each decision is saved at once. In the end the reviewed questions are written to FILE.training.jsonl and
    FILE.held-out.jsonl.
    """
    from ...learning import review as decisions
    from ...learning.judged_files import read_judged_questions, write_judged_questions, write_splits

    questions = read_judged_questions(file)
    if accepted or rejected:
        questions = decisions.accept(decisions.reject(questions, rejected), accepted)
        write_judged_questions(file, questions)
    elif sys.stdin.isatty() and sys.stderr.isatty():
        from .review_dialog import review_questions

        questions = review_questions(questions, lambda changed: write_judged_questions(file, changed))
    else:
        raise InvalidError("review asks on a terminal, but there is none; add --accept or --reject")
    files = write_splits(file, questions)
    result = {
        "reviewed": sum(question.reviewed for question in questions),
        "left": sum(not question.reviewed for question in questions),
        "files": {split: str(path) for split, path in files.items()},
    }
    context.print_result(result, lambda: format_review(questions, files))


def format_review(questions: "Sequence[JudgedQuestion]", files: "dict[str, Path]") -> str:
    """Return how many questions are reviewed, and the files of both splits."""
    reviewed = sum(question.reviewed for question in questions)
    lines = [f"{reviewed} reviewed, {len(questions) - reviewed} left"]
    for split, path in files.items():
        count = sum(question.reviewed and question.split == split for question in questions)
        lines.append(f"  {split}: {count} in {path}")
    return "\n".join(lines)
