"""Find the cited sentences of passages where a model cited in another form than `[[passage.sentence]]`, or not at all.

Such a citation is resolved only where it is unambiguous:
- an id of a passage with a sentence number means that sentence, in any brackets;
- an id alone, and the number n of the n-th passage in the prompt, mean the sentence of that passage that supports the
  claim best by the support check; without one it cites nothing;
- a number in brackets that the passages have in the same place is text of a document;
- a sentence without any citation cites the sentences that fully support it, if they are all in one passage or are
  copies of each other. After an invented id no more sentences are attributed this way: such a reply may have been
  dictated by a document. The same holds for a sentence with a number that may be text of a document.

Nothing is judged here: a citation that was found this way gets its verdict like any other.
"""

import re
from collections.abc import Iterator, Sequence

from ..core.types.answers import Passage, SupportVerdict
from ..text.analyzer import analyze
from .copied_groups import INDEXED_END
from .loose_markers import FoundMarker, LooseMarkerPatterns
from .markers import parse_references, remove_unknown_markers
from .support import CitedSentences, SupportCheck

MAX_CHECKED_SENTENCES = 24
"""Sentences of passages that are compared with one claim at most: those with the most words in common."""

MAX_ATTRIBUTED_SENTENCES = 3
"""Citations of a sentence without a citation of its own."""

_FOUND_SUPPORT: tuple[SupportVerdict, ...] = ("supported", "partial")
_SENTENCE_END = re.compile(r"[ \t]*[.!?…。！？]*[*_]*\s*\Z")
_LAST_WORD = re.compile(r"(\w+)\W{0,3}\Z")
_END_OF_CLAUSE = re.compile(r"[ \t]*(?:\Z|[.,;:!?…。！？\[\n])")


class Attribution:
    """Rewrites the sentences of one answer so that each citation has the form `[[passage.sentence]]`."""

    def __init__(self, passages: Sequence[Passage], patterns: LooseMarkerPatterns, support_check: SupportCheck) -> None:
        self._passages = passages
        self._passages_by_id = {passage.id.casefold(): passage for passage in passages}
        self.patterns = patterns
        self._support_check = support_check
        self._has_invented_id = False

    def rewrite(self, body: str) -> str:
        """Return a sentence with `[[passage.sentence]]` for each citation that is unambiguous."""
        markers = list(self.patterns.find_all(body))
        citing = [item for item in markers if not (item.kind == "ordinal" and self._is_document_text(item.match))]
        claim = " ".join(remove_unknown_markers(_replace(body, citing, [""] * len(citing))).split())
        resolved = [self._resolve(item, claim) for item in citing]
        self._has_invented_id |= any(item.kind == "marker" and not self._find_known(item) for item in citing)
        names_passage = any(item.kind in ("marker", "reference") for item in citing)
        # An index as in `x[0]` is never a citation, but another number that is text could be one.
        is_ambiguous = any(
            item not in citing and not INDEXED_END.search(body, 0, item.match.start()) for item in markers
        )
        if any(resolved) or names_passage or self._has_invented_id or is_ambiguous:
            return _replace(
                body, citing, [cited or _keep_unresolved(item) for item, cited in zip(citing, resolved, strict=True)]
            )
        attributed = self._find_only_support(claim)
        if not attributed:
            return _replace(body, citing, [_keep_unresolved(item) for item in citing])
        text = _replace(body, citing, [""] * len(citing)).rstrip()
        end = _SENTENCE_END.search(text)
        position = end.start() if end else len(text)
        return f"{text[:position]} {_format_markers(attributed)}{text[position:].lstrip()}"

    def match_citation(self, text: str, position: int) -> re.Match[str] | None:
        """Return the citation in another form that begins at `position`; None if it is text of a document."""
        match = self.patterns.loose.match(text, position)
        is_text = match is not None and bool(match["ordinal"]) and self._is_document_text(match)
        return None if is_text else match

    def _is_document_text(self, match: re.Match[str]) -> bool:
        """Return whether a number in brackets is text: the passages have it in the same place, or it is an index."""
        before = match.string[: match.start()]
        if INDEXED_END.search(before) and not _END_OF_CLAUSE.match(match.string, match.end()):
            return True
        word = _LAST_WORD.search(before)
        copy = re.compile(rf"\b{word[1]}\W{{0,3}}{re.escape(match[0])}" if word else rf"\s*{re.escape(match[0])}")
        find = copy.search if word else copy.match
        return any(find(sentence.text) for passage in self._passages for sentence in passage.sentences)

    def _resolve(self, item: FoundMarker, claim: str) -> str:
        """Return a citation as markers; empty if it cites nothing, or not unambiguously."""
        if item.kind == "ordinal":
            return self._resolve_passages(self._find_ordinal_passages(item), claim)
        known = self._find_known(item)
        exact = [(passage, number) for passage, number in known if 1 <= number <= len(passage.sentences)]
        if exact:
            return (
                item.match[0] if item.kind == "marker" and _is_exact(item.match[0], exact) else _format_markers(exact)
            )
        return self._resolve_passages(list(dict.fromkeys(passage for passage, _ in known)), claim)

    def _find_known(self, item: FoundMarker) -> CitedSentences:
        """Return the references of a citation to passages that exist; number 0 if it has none."""
        text = re.sub(r"[（）()［］【】⟦⟧]", " ", _join_spaced_references(item.match[0]))
        return [
            (passage, number)
            for passage_id, number in parse_references(text)
            if (passage := self._passages_by_id.get(passage_id.casefold()))
        ]

    def _find_ordinal_passages(self, item: FoundMarker) -> list[Passage]:
        """Return the passages with these numbers in the prompt; none if one of the numbers is too high."""
        numbers = item.ordinals
        if not all(1 <= number <= len(self._passages) for number in numbers):
            return []
        return [self._passages[number - 1] for number in dict.fromkeys(numbers)]

    def _resolve_passages(self, passages: Sequence[Passage], claim: str) -> str:
        """Return a marker for the best sentence of each passage that supports the claim."""
        best = [self._find_best_sentence(passage, claim) for passage in passages]
        return _format_markers([cited for cited in best if cited])

    def _find_best_sentence(self, passage: Passage, claim: str) -> tuple[Passage, int] | None:
        """Return the sentence that supports the claim, else the first one that supports a part of it."""
        verdicts = list(self._check_sentences([passage], claim))
        for wanted in _FOUND_SUPPORT:
            for cited, verdict in verdicts:
                if verdict == wanted:
                    return cited
        return None

    def _find_only_support(self, claim: str) -> CitedSentences:
        """Return the sentences that fully support a claim that needs a source, if they are in a single passage."""
        if not claim or self._support_check(claim, []) != "unsupported":
            return []
        supporting = [
            cited for cited, verdict in self._check_sentences(self._passages, claim) if verdict == "supported"
        ]
        if len({passage.sentences[number - 1].text for passage, number in supporting}) == 1:
            return supporting[:1]
        if len({passage.id for passage, _ in supporting}) != 1:
            return []
        return sorted(supporting[:MAX_ATTRIBUTED_SENTENCES], key=lambda cited: cited[1])

    def _check_sentences(
        self, passages: Sequence[Passage], claim: str
    ) -> Iterator[tuple[tuple[Passage, int], SupportVerdict]]:
        """Yield the sentences with the most words of the claim and how well each supports it, the best match first."""
        terms = frozenset(analyze(claim))
        overlaps = [
            (len(terms.intersection(sentence.terms)), passage, number)
            for passage in passages
            for number, sentence in enumerate(passage.sentences, 1)
        ]
        best = sorted((item for item in overlaps if item[0]), key=lambda item: -item[0])[:MAX_CHECKED_SENTENCES]
        for _, passage, number in best:
            yield (passage, number), self._support_check(claim, [(passage, number)])


def _replace(body: str, markers: Sequence[FoundMarker], replacements: Sequence[str]) -> str:
    """Return `body` with each citation replaced; the space before one that is removed goes with it."""
    text, end = "", 0
    for item, replacement in zip(markers, replacements, strict=True):
        text += body[end : item.match.start()]
        text = text + replacement if replacement else text.rstrip(" \t")
        end = item.match.end()
    return text + body[end:]


def _keep_unresolved(item: FoundMarker) -> str:
    """Return the text that replaces an unresolved citation, for the resolver to escape or remove; no other form."""
    return "" if item.kind == "placeholder" else item.match[0]


def _join_spaced_references(text: str) -> str:
    """Remove the spaces within `id . 2`."""
    return re.sub(r"[ \t]*([.:])[ \t]*(?=[0-9])", r"\1", text)


def _is_exact(marker: str, cited: CitedSentences) -> bool:
    """Return whether a marker has the ids as they are, not in capitals."""
    return any(passage.id in marker for passage, _ in cited)


def _format_markers(cited: CitedSentences) -> str:
    return "".join(f"[[{passage.id}.{number}]]" for passage, number in cited)
