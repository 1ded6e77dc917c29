"""Score one answer against its judged question: correct answers, citations, support and refusals."""

from collections.abc import Sequence

from ..answers.plain_text import extract_sentence_text
from ..answers.verification import SupportChecker
from ..core.types.answers import AnalyzedQuery, Answer, Citation, Passage, Sentence
from ..text.analyzer import analyze
from .datasets import JudgedQuery
from .metrics import Ratio, score_citations

_SUPPORTED = ("verbatim", "supported")
"""Verdicts of sentences that count as supported."""


def score_answer(answer: Answer, judged_query: JudgedQuery) -> dict[str, float]:
    """Return whether a correct answer is in the answer, and in its first sentence, each 0.0 or 1.0.

    Of an excerpt, its best sentence counts in place of the first one.
    """
    if not judged_query.answers:
        return {}
    correct_answers = [f" {' '.join(analyze(text))} " for text in judged_query.answers]
    full_text = " ".join(sentence.text for sentence in answer.sentences)
    texts = {"answer": full_text, "answer_first": _get_main_sentence(answer)}
    terms = {name: f" {' '.join(analyze(text))} " for name, text in texts.items()}
    return {name: float(any(text in terms[name] for text in correct_answers)) for name in texts}


def _get_main_sentence(answer: Answer) -> str:
    """Return the best sentence of an excerpt, the first one of a generated answer; empty without an answer."""
    if answer.kind == "excerpt" and answer.passages:
        passage = answer.passages[0]
        return passage.text[passage.best.start - passage.start : passage.best.end - passage.start]
    return answer.sentences[0].text if answer.sentences else ""


def count_answer(answer: Answer, judged_query: JudgedQuery) -> dict[str, Ratio]:
    """Return the counts of citations, of supported sentences of a chat model, and of refusals.

    The latter need to know whether the question is answerable.
    """
    counts: dict[str, Ratio] = {}
    if answer.answered:
        citation_precision, citation_recall = _score_answer_citations(answer, judged_query.query)
        counts = {"citation_precision": citation_precision, "citation_recall": citation_recall}
    if answer.kind == "generated":
        supported_count = sum(sentence.support in _SUPPORTED for sentence in answer.sentences)
        counts["support"] = Ratio(supported_count, len(answer.sentences))
    answerable = (
        judged_query.answerable if judged_query.answerable is not None else (True if judged_query.answers else None)
    )
    if answerable is None:
        return counts
    if not answer.answered:
        counts["refusal_precision"] = Ratio(int(not answerable), 1)
    if not answerable:
        counts["refusal_recall"] = Ratio(int(not answer.answered), 1)
    return counts


def _score_answer_citations(answer: Answer, query: str) -> tuple[Ratio, Ratio]:
    passages = {citation.marker: _citation_to_passage(citation) for citation in answer.citations}
    check_support = SupportChecker(AnalyzedQuery(query, tuple(analyze(query)), {}), list(passages.values()))

    def supports(number: int, markers: Sequence[int]) -> bool:
        text = extract_sentence_text(answer.sentences[number], answer.citations)
        if answer.sentences[number].support == "verbatim":  # a copy, however long
            return all(passages[marker].sentences[0].text == text for marker in markers)
        return check_support(text, [(passages[marker], 1) for marker in markers]) == "supported"

    return score_citations(
        ([marker for marker in sentence.citations if marker in passages] for sentence in answer.sentences), supports
    )


def _citation_to_passage(citation: Citation) -> Passage:
    sentence = Sentence(citation.start, citation.end, citation.quote, tuple(analyze(citation.quote)), citation.chunk_id)
    return Passage(
        id=str(citation.marker),
        uri=citation.uri,
        title=citation.title,
        heading=citation.heading,
        page=citation.page,
        start=citation.start,
        end=citation.end,
        sentences=(sentence,),
        content_sha256=citation.content_sha256,
        score=1.0,
    )
