"""Q14: written true paraphrases that the support check withholds, and false claims that it lets pass."""

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from semsearch import Library, read
from semsearch.answers.answerers.chat import ChatAnswerer
from semsearch.answers.judging import WITHHELD_VERDICTS
from semsearch.answers.passages import build_passages
from semsearch.answers.verification import SupportChecker
from semsearch.core.ports import ReadSnapshot
from semsearch.core.types.search import ScoredChunk, StoredChunk
from semsearch.search.filters import parse_filter
from semsearch.search.retrieval import analyze_query

from . import machine
from .claim_cases import COLLECTION_FOLDERS, HALVES, ClaimCase, find_evidence, has_data, read_cases
from .results import Bound, Figure, Result
from .scale import Scale

_BOUNDS = {True: Bound("<=", 0.08), False: Bound("<=", 0.03)}


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """A case and the verdict on it; no verdict if its evidence is not in the text read from the file."""

    case: ClaimCase
    verdict: str | None

    @property
    def is_wrong(self) -> bool:
        """Whether a true claim is withheld, or a false one shown."""
        return (self.verdict in WITHHELD_VERDICTS) == self.case.truth


def q14(scale: Scale) -> Result:
    """True paraphrases withheld and false claims shown by the support check, on written claims (1 minute)"""
    if not has_data(scale.data):
        notes = [f"needs the folders {', '.join(COLLECTION_FOLDERS.values())}"]
        return Result("Q14", _TITLE, machine.describe_machine(), [], notes, short=scale.short)
    cases = {half: read_cases(half, scale.limit) for half in HALVES}
    verdicts = check_claims(scale.data, [case for half_cases in cases.values() for case in half_cases])
    checked = {
        half: [CheckedClaim(case, verdicts[case.id]) for case in half_cases] for half, half_cases in cases.items()
    }
    figures = [
        Figure(f"{_NAMES[truth]}, {half} half", "", _compute_share(claims, truth), bound=_BOUNDS[truth])
        for half, claims in checked.items()
        for truth in (True, False)
    ]
    return Result("Q14", _TITLE, machine.describe_machine(), figures, list(_make_notes(checked)), short=scale.short)


_TITLE = "Support check on written claims"
_NAMES = {True: "true claims withheld", False: "false claims shown"}


def check_claims(data: Path, cases: Sequence[ClaimCase]) -> dict[str, str | None]:
    """Return the verdicts by id of the case; a claim cites the sentences of its evidence."""
    verdicts: dict[str, str | None] = {}
    with tempfile.TemporaryDirectory() as folder, Library(folder) as library:
        for name, subfolder in COLLECTION_FOLDERS.items():
            collection = library.create(name)
            root = data / subfolder
            collection.ingest(read(root))  # a file without text fails; its cases would be reported as not found
            with collection.backends.store.snapshot() as snapshot:
                for case in cases:
                    if case.collection == name:
                        verdicts[case.id] = _check_claim(snapshot, f"{root.name}/{case.uri}", case, data)
    return verdicts


def _check_claim(snapshot: ReadSnapshot, uri: str, case: ClaimCase, data: Path) -> str | None:
    """Return the verdict on a claim that cites the sentences of its evidence; None if one of these is not found."""
    text = case.read_file(data)
    filter = parse_filter({"uri": uri})
    assert filter is not None
    chunks = snapshot.load([int(chunk_id) for chunk_id in snapshot.matching_ids(filter)])
    spans = sorted({(chunk.start + start, chunk.start + end) for chunk in chunks for start, end in chunk.sentences})
    sentences = [_get_text(span, chunks) for span in spans]
    evidence_indices = [find_evidence(text[start:end], sentences) for start, end in case.evidence]
    if not all(evidence_indices):
        return None
    cited_spans = {spans[index] for indices in evidence_indices for index in indices}
    passages = build_passages(snapshot, _rank_evidence(chunks, cited_spans), ChatAnswerer.neighbour_chunks)
    cited = [
        (passage, number)
        for passage in passages
        for number, sentence in enumerate(passage.sentences, 1)
        if (sentence.start, sentence.end) in cited_spans
    ]
    return SupportChecker(analyze_query(snapshot, case.question), passages)(case.claim, cited)


def _get_text(span: tuple[int, int], chunks: Sequence[StoredChunk]) -> str:
    start, end = span
    chunk = next(chunk for chunk in chunks if chunk.start <= start and end <= chunk.end)
    return chunk.text[start - chunk.start : end - chunk.start]


def _rank_evidence(chunks: Sequence[StoredChunk], cited_spans: Set[tuple[int, int]]) -> list[ScoredChunk]:
    """Return the chunks that hold a cited sentence, those with most first, as if a search had found them."""
    counts = [
        sum((chunk.start + start, chunk.start + end) in cited_spans for start, end in chunk.sentences)
        for chunk in chunks
    ]
    ranked = sorted(zip(chunks, counts, strict=True), key=lambda pair: -pair[1])
    return [(chunk, float(count)) for chunk, count in ranked if count]


def _compute_share(claims: Iterable[CheckedClaim], truth: bool) -> float:
    return statistics.mean(claim.is_wrong for claim in claims if claim.verdict and claim.case.truth == truth)


def _make_notes(checked: Mapping[str, Sequence[CheckedClaim]]) -> Iterator[str]:
    for half, claims in checked.items():
        for truth, name in _NAMES.items():
            yield f"{half} half, {name}: {_format_kinds([claim for claim in claims if claim.case.truth == truth])}"
    if missing := [claim.case.id for claims in checked.values() for claim in claims if claim.verdict is None]:
        yield f"not counted, as their evidence is not in the text read from the file: {', '.join(missing)}"
    yield (
        "a claim cites the sentences that prove or refute it, and is checked as one of a chat model's answer to the"
        " question; the rules may be changed by what the development half shows, never by the test half"
    )


def _format_kinds(claims: Sequence[CheckedClaim]) -> str:
    """Return the wrong and all claims by kind, the kind with most wrong ones first: `number 1/12, name 0/5`."""
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for claim in claims:
        if claim.verdict:
            by_kind[claim.case.kind].append(claim.is_wrong)
    ordered = sorted(by_kind.items(), key=lambda item: (-sum(item[1]), item[0]))
    return ", ".join(f"{kind} {sum(wrong)}/{len(wrong)}" for kind, wrong in ordered)
