"""What the one analyser promises to the index, the chunker and the checker."""

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
    """A full-text table with the tokenizer that stored terms go through."""
    database = sqlite3.connect(":memory:")
    database.execute(
        "CREATE VIRTUAL TABLE word USING"
        " fts5(body, tokenize = \"unicode61 remove_diacritics 0 categories 'L* N* Co M*'\")"
    )
    database.execute("CREATE VIRTUAL TABLE token USING fts5vocab(word, instance)")
    yield database
    database.close()


def test_terms_are_folded_and_stemmed() -> None:
    """Case, inflection and punctuation do not tell words apart."""
    assert analyze("The Normans' CASTLES, (castle)") == ["the", "norman", "castl", "castl"]


def test_a_latin_letter_loses_a_single_accent() -> None:
    """A name is found without its accent; letters with two, as in Vietnamese, and other scripts keep theirs."""
    assert analyze("Besançon Møller Škoda") == ["besancon", "møller", "skoda"]
    assert analyze("việt ё") == ["việt", "ё"]


def test_composed_and_decomposed_spellings_are_one_term() -> None:
    """The same word in NFC and NFD has the same terms."""
    assert analyze(unicodedata.normalize("NFD", "Straße café Việt")) == analyze("Straße café Việt")


@pytest.mark.parametrize("word", ["हिन्दी", "शिक्षा", "தமிழ்", "العَرَبِيَّة"])
def test_combining_marks_stay_inside_their_word(word: str) -> None:
    """A vowel sign or a virama does not cut a word in two."""
    assert analyze(word) == [unicodedata.normalize("NFC", word)]


def test_scripts_without_spaces_give_overlapping_pairs() -> None:
    """Han, kana, Hangul and Thai are indexed by pairs of characters; one alone stays."""
    assert analyze("東京都 本 abc漢字") == ["東京", "京都", "本", "abc", "漢字"]
    assert analyze("ไทย") == ["ไท", "ทย"]
    assert analyze("한국어") == ["한국", "국어"]


def test_a_term_is_at_most_so_long() -> None:
    """A word without end counts by its beginning."""
    assert [len(term) for term in analyze("x" * 1000 + " é" + "y" * 1000)] == [MAX_TERM_CHARACTERS, MAX_TERM_CHARACTERS]


@given(ANY_TEXT)
def test_the_index_keeps_every_term_as_one_token(index: sqlite3.Connection, text: str) -> None:
    """Terms joined by spaces come out of the full-text tokenizer as they went in, and each finds its row."""
    found = analyze(text)
    with index:
        index.execute("INSERT INTO word(rowid, body) VALUES (1, ?)", (" ".join(found),))
        tokens = [term for (term,) in index.execute("SELECT term FROM token ORDER BY offset")]
        missed = [
            term
            for term in found
            if not index.execute("SELECT 1 FROM word WHERE word MATCH ?", (f'"{term}"',)).fetchall()
        ]
        index.execute("DELETE FROM word")
    assert tokens == found
    assert missed == []


@pytest.mark.slow
def test_the_index_keeps_every_character(index: sqlite3.Connection) -> None:
    """No character of Unicode makes a term that the full-text tokenizer cuts or changes."""
    texts = [
        " ".join(analyze(" ".join(f"q{chr(code)}q" for code in range(at, at + 4096)))) for at in range(0, 0x32000, 4096)
    ]
    with index:
        index.executemany("INSERT INTO word(rowid, body) VALUES (?, ?)", enumerate(texts))
        rows = index.execute("SELECT doc, term FROM token ORDER BY doc, offset").fetchall()
        index.execute("DELETE FROM word")
    tokens = {row: " ".join(term for _, term in group) for row, group in groupby(rows, key=itemgetter(0))}
    assert [tokens[row] for row in range(len(texts))] == texts


def test_a_question_loses_its_stop_words() -> None:
    """What every question has does not rank; what is said twice counts twice."""
    assert extract_query_terms("Where are the castles of the castle?") == ["castl", "castl"]


def test_a_question_of_stop_words_keeps_them() -> None:
    """A question never ends up empty because of the stop words."""
    assert extract_query_terms("To be or not to be") == ["to", "be", "or", "not", "to", "be"]
    assert extract_query_terms("?!") == []


@given(ANY_TEXT)
def test_question_terms_are_terms(text: str) -> None:
    """A question is analysed like the documents it searches."""
    assert set(extract_query_terms(text)) <= set(analyze(text))


def test_threads_stem_alike() -> None:
    """Many threads at once get the terms that one gets."""
    text = " ".join(f"running{n} nationalities{n % 7} castles" for n in range(3000))
    expected, found = analyze(text), []
    threads = [threading.Thread(target=lambda: found.append(analyze(text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


@given(st.lists(PUNCTUATION_TEXT | ANY_TEXT))
def test_many_texts_have_the_terms_of_each(texts: list[str]) -> None:
    """Analysed together, no text changes the terms of another."""
    assert analyze_many(texts) == [" ".join(analyze(text)) for text in texts]


def test_words_of_scripts_without_spaces_count_half_a_character() -> None:
    """Two characters of Han or Thai weigh as much as one English word."""
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
def test_language_is_told_by_script_and_function_words(text: str, expected: str) -> None:
    """English, other Latin-script text and the rest are told apart without a model."""
    assert detect_language(text) == expected


@pytest.mark.slow
@pytest.mark.parametrize("after", ["", "x"])
@pytest.mark.parametrize("piece", HOSTILE_PIECES)
def test_time_grows_with_length_only(piece: str, after: str) -> None:
    """No text is slow to analyse."""
    assert is_linear_time(lambda text: (analyze(text), count_words(text), detect_language(text)), piece, after)
