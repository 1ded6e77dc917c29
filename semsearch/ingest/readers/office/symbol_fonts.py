"""What the letters of fonts that hold symbols look like. Does not know other fonts: their letters are Unicode's."""

_SYMBOL_ROWS = {
    0x21: "!∀#∃%&∋()∗+,−./0123456789:;<=>?",
    0x40: "≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼",
    0xA1: "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…|—↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑",
    0xF1: "〉∫",
}
"""https://www.unicode.org/Public/MAPPINGS/VENDORS/ADOBE/symbol.txt"""
_WINGDINGS_ROWS = {0x4A: "☺😐☹", 0x6C: "●❍■□", 0xA7: "▪◻", 0xDF: "←→↑↓↖↗↙↘", 0xFB: "✗✓☒☑"}
_FONT_CHARACTERS = {
    font: {first + place: letter for first, letters in rows.items() for place, letter in enumerate(letters)}
    for font, rows in (("symbol", _SYMBOL_ROWS), ("wingdings", _WINGDINGS_ROWS))
}


def decode_symbol(font: str, code: str) -> str:
    """The letter with this code, in hexadecimal, in a font; nothing if only the font knows what it shows.

    >>> symbol("Symbol", "F061"), symbol("Arial", "2020")
    ('α', '†')
    """
    try:
        number = int(code[:6], 16)
        letters = _FONT_CHARACTERS.get(font.lower())
        if letters:
            return letters.get(number & 0xFF, "")
        return "" if 0xD800 <= number < 0xF900 else chr(number)
    except ValueError:
        return ""
