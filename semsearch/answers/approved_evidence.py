"""Check the evidence of approved answers against the documents: quotes that stand are moved, others make it stale."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ..core.errors import ConflictError, LockedError, NotFoundError, StorageError
from ..core.ports import ApprovedAnswers, Store
from ..core.types.answers import Citation
from ..core.types.approvals import ApprovedAnswer
from ..core.types.documents import Document
from ..core.types.evidence import BrokenAnswer, LostQuote, QuotedWords
from ..core.types.filters import Filter
from ..text.quotes import DocumentWords

_log = logging.getLogger("semsearch.answers")


@dataclass(frozen=True, slots=True)
class CurrentText:
    """The text of a document now, and the hash of its content."""

    text: str
    sha256: str


ReadText = Callable[[str], CurrentText | None]
"""Return the text of a document by its uri; None if there is none."""


def check_evidence(approved: ApprovedAnswer, read_text: ReadText) -> ApprovedAnswer:
    """Return the approved answer with its citations where their quotes stand now, and with those that are lost."""
    texts = {uri: read_text(uri) for uri in {citation.uri for citation in approved.citations}}
    words_by_uri = dict[str, DocumentWords]()
    citations, quoted_words, lost = list[Citation](), list[QuotedWords](), list[LostQuote]()
    for citation, quoted in zip(approved.citations, approved.quoted_words, strict=True):
        current = texts[citation.uri]
        if current is not None and citation.uri not in words_by_uri and not _is_unchanged(citation, current):
            words_by_uri[citation.uri] = DocumentWords(current.text)
        result = _check_quote(citation, quoted, current, words_by_uri.get(citation.uri))
        if isinstance(result, LostQuote):
            lost.append(result)
            result = citation, quoted
        citations.append(result[0])
        quoted_words.append(result[1])
    return replace(approved, citations=tuple(citations), quoted_words=tuple(quoted_words), lost=tuple(lost))


def _is_unchanged(citation: Citation, current: CurrentText) -> bool:
    return citation.content_sha256 == current.sha256 and current.text[citation.start : citation.end] == citation.quote


def _check_quote(
    citation: Citation, quoted: QuotedWords, current: CurrentText | None, words: DocumentWords | None
) -> tuple[Citation, QuotedWords] | LostQuote:
    """Return citation and words where the quote stands, or the lost quote; `words` is None in an unchanged document."""
    if current is None:
        return LostQuote(citation.uri, citation.quote, "gone")
    if words is None:
        return citation, quoted
    span = words.locate(quoted, citation.quote)
    if span is None:
        return LostQuote(citation.uri, citation.quote, "edited", words.find_lost_words(quoted))
    start, end = span
    quote = current.text[start:end]
    moved = replace(citation, start=start, end=end, quote=quote, content_sha256=current.sha256)
    return moved, words.read_quote(start, end)


@dataclass(frozen=True, slots=True)
class ApprovedEvidence:
    """The approved answers of one collection, and its documents."""

    approvals: ApprovedAnswers
    store: Store
    collection: str

    def read_text(self, uri: str, filter: Filter | None = None) -> CurrentText | None:
        """Return the stored text of a document that passes the filter; None if there is none."""
        document = self.store.document(uri, filter)
        return None if document is None else CurrentText(document.text, document.content_sha256)

    def check_all(self) -> list[ApprovedAnswer]:
        """Check all approved answers, and store what has changed."""
        return self._check(self.approvals.list_approved(self.collection))

    def check_documents(self, uris: Sequence[str]) -> None:
        """Check the approved answers that cite documents which were just written. A failure is logged only.

        An answer is checked again before it is returned, so nothing wrong is returned meanwhile.
        """
        try:
            self._check(self.approvals.find_approved_citing(self.collection, uris))
        except (StorageError, LockedError, ConflictError, NotFoundError) as exc:
            _log.warning("approved answers of %s were not checked; run verify-answers: %s", self.collection, exc)

    def _check(self, approved_answers: Iterable[ApprovedAnswer]) -> list[ApprovedAnswer]:
        pairs = [(approved, check_evidence(approved, self.read_text)) for approved in approved_answers]
        self.approvals.update_approved([checked for approved, checked in pairs if checked != approved])
        return [checked for _, checked in pairs]


@dataclass(frozen=True, slots=True)
class BreakagePreview:
    """Reports which approved answers changes would break, before they are made."""

    evidence: ApprovedEvidence
    broken: list[BrokenAnswer]
    """The answers that were intact before these changes."""
    _lost: dict[str, tuple[ApprovedAnswer, list[LostQuote]]] = field(default_factory=dict)

    def replace_documents(self, documents: Sequence[Document]) -> None:
        """Report what new versions of these documents break."""
        by_uri = {document.uri: document for document in documents}
        self._preview_safely(list(by_uri), lambda uri: CurrentText(by_uri[uri].text, by_uri[uri].sha256))

    def remove_documents(self, uris: Sequence[str]) -> None:
        """Report what the removal of these documents breaks."""
        self._preview_safely(uris, lambda uri: None)

    def _preview_safely(self, uris: Sequence[str], read_text: ReadText) -> None:
        """Preview the changes; a failure is logged only, because the documents do not depend on the ledger."""
        try:
            self._preview(uris, read_text)
        except (StorageError, LockedError, ConflictError) as exc:
            _log.warning("approved answers of %s were not checked: %s", self.evidence.collection, exc)

    def _preview(self, uris: Sequence[str], read_text: ReadText) -> None:
        evidence = self.evidence
        for approved in evidence.approvals.find_approved_citing(evidence.collection, uris):
            if approved.is_stale and approved.id not in self._lost:
                continue
            parts = [
                (citation, quoted)
                for citation, quoted in zip(approved.citations, approved.quoted_words, strict=True)
                if citation.uri in uris
            ]
            part = replace(
                approved, citations=tuple(one for one, _ in parts), quoted_words=tuple(words for _, words in parts)
            )
            if lost := check_evidence(part, read_text).lost:
                self._lost.setdefault(approved.id, (approved, []))[1].extend(lost)
        self.broken[:] = [replace(approved, lost=tuple(lost)).as_broken() for approved, lost in self._lost.values()]
