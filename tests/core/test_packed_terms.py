"""Packed spans and terms behave like plain sequences; hashes and signatures stand for the terms."""

from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.packed_terms import PackedSpans, PackedTerms, hash_terms

_sentences = st.lists(st.lists(st.text("ab1é", min_size=1, max_size=3), max_size=6).map(tuple), max_size=6)
_offsets = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(_offsets, _offsets)))
def test_packed_spans_equal_their_input(spans: list[tuple[int, int]]) -> None:
    """Iteration, length, indexing and slicing work as for a list of spans."""
    packed = PackedSpans(offset for span in spans for offset in span)
    assert list(packed) == spans
    assert len(packed) == len(spans)
    assert [packed[index] for index in range(len(spans))] == spans
    assert packed[1:] == tuple(spans[1:])


@given(_sentences)
def test_packed_terms_equal_their_input(sentences: list[tuple[str, ...]]) -> None:
    """Empty sentences are kept."""
    packed = PackedTerms.pack(sentences)
    assert list(packed) == sentences
    assert len(packed) == len(sentences)
    assert packed[1:] == tuple(sentences[1:])


@given(_sentences)
def test_equal_terms_and_only_they_have_equal_hashes(sentences: list[tuple[str, ...]]) -> None:
    """There is one hash for each term, in the order of the sentences."""
    hashes, sizes = PackedTerms.pack(sentences).term_hashes
    terms = [term for sentence in sentences for term in sentence]
    assert sizes == list(map(len, sentences))
    assert len(hashes) == len(terms)
    assert hashes.tolist() == hash_terms(terms).tolist()
    assert len(set(zip(terms, hashes.tolist(), strict=True))) == len(set(terms)) == len(set(hashes.tolist()))


@given(_sentences, _sentences)
def test_sets_differ_in_at_least_as_many_terms_as_bits(
    left: list[tuple[str, ...]], right: list[tuple[str, ...]]
) -> None:
    """Sets whose signatures differ in too many bits need not be compared."""
    (left_count, left_bits), (_, right_bits) = (
        PackedTerms.pack(sentences).term_signature for sentences in (left, right)
    )
    left_terms, right_terms = ({term for sentence in sentences for term in sentence} for sentences in (left, right))
    assert left_count >= len(left_terms)
    assert (left_bits ^ right_bits).bit_count() <= len(left_terms ^ right_terms)
