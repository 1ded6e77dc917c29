"""Check single claims against the first sentence of a text."""

from semsearch.answers.verification import SupportChecker
from semsearch.core.types.answers import AnalyzedQuery, Passage, Sentence, SupportVerdict
from semsearch.text.analyzer import analyze, extract_query_terms
from semsearch.text.sentences import split_sentences

REJECTED = ("unsupported", "contradicted")
"""Verdicts on a claim that its citations do not support; the second if they say something else."""


def make_passage(text: str, title: str = "", heading: str = "", passage_id: str = "k3f9qa") -> Passage:
    """Return a passage of a whole document."""
    spans = split_sentences(text) or [(0, len(text))]
    return Passage(
        id=passage_id,
        uri="a.md",
        title=title,
        heading=heading,
        page=None,
        start=0,
        end=len(text),
        sentences=tuple(Sentence(s, e, text[s:e], tuple(analyze(text[s:e])), 1) for s, e in spans),
        content_sha256="0",
        score=1.0,
    )


def make_question(text: str = "") -> AnalyzedQuery:
    """Return a question whose terms all have the same idf."""
    terms = tuple(extract_query_terms(text)) if text else ()
    return AnalyzedQuery(text, terms, dict.fromkeys(terms, 1.0))


def check_claim(claim: str, text: str, question: str = "", title: str = "", heading: str = "") -> SupportVerdict:
    """Return the verdict on a claim that cites the first sentence of a text."""
    cited = make_passage(text, title, heading)
    return SupportChecker(make_question(question), [cited])(claim, [(cited, 1)])
