"""Whether a PDF page's text layer can be believed: statistics of its letters and words. Pure; called by `pdf`.

Layers may be nonsense: fonts with a wrong mapping (each letter another one), or the text of a bad OCR. What looks odd
here is only doubted: `layer_check` compares it with the page.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections import Counter

HYPHEN = "\x02"
_MAX_UNMAPPED = 0.02  # share of private, unassigned and replacement characters
_FEW_LETTERS = 20
_ENOUGH_LETTERS = 40  # for statistics of letters
_ODD_LETTERS = 0.35  # nats per letter above those of European languages: 0.15 at most is usual
_ODD_WORDS = 0.15
_COMPARABLE = ("LATIN", "CJK", "HIRAGANA", "KATAKANA", "FULLWIDTH")
# letters per thousand, averaged over European languages in Latin script
_USUAL = dict(
    zip(
        "etaoinsrhldcumpgfbvwykjzxq",
        (125, 70, 82, 66, 78, 74, 66, 66, 32, 48, 40, 32, 36, 31, 26, 18, 15, 14, 15, 11, 12, 15, 5, 8, 3, 4),
        strict=True,
    )
)
_TOTAL = sum(_USUAL.values())
_EXPECTED = -sum(count / _TOTAL * math.log(count / _TOTAL) for count in _USUAL.values())
_INSIDE = re.compile(r"[^\W\d_]\d+[^\W\d_]|[a-z][A-Z]|\w[|~^{}<>\\¦§¬]\w|(.)\1\1\1")


def has_mapping(text: str) -> bool:
    """Whether nearly all characters mean something: fonts without a mapping give garbage."""
    symbols = [symbol for symbol in text if not symbol.isspace() and symbol != HYPHEN]
    strange = sum(symbol == "\ufffd" or unicodedata.category(symbol) in ("Co", "Cn", "Cc", "Cs") for symbol in symbols)
    return bool(symbols) and strange <= _MAX_UNMAPPED * len(symbols)


def doubt(text: str) -> str:
    """Why a text is not believed without a look at the page; "" where nothing is odd."""
    letters = [letter for letter in text.lower() if letter.isalpha()]
    if len(letters) < _FEW_LETTERS:
        return "it is too short to judge"
    if len(letters) >= _ENOUGH_LETTERS and _surprise(letters) > _ODD_LETTERS:
        return "its letters are not distributed as in a language"
    words = [word for word in text.split() if sum(symbol.isalpha() for symbol in word) >= 3]
    if len(words) >= 5 and sum(map(_is_odd, words)) > _ODD_WORDS * len(words):
        return "many of its words are not words"
    return ""


def can_be_compared(text: str) -> bool:
    """Whether the bundled recognizer reads most of its letters' scripts."""
    letters = [letter for letter in text if letter.isalpha()]
    known = sum(unicodedata.name(letter, "").startswith(_COMPARABLE) for letter in letters)
    return known >= 0.7 * len(letters)


def similarity(text: str, other: str) -> float:
    """Of two lines, 0 to 1, by letters and digits alone."""
    a, b = (re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", line)).lower() for line in (text, other))
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() if a and b else 0.0


def _surprise(letters: list[str]) -> float:
    """Nats per letter above a usual text's; 0 where most letters are of another script."""
    plain = [folded[0] for letter in letters if (folded := unicodedata.normalize("NFD", letter))[0] in _USUAL]
    if len(plain) < 0.6 * len(letters):
        return 0.0
    counts = Counter(plain)
    found = sum(count * -math.log(_USUAL[letter] / _TOTAL) for letter, count in counts.items()) / len(plain)
    return found - _EXPECTED


def _is_odd(word: str) -> bool:
    """Digits or signs between letters, capitals within a word, or no vowel in a long one."""
    if _INSIDE.search(word) and not word.isupper() and "http" not in word and "@" not in word:
        return True
    letters = [letter for letter in word.lower() if "a" <= letter <= "z"]
    return len(letters) >= 5 and len(letters) == len(word) and not word.isupper() and not set(letters) & set("aeiouy")
