"""Map characters of symbol fonts to Unicode. Does not map other fonts: their characters are Unicode already."""

_SYMBOL_ROWS = {
    0x21: "!∀#∃%&∋()∗+,−./0123456789:;<=>?",
    0x40: "≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼",
    0xA1: "ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…|—↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑",
    0xF1: "〉∫",
}
"""https://www.unicode.org/Public/MAPPINGS/VENDORS/ADOBE/symbol.txt"""
_WINGDINGS_ROWS = {0x4A: "☺😐☹", 0x6C: "●❍■□", 0xA7: "▪◻", 0xDF: "←→↑↓↖↗↙↘", 0xFB: "✗✓☒☑"}
_FONT_CHARACTERS = {
    font: {first + offset: letter for first, letters in rows.items() for offset, letter in enumerate(letters)}
    for font, rows in (("symbol", _SYMBOL_ROWS), ("wingdings", _WINGDINGS_ROWS))
}


def decode_symbol(font: str, code: str) -> str:
    """Return the character with this hexadecimal code in a font, or an empty string if its Unicode is unknown.

    >>> decode_symbol("Symbol", "F061"), decode_symbol("Arial", "2020")
    ('α', '†')
    """
    try:
        code_point = int(code[:6], 16)
        characters = _FONT_CHARACTERS.get(font.lower())
        if characters:
            return characters.get(code_point & 0xFF, "")
        return "" if 0xD800 <= code_point < 0xF900 else chr(code_point)
    except ValueError:
        return ""
