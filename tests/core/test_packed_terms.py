"""Packed places and terms: the same sequences, and numbers in place of terms."""

from hypothesis import given
from hypothesis import strategies as st

from semsearch.core.types.packed_terms import PackedSpans, PackedTerms, hash_terms

_sentences = st.lists(st.lists(st.text("ab1é", min_size=1, max_size=3), max_size=6).map(tuple), max_size=6)


_places = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(_places, _places)))
def test_places_come_back(places: list[tuple[int, int]]) -> None:
    """Every place, in its order."""
    packed = PackedSpans(number for place in places for number in place)
    assert list(packed) == places
    assert len(packed) == len(places)
    assert [packed[at] for at in range(len(places))] == places
    assert packed[1:] == tuple(places[1:])


@given(_sentences)
def test_what_is_packed_comes_back(sentences: list[tuple[str, ...]]) -> None:
    """Every sentence, empty ones too, in its place."""
    packed = PackedTerms.pack(sentences)
    assert list(packed) == sentences
    assert len(packed) == len(sentences)
    assert packed[1:] == tuple(sentences[1:])


@given(_sentences)
def test_numbers_stand_for_terms(sentences: list[tuple[str, ...]]) -> None:
    """One for each term, in the order of the sentences, the same for equal terms only."""
    numbers, sizes = PackedTerms.pack(sentences).term_hashes
    terms = [term for sentence in sentences for term in sentence]
    assert sizes == list(map(len, sentences))
    assert len(numbers) == len(terms)
    assert numbers.tolist() == hash_terms(terms).tolist()
    assert len(set(zip(terms, numbers.tolist(), strict=True))) == len(set(terms)) == len(set(numbers.tolist()))


@given(_sentences, _sentences)
def test_sets_differ_by_no_less_than_their_bits(one: list[tuple[str, ...]], other: list[tuple[str, ...]]) -> None:
    """So that what differs by too many bits need not be compared."""
    (size, bits), (_, others) = PackedTerms.pack(one).term_signature, PackedTerms.pack(other).term_signature
    terms, their = ({term for sentence in sentences for term in sentence} for sentences in (one, other))
    assert size >= len(terms)
    assert (bits ^ others).bit_count() <= len(terms ^ their)
