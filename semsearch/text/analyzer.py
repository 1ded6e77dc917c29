"""Analyse text into terms, with one analyzer for documents, queries and answers; count words and detect languages.

Does not rank or store. Every function takes time linear in the length of the text, for any text.
"""

import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from ..core.types.search import Language

if TYPE_CHECKING:
    import Stemmer


ANALYZER_VERSION = "1"
"""Stored with every index; must be raised with any change to the results of `analyze`."""

MAX_TERM_CHARACTERS = 64
"""Longer words are cut: a SHA-256 in hexadecimal still fits, a megabyte of base64 does not."""

# Scripts written without spaces between words, and Hangul, whose particles are attached to the words.
SPACELESS_RANGES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"  # Thai, Lao, Myanmar, Khmer
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff"  # Hangul
    "\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31f0-\u31ff\uff66-\uff9f"  # kana, bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
)


@cache
def _compile_spaceless_pattern() -> re.Pattern[str]:
    """Match one character of these scripts; compiled at first use, because this takes some milliseconds."""
    return re.compile(f"[{SPACELESS_RANGES}]")


@cache
def _compile_script_run_pattern() -> re.Pattern[str]:
    """Match a run of characters of these scripts, as group 1, or a run of other characters."""
    return re.compile(f"([{SPACELESS_RANGES}]+)|[^{SPACELESS_RANGES}]+")


def _to_word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


STOP_WORDS = _to_word_set(
    """
    a about above after again against all also am among an and any are as at be because been before being below
    between both but by can could did do does doing down during each either else ever few for from further get give
    given had has have having he her here hers herself him himself his how i if in into is it its itself just let
    many me might more most much must my myself neither no nor not of off on once one only or other ought our ours
    ourselves out over own please same shall she should since so some such than that the their theirs them
    themselves then there these they this those through thus to too under until up upon very was we were what
    whatever when where whether which while who whom whose why will with within without would you your yours
    yourself yourselves d ll m re s t ve
    """
)
FUNCTION_WORDS = _to_word_set(
    "and are as at be been by can do does for from has have he how if into is it its not of on or she that the their"
    " there these they this to was were what when where which who will with would you your"
)
"""The most common English words that other languages in Latin script hardly use."""
_QUESTION_WORDS = frozenset(("what", "which", "who", "whom", "whose", "where", "when", "why", "how"))
"""A short text with one of these words is an English question."""

_MAX_QUESTION_WORDS = 40
_MIN_QUERY_FUNCTION_WORD_SHARE = 0.15
"""Minimum share of function words in an English text."""
MIN_CHUNK_FUNCTION_WORD_SHARE = 0.08
"""Minimum share of function words in an English chunk, which may be a table or a list; other languages reach .02."""
_SAMPLE_CHARACTERS = 4_000
_CACHED_SAMPLES = 64
"""Texts whose language is cached: each step of a search or an answer asks for that of the question."""

_CACHE_SIZE = 65_536
"""Words whose terms are cached: about 12 MB."""


class _CharacterMap(dict[int, int]):
    """Maps every character but letters, numbers and marks to a space, and é to e; caches each character.

    The categories are those that the full-text index keeps inside a token, so that a term stays one token there. Only
    Latin letters lose an accent, and only a single one: users omit it in names (measured: +.005 on squad2_a).
    """

    def __missing__(self, code: int) -> int:
        category = unicodedata.category(chr(code))
        is_word_character = category[0] in "LNM" or category == "Co"
        self[code] = _strip_accent(code) if is_word_character else ord(" ")
        return self[code]


def _strip_accent(code_point: int) -> int:
    parts = unicodedata.normalize("NFD", chr(code_point))
    return ord(parts[0]) if parts[0].isascii() and len(parts) == 2 else code_point


_CHARACTER_MAP = _CharacterMap()
_TEXT_SEPARATOR = "\0"
_SEPARATOR_KEEPING_MAP = _CharacterMap({ord(_TEXT_SEPARATOR): ord(_TEXT_SEPARATOR)})


def normalize_words(text: str, character_map: _CharacterMap = _CHARACTER_MAP) -> list[str]:
    """Return the words of `text`: runs of letters, numbers and marks, case-folded and in NFC."""
    if text.isascii():
        return text.lower().translate(character_map).split()
    # case folding can decompose a character: U+01F0 folds to two
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return folded.translate(character_map).split()


_STEMMER_LOCK = threading.Lock()


@cache
def _load_stemmer() -> "Stemmer.Stemmer":
    import Stemmer

    return Stemmer.Stemmer("english", 0)


def _stem(word: str) -> str:
    with _STEMMER_LOCK:  # the stemmer is not thread-safe
        return str(_load_stemmer().stemWord(word))


def _character_bigrams(run: str) -> Iterator[str]:
    return map("".join, pairwise(run)) if len(run) > 1 else iter(run)


def _is_latin(word: str) -> bool:
    return word < "\u0250" or "\u1e00" <= word < "\u1f00"


def _analyze_word(word: str) -> Iterator[str]:
    """Yield the terms of a word that is not ASCII: character bigrams where the script has no spaces."""
    for run in _compile_script_run_pattern().finditer(word):
        if run[1]:
            yield from _character_bigrams(run[1])
        elif _is_latin(run[0]):
            yield _stem(run[0][:MAX_TERM_CHARACTERS])
        else:
            yield run[0][:MAX_TERM_CHARACTERS]


class _StemCache(dict[str, str]):
    """Cache of the terms of words, joined by spaces, emptied when full: an LRU cache takes twice the time."""

    def __missing__(self, word: str) -> str:
        terms = _stem(word[:MAX_TERM_CHARACTERS]) if word.isascii() else " ".join(_analyze_word(word))
        if len(word) <= MAX_TERM_CHARACTERS:  # longer words hardly repeat
            if len(self) >= _CACHE_SIZE:
                self.clear()
            self[word] = terms
        return terms


_STEM_CACHE = _StemCache()


def _join_terms(words: Iterable[str]) -> str:
    return " ".join(map(_STEM_CACHE.__getitem__, words))


def analyze_words(words: Iterable[str]) -> list[str]:
    """Return the terms of words that `normalize_words` returned."""
    return _join_terms(words).split()


def analyze(text: str) -> list[str]:
    """Return the terms of `text` in order: folded, stemmed words; overlapping bigrams in scripts without spaces.

    >>> analyze("The Normans' CASTLES, 東京都")
    ['the', 'norman', 'castl', '東京', '京都']
    """
    return analyze_words(normalize_words(text))


def analyze_many(texts: Sequence[str]) -> list[str]:
    """Return the terms of each text, joined by spaces; takes half the time of `analyze` for many short texts.

    >>> analyze_many(["The Normans", "", "CASTLES, 東京都"])
    ['the norman', '', 'castl 東京 京都']
    """
    if any(_TEXT_SEPARATOR in text for text in texts):
        return [_join_terms(normalize_words(text)) for text in texts]
    terms = _join_terms(normalize_words(f" {_TEXT_SEPARATOR} ".join(texts), _SEPARATOR_KEEPING_MAP))
    return [part.strip() for part in terms.split(_TEXT_SEPARATOR)] if texts else []


def extract_query_terms(text: str) -> list[str]:
    """Return the terms of a query without English stop words, or all if it has no other; repeated terms stay.

    >>> extract_query_terms("Who built the castles?"), extract_query_terms("To be or not to be")
    (['built', 'castl'], ['to', 'be', 'or', 'not', 'to', 'be'])
    """
    return extract_content_terms(text) or analyze(text)


def extract_content_terms(text: str) -> list[str]:
    """Return the terms of `text` without English stop words.

    >>> extract_content_terms("Who built the castles?"), extract_content_terms("To be or not to be")
    (['built', 'castl'], [])
    """
    return analyze_words([word for word in normalize_words(text) if word not in STOP_WORDS])


def character_trigrams(terms: Iterable[str]) -> list[str]:
    """Return the character trigrams of each term, with its ends marked; shorter terms stay as they are.

    Inflected forms share most trigrams, which helps in languages without a stemmer here. A bigram of a script without
    spaces also gives its two characters, so that a query of one character matches.

    >>> character_trigrams(["haus", "京都"])
    ['^ha', 'hau', 'aus', 'us$', '京都', '京', '都']
    """
    trigrams: list[str] = []
    for term in terms:
        trigrams.extend(_term_trigrams(term))
    return trigrams


@lru_cache(8_192)
def _term_trigrams(term: str) -> tuple[str, ...]:
    if len(term) < 3:
        return (term, *term) if len(term) == 2 and not term.isascii() else (term,)
    marked = f"^{term}$"
    return tuple([marked[start : start + 3] for start in range(len(term))])


def count_words(text: str) -> int:
    """Return the number of words in `text`; in scripts without spaces two characters count as one word.

    >>> count_words("three plain words"), count_words("東京都庁")
    (3, 2)
    """
    if text.isascii():
        return len(text.split())
    spaced_text, characters = _compile_spaceless_pattern().subn(" ", text)
    return len(spaced_text.split()) + (characters + 1) // 2


def detect_language(text: str) -> Language:
    """Return "en", "latin" for other or undecided text in Latin script, or "other", judged by the start of the text.

    >>> [detect_language(text) for text in ("Where is the castle of the Normans?", "Wo ist das Haus?", "Где дом?")]
    ['en', 'latin', 'other']
    """
    return _detect_language(text[:_SAMPLE_CHARACTERS])


@lru_cache(_CACHED_SAMPLES)
def _detect_language(text: str) -> Language:
    words = normalize_words(text)
    word_count = len(words) - sum(map(str.isdecimal, words))
    non_latin_count = 0
    if not text.isascii():
        non_latin_count = sum(not (word.isascii() or word.isdecimal() or _is_latin(word)) for word in words)
    latin_count = word_count - non_latin_count
    if latin_count * 2 < word_count:
        return "other"
    function_word_share = sum(map(FUNCTION_WORDS.__contains__, words)) / max(1, latin_count)
    is_question = latin_count <= _MAX_QUESTION_WORDS and not _QUESTION_WORDS.isdisjoint(words)
    return "en" if is_question or function_word_share >= _MIN_QUERY_FUNCTION_WORD_SHARE else "latin"
