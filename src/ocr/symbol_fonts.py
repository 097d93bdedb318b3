"""What characters of symbol fonts show: PDFs give them as private codes (U+F000 and the font's own). Pure.

Called for text layers, in an OCR worker. Word writes bullets, check boxes and Greek letters so.
"""

from __future__ import annotations

_FIRST, _LAST = 0xF020, 0xF0FF
_OTHERS = ("webdings", "wingdings3", "awesome", "icon", "glyph", "marlett")  # fonts with signs of their own

_GREEK = dict(
    zip(
        "ABCDEFGHIKLMNOPQRSTUWXYZabcdefghiklmnopqrstuwxyz",
        "ΑΒΧΔΕΦΓΗΙΚΛΜΝΟΠΘΡΣΤΥΩΞΨΖαβχδεφγηικλμνοπθρστυωξψζ",
        strict=True,
    )
)
_SIGNS = {0x2D: "−", 0xA3: "≤", 0xA5: "∞", 0xAC: "←", 0xAE: "→", 0xB0: "°", 0xB1: "±", 0xB3: "≥", 0xB4: "×"}
_SYMBOL = {
    **{code: chr(code) for code in range(0x20, 0x40)},
    **{ord(latin): greek for latin, greek in _GREEK.items()},
    **_SIGNS,
    0xB7: "•",
    0xB8: "÷",
    0xB9: "≠",
    0xBB: "≈",
    0xD6: "√",
    0xD7: "⋅",
    0xE5: "∑",
    0xF2: "∫",
}
_WINGDINGS = {
    0x6C: "●",
    0x6D: "❍",
    0x6E: "■",
    0x6F: "☐",
    0x71: "☐",
    0x72: "☐",
    0x73: "⬧",
    0x75: "◆",
    0x76: "❖",
    0x77: "⬥",
    0x9F: "•",
    0xA1: "○",
    0xA7: "▪",
    0xA8: "☐",
    0xD8: "➢",
    0xDF: "←",
    0xE0: "→",
    0xE8: "➔",
    0xF0: "⇨",
    0xFB: "✗",
    0xFC: "✓",
    0xFD: "☒",
    0xFE: "☑",
}
_WINGDINGS_2 = {0x4F: "✗", 0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0x97: "●", 0x98: "•", 0xA3: "☐"}


def is_private(symbol: str) -> bool:
    return _FIRST <= ord(symbol) <= _LAST


def shown(symbol: str, font: str) -> str:
    """What a private code shows in the font of this name; itself where that is not known."""
    name, code = font.lower().replace(" ", "").replace("-", ""), ord(symbol) - 0xF000
    if any(other in name for other in _OTHERS):
        return symbol
    if "wingdings2" in name:
        return _WINGDINGS_2.get(code, symbol)
    if "wingdings" in name:
        return _WINGDINGS.get(code, symbol)
    if "symbol" in name:
        return _SYMBOL.get(code, symbol)
    return {0xB7: "•"}.get(code) or _WINGDINGS.get(code, symbol)
