"""The analyzer: terms, word counts and languages, for the index, the chunker and the verification."""

import sqlite3
import threading
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strange_texts import ANY_TEXT, HOSTILE_PIECES, PUNCTUATION_TEXT, is_linear_time

from semsearch.text.analyzer import (
    MAX_TERM_CHARACTERS,
    analyze,
    analyze_many,
    count_words,
    detect_language,
    extract_query_terms,
)


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    """A full-text table of SQLite with a tokenizer of the same categories."""
    database = sqlite3.connect(":memory:")
    database.execute(
        "CREATE VIRTUAL TABLE word USING"
        " fts5(body, tokenize = \"unicode61 remove_diacritics 0 categories 'L* N* Co M*'\")"
    )
    database.execute("CREATE VIRTUAL TABLE token USING fts5vocab(word, instance)")
    yield database
    database.close()


def test_terms_are_folded_and_stemmed() -> None:
    """Words that differ only in case, inflection or punctuation have the same term."""
    assert analyze("The Normans' CASTLES, (castle)") == ["the", "norman", "castl", "castl"]


def test_latin_letter_loses_a_single_accent() -> None:
    """Letters with two accents, as in Vietnamese, and letters of other scripts keep them."""
    assert analyze("Besançon Møller Škoda") == ["besancon", "møller", "skoda"]
    assert analyze("việt ё") == ["việt", "ё"]


def test_composed_and_decomposed_spellings_are_one_term() -> None:
    """The same word in NFC and NFD has the same terms."""
    assert analyze(unicodedata.normalize("NFD", "Straße café Việt")) == analyze("Straße café Việt")


@pytest.mark.parametrize("word", ["हिन्दी", "शिक्षा", "தமிழ்", "العَرَبِيَّة"])
def test_combining_marks_stay_inside_their_word(word: str) -> None:
    """A vowel sign or a virama does not split a word."""
    assert analyze(word) == [unicodedata.normalize("NFC", word)]


def test_scripts_without_spaces_give_overlapping_bigrams() -> None:
    """Han, kana, Hangul and Thai are indexed by character bigrams; a single character stays."""
    assert analyze("東京都 本 abc漢字") == ["東京", "京都", "本", "abc", "漢字"]
    assert analyze("ไทย") == ["ไท", "ทย"]
    assert analyze("한국어") == ["한국", "국어"]


def test_length_of_terms_is_bounded() -> None:
    """A longer word is cut."""
    assert [len(term) for term in analyze("x" * 1000 + " é" + "y" * 1000)] == [MAX_TERM_CHARACTERS, MAX_TERM_CHARACTERS]


@given(ANY_TEXT)
def test_tokenizer_keeps_every_term_as_one_token(index: sqlite3.Connection, text: str) -> None:
    """The full-text tokenizer returns terms joined by spaces unchanged, and a query for each matches its row."""
    terms = analyze(text)
    with index:
        index.execute("INSERT INTO word(rowid, body) VALUES (1, ?)", (" ".join(terms),))
        tokens = [term for (term,) in index.execute("SELECT term FROM token ORDER BY offset")]
        unmatched_terms = [
            term
            for term in terms
            if not index.execute("SELECT 1 FROM word WHERE word MATCH ?", (f'"{term}"',)).fetchall()
        ]
        index.execute("DELETE FROM word")
    assert tokens == terms
    assert unmatched_terms == []


@pytest.mark.slow
def test_tokenizer_keeps_every_character(index: sqlite3.Connection) -> None:
    """The full-text tokenizer splits or changes no term, for any character of Unicode."""
    texts = [
        " ".join(analyze(" ".join(f"q{chr(code)}q" for code in range(start, start + 4096))))
        for start in range(0, 0x32000, 4096)
    ]
    with index:
        index.executemany("INSERT INTO word(rowid, body) VALUES (?, ?)", enumerate(texts))
        rows = index.execute("SELECT doc, term FROM token ORDER BY doc, offset").fetchall()
        index.execute("DELETE FROM word")
    tokens = {row: " ".join(term for _, term in group) for row, group in groupby(rows, key=itemgetter(0))}
    assert [tokens[row] for row in range(len(texts))] == texts


def test_query_loses_its_stop_words() -> None:
    """A repeated term stays repeated."""
    assert extract_query_terms("Where are the castles of the castle?") == ["castl", "castl"]


def test_query_of_stop_words_keeps_them() -> None:
    """Removing stop words never leaves a query empty."""
    assert extract_query_terms("To be or not to be") == ["to", "be", "or", "not", "to", "be"]
    assert extract_query_terms("?!") == []


@given(ANY_TEXT)
def test_query_terms_are_document_terms(text: str) -> None:
    """Queries are analysed like documents."""
    assert set(extract_query_terms(text)) <= set(analyze(text))


def test_analysis_is_thread_safe() -> None:
    """Concurrent threads get the same terms as one thread."""
    text = " ".join(f"running{n} nationalities{n % 7} castles" for n in range(3000))
    expected, results = analyze(text), []
    threads = [threading.Thread(target=lambda: results.append(analyze(text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


@given(st.lists(PUNCTUATION_TEXT | ANY_TEXT))
def test_analyze_many_equals_analyze(texts: list[str]) -> None:
    """Texts that are analysed together do not change each other's terms."""
    assert analyze_many(texts) == [" ".join(analyze(text)) for text in texts]


def test_two_characters_of_scripts_without_spaces_count_as_a_word() -> None:
    """Two characters of Han or Thai count as one English word."""
    assert count_words("three plain words") == 3
    assert count_words("東京都庁") == 2
    assert count_words("see 東京 now") == 3
    assert count_words(" \n") == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The boundary layer is the part of the flow that is close to the wall.", "en"),
        ("Die Grenzschicht ist der Bereich einer Strömung, der an die Wand grenzt.", "latin"),
        ("La capa límite es la zona de un fluido en la que el movimiento es perturbado por la pared.", "latin"),
        ("Warstwa przyścienna to obszar przepływu, na który ma wpływ lepkość i tarcie o ścianę.", "latin"),
        ("Lớp biên là lớp chất lỏng ở gần bề mặt, nơi ảnh hưởng của độ nhớt là đáng kể.", "latin"),
        (
            "De grenslaag is het gebied van een stroming dat dicht bij de wand is en waar de wrijving van belang was.",
            "latin",
        ),
        ("Пограничный слой у стенки", "other"),
        ("境界層とは何か", "other"),
        ("parental leave", "latin"),
        ("12 34", "latin"),
    ],
)
def test_language_is_detected_by_script_and_function_words(text: str, expected: str) -> None:
    """English, other languages in Latin script and other scripts are distinguished without a model."""
    assert detect_language(text) == expected


@pytest.mark.slow
@pytest.mark.parametrize("after", ["", "x"])
@pytest.mark.parametrize("piece", HOSTILE_PIECES)
def test_analysis_time_is_linear(piece: str, after: str) -> None:
    """No hostile text takes longer than linear time."""
    assert is_linear_time(lambda text: (analyze(text), count_words(text), detect_language(text)), piece, after)
