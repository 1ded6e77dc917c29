"""Measure a collection on questions whose answers you know: python examples/evaluate.py docs/ questions.jsonl."""

import json
import sys
from pathlib import Path

import semsearch

EXAMPLES = Path(__file__).parent


def main(folder: str, questions_file: str) -> None:
    """Print how often the right document is found, and how often the answer has the expected words."""
    lines = Path(questions_file).read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line) for line in lines]
    answerable = [question for question in questions if question.get("answerable", True)]
    found = right = refused = 0
    with semsearch.Library("indexes") as library:
        documents = library.create("evaluation")
        documents.ingest(folder)
        for question in answerable:
            hits = documents.search(question["query"], k=5)
            found += bool({hit.uri for hit in hits} & set(question["relevant"]))
            text = documents.ask(question["query"]).text.casefold()
            right += any(words.casefold() in text for words in question["answers"])
        for question in questions:
            if question not in answerable:
                refused += not documents.ask(question["query"]).answered
    print(f"right document among the first five: {found} of {len(answerable)}")
    print(f"answers with the expected words: {right} of {len(answerable)}")
    print(f"refused where there is no answer: {refused} of {len(questions) - len(answerable)}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or [str(EXAMPLES / "handbook"), str(EXAMPLES / "questions.jsonl")]))
