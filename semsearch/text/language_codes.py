"""Guess which of some languages a short text is in, by its script and its function words."""

import re
from collections.abc import Iterable

from .analyzer import detect_language, normalize_words

_FUNCTION_WORDS = {
    "en": "the a an of is are was were do does did can could how what who whom which when where why i you we they it he"
    " she my your our their me not with from to on for and or in at by be been will would there this that have has if",
    "de": "der die das den dem ein eine einen ist sind war wie was wer wo wann warum welche welcher welches kann ich"
    " sie wir ihr mir mich nicht mit von zu auf für und oder es bei nach habe hat wird werden im am zum zur",
    "fr": "le la les un une des du de est sont comment quel quelle quels quelles qui que quoi où quand pourquoi combien"
    " je vous nous il elle ne pas pour avec dans sur et ou mon ma mes au aux puis-je peux ce cette",
    "es": "el la los las un una de del es son cómo qué quién cuál cuándo dónde cuánto cuánta cuántos puedo yo usted"
    " no para con en sobre y o mi mis al se por que está hay tengo",
    "it": "il lo la gli le un una di del della è sono come che chi quale quando dove quanto quanti posso io non per con"
    " in su e o mio mia al si perché cosa ho questo",
    "pt": "o a os as um uma de do da é são como que quem qual quando onde quanto quantos posso eu você não para com em"
    " sobre e ou meu minha ao se por está tenho",
    "nl": "de het een is zijn hoe wat wie waar wanneer waarom welke kan ik je u wij niet met van op voor en of er bij"
    " naar heb heeft wordt mijn dit dat te",
    "sv": "en ett är var hur vad vem när varför vilken kan jag du ni vi inte med av på för och eller det den till från"
    " har min mitt att som i",
    "da": "en et er var hvordan hvad hvem hvornår hvorfor hvilken kan jeg du i vi ikke med af på for og eller det den"
    " til fra har min mit at som",
    "pl": "jest są jak co kto gdzie kiedy dlaczego który która które czy mogę ja nie z na do w i lub to dla po mój moje"
    " się ile mam od za",
    "cs": "je jsou jak co kdo kde kdy proč který která které mohu já ne s na do v a nebo to pro po můj moje se kolik"
    " mám od za",
    "tr": "bir bu ve ile için nasıl ne kim nerede neden hangi mi mı mu mü var yok ben benim kaç olarak da de çok",
    "fi": "on ovat miten mitä mikä kuka missä milloin miksi voinko minä ei ja tai se että kuinka minun onko",
}
"""Frequent words of questions in each language with Latin script that is recognised; of equal counts the first wins."""

_SCRIPTS = (
    ("ja", r"[\u3040-\u30ff]"),
    ("ko", r"[\uac00-\ud7af\u1100-\u11ff]"),
    ("zh", r"[\u4e00-\u9fff]"),
    ("uk", r"[іїєґІЇЄҐ]"),
    ("ru", r"[\u0400-\u04ff]"),
    ("el", r"[\u0370-\u03ff]"),
    ("ar", r"[\u0600-\u06ff]"),
    ("he", r"[\u0590-\u05ff]"),
    ("hi", r"[\u0900-\u097f]"),
    ("th", r"[\u0e00-\u0e7f]"),
)
"""Characters that give a language away; the first that matches counts."""


def guess_language(text: str, candidates: Iterable[str]) -> str | None:
    """Return the code of the candidate that the text is in; None if it is in none of them, or too short to say.

    >>> guess_language("Wie viele Tage Urlaub habe ich?", ["en", "de"]), guess_language("Où est-il ?", ["en", "de"])
    ('de', None)
    """
    codes = {candidate.partition("-")[0].lower(): candidate for candidate in reversed(list(candidates))}
    if detect_language(text) == "other":
        code = next((code for code, pattern in _SCRIPTS if re.search(pattern, text)), "")
        return codes.get(code)
    words = normalize_words(text)
    counts = {code: _count_function_words(words, code) for code in _FUNCTION_WORDS}
    best = max(counts, key=counts.__getitem__)
    return codes.get(best) if counts[best] else None


def _count_function_words(words: Iterable[str], code: str) -> int:
    """Return how many words are function words of a language, with accents folded as in the words."""
    function_words = set(normalize_words(_FUNCTION_WORDS[code]))
    return sum(word in function_words for word in words)
