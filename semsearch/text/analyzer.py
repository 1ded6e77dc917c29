"""Turns text into terms and word counts, the same way for documents, questions and answers.

Does not rank, store or know a language model. Everything here is linear in the length of the text, whatever it holds.
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
"""Stored with every index; any change to what `terms` returns raises it."""

MAX_TERM_CHARACTERS = 64
"""Characters of a term that count: a SHA-256 in hex still fits, a megabyte of base64 does not."""

# Scripts written without spaces between words, and Hangul, whose particles hang on to the words.
_SPACELESS_RANGES = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"  # Thai, Lao, Myanmar, Khmer
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff"  # Hangul
    "\u3005-\u3007\u3040-\u30ff\u3100-\u312f\u31f0-\u31ff\uff66-\uff9f"  # kana, bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
)


@cache
def _compile_spaceless_pattern() -> re.Pattern[str]:
    """One character of these scripts; compiled when it is first needed, because so many take some milliseconds."""
    return re.compile(f"[{_SPACELESS_RANGES}]")


@cache
def _compile_script_run_pattern() -> re.Pattern[str]:
    """Characters of these scripts that stand together, or of others."""
    return re.compile(f"([{_SPACELESS_RANGES}]+)|[^{_SPACELESS_RANGES}]+")


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
"""Of the commonest English words those that other Latin-script languages hardly use."""
_QUESTION_WORDS = frozenset(("what", "which", "who", "whom", "whose", "where", "when", "why", "how"))
"""A short text with one of these is an English question."""

_MAX_QUESTION_WORDS = 40
_MIN_QUERY_FUNCTION_WORD_SHARE = 0.15
MIN_CHUNK_FUNCTION_WORD_SHARE = 0.08
"""Of the terms of a chunk, which may be a table or a list; of other languages it is .02 at most."""
_SAMPLE_CHARACTERS = 4_000


_CACHE_SIZE = 65_536
"""Words whose terms are kept: some 12 MB."""


class _CharacterMap(dict[int, int]):
    """Translates what is no letter, number or mark into a space, and é into e; learns each character once.

    The categories are those that the full-text index keeps inside a token, so a term stays one token there. Only Latin
    letters lose an accent, and only a single one: names are asked for without it (measured: +.005 on squad2_a).
    """

    def __missing__(self, code: int) -> int:
        category = unicodedata.category(chr(code))
        kept = category[0] in "LNM" or category == "Co"
        self[code] = _strip_accent(code) if kept else ord(" ")
        return self[code]


def _strip_accent(code_point: int) -> int:
    parts = unicodedata.normalize("NFD", chr(code_point))
    return ord(parts[0]) if parts[0].isascii() and len(parts) == 2 else code_point


_CHARACTER_MAP = _CharacterMap()
_TEXT_SEPARATOR = "\0"
_SEPARATOR_KEEPING_MAP = _CharacterMap({ord(_TEXT_SEPARATOR): ord(_TEXT_SEPARATOR)})


def _normalize_words(text: str, character_map: _CharacterMap = _CHARACTER_MAP) -> list[str]:
    """White-space-free pieces of letters, numbers and marks, in one form for all spellings of a character."""
    if text.isascii():
        return text.lower().translate(character_map).split()
    # folding can undo the composition: U+01F0 folds to two characters
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return folded.translate(character_map).split()


_STEMMER_LOCK = threading.Lock()


@cache
def _load_stemmer() -> "Stemmer.Stemmer":
    import Stemmer

    return Stemmer.Stemmer("english", 0)


def _stem(word: str) -> str:
    with _STEMMER_LOCK:  # the stemmer keeps its state in itself
        return str(_load_stemmer().stemWord(word))


def _character_bigrams(run: str) -> Iterator[str]:
    return map("".join, pairwise(run)) if len(run) > 1 else iter(run)


def _is_latin(word: str) -> bool:
    return word < "\u0250" or "\u1e00" <= word < "\u1f00"


def _analyze_word(word: str) -> Iterator[str]:
    """Terms of one word that is not plain ASCII: pairs of characters where the script has no spaces."""
    for run in _compile_script_run_pattern().finditer(word):
        if run[1]:
            yield from _character_bigrams(run[1])
        elif _is_latin(run[0]):
            yield _stem(run[0][:MAX_TERM_CHARACTERS])
        else:
            yield run[0][:MAX_TERM_CHARACTERS]


class _StemCache(dict[str, str]):
    """The terms of each word that was met, joined by spaces; a cache that orders its entries takes twice the time."""

    def __missing__(self, word: str) -> str:
        found = _stem(word[:MAX_TERM_CHARACTERS]) if word.isascii() else " ".join(_analyze_word(word))
        if len(word) <= MAX_TERM_CHARACTERS:  # a longer one hardly comes again
            if len(self) >= _CACHE_SIZE:
                self.clear()
            self[word] = found
        return found


_STEM_CACHE = _StemCache()


def _join_terms(words: Iterable[str]) -> str:
    return " ".join(map(_STEM_CACHE.__getitem__, words))


def _analyze_words(words: Iterable[str]) -> list[str]:
    return _join_terms(words).split()


def analyze(text: str) -> list[str]:
    """Return the terms of `text` in order: folded, stemmed words; overlapping pairs in scripts without spaces.

    >>> terms("The Normans' CASTLES, 東京都")
    ['the', 'norman', 'castl', '東京', '京都']
    """
    return _analyze_words(_normalize_words(text))


def analyze_many(texts: Sequence[str]) -> list[str]:
    """Return the terms of each text, joined by spaces: of many short texts in half the time.

    >>> terms_of_each(["The Normans", "", "CASTLES, 東京都"])
    ['the norman', '', 'castl 東京 京都']
    """
    if any(_TEXT_SEPARATOR in text for text in texts):
        return [_join_terms(_normalize_words(text)) for text in texts]
    found = _join_terms(_normalize_words(f" {_TEXT_SEPARATOR} ".join(texts), _SEPARATOR_KEEPING_MAP))
    return [part.strip() for part in found.split(_TEXT_SEPARATOR)] if texts else []


def extract_query_terms(text: str) -> list[str]:
    """Return the terms of a question without English stop words, unless it has no other; repeated ones stay.

    >>> question_terms("Who built the castles?"), question_terms("To be or not to be")
    (['built', 'castl'], ['to', 'be', 'or', 'not', 'to', 'be'])
    """
    return extract_content_terms(text) or analyze(text)


def extract_content_terms(text: str) -> list[str]:
    """Return the terms of `text` without English stop words.

    >>> content_terms("Who built the castles?"), content_terms("To be or not to be")
    (['built', 'castl'], [])
    """
    return _analyze_words([word for word in _normalize_words(text) if word not in STOP_WORDS])


def character_trigrams(terms: Iterable[str]) -> list[str]:
    """Return the overlapping threes of characters of each term, with its edges marked; shorter terms stay.

    Inflected forms share most of theirs, in languages whose stems are not known here. Pairs of characters of a script
    without spaces stand for each of them too, so that one alone is found.

    >>> grams(["haus", "京都"])
    ['^ha', 'hau', 'aus', 'us$', '京都', '京', '都']
    """
    pieces: list[str] = []
    for term in terms:
        pieces.extend(_term_trigrams(term))
    return pieces


@lru_cache(8_192)
def _term_trigrams(term: str) -> tuple[str, ...]:
    if len(term) < 3:
        return (term, *term) if len(term) == 2 and not term.isascii() else (term,)
    edged = f"^{term}$"
    return tuple([edged[at : at + 3] for at in range(len(term))])


def is_english(terms: Sequence[str]) -> bool:
    """Whether terms of a text are those of English prose, judged by its commonest words."""
    return sum(map(FUNCTION_WORDS.__contains__, terms)) >= MIN_CHUNK_FUNCTION_WORD_SHARE * len(terms)


def count_words(text: str) -> int:
    """Return how many words `text` counts for: those between spaces, and one for two characters of scripts without.

    >>> words("three plain words"), words("東京都庁")
    (3, 2)
    """
    if text.isascii():
        return len(text.split())
    rest, characters = _compile_spaceless_pattern().subn(" ", text)
    return len(rest.split()) + (characters + 1) // 2


def detect_language(text: str) -> Language:
    """Return "en", "latin" for other or undecided text in Latin script, or "other", judged by its beginning.

    >>> language("Where is the house of the Normans?"), language("Wo ist das Haus?"), language("Где дом?")
    ('en', 'latin', 'other')
    """
    found = _normalize_words(text[:_SAMPLE_CHARACTERS])
    letters = len(found) - sum(map(str.isdecimal, found))
    others = 0
    if not text.isascii():
        others = sum(not (word.isascii() or word.isdecimal() or _is_latin(word)) for word in found)
    latin = letters - others
    if latin * 2 < letters:
        return "other"
    share = sum(map(FUNCTION_WORDS.__contains__, found)) / max(1, latin)
    asks = latin <= _MAX_QUESTION_WORDS and not _QUESTION_WORDS.isdisjoint(found)
    return "en" if asks or share >= _MIN_QUERY_FUNCTION_WORD_SHARE else "latin"
