"""500 texts to tokenize: code, Chinese, emoji, digits, white space …; the same each time."""

from __future__ import annotations

import random

_PIECES = (
    *(
        "def f(x):\n    return x ** 2\n",
        "if (a<b && c>d) {",
        "}\r\n",
        "/* c */",
        "#!/bin/sh",
        "<b>x</b>",
        "$$\\alpha$$",
    ),
    *("Hello", "world", "don't", "I'LL", "we've", "a'b", "'s", "'S", "''", "...", "!!!", "?!", "— “quoted” …"),
    *("  ", "\t\t", "\n\n\n", " ", "\u00a0", "\u3000", "\u200b", "\r", "\t\n ", " x", "x ", "\n x", " \n"),
    *("你好世界", "机器学习", "機械学習", "한국어", "ไทย", "हिन्दी", "العربية", "עברית", "Привет", "naïve", "Ünïcödé"),
    *("🎉🎊", "👩‍👩‍👧", "🇫🇷", "e\u0301", "İ", "ﬁ", "𝒳", "ß", "½", "²", "\x00", "\x7f"),
    *("١٢٣", "12345678", "3.14159", "1,000,000", "0", "https://example.com/a?b=c&d=%20"),
    *("CamelCaseWord", "snake_case_name", "SCREAMING", "A", "z", "é", "<|im_end|>", "<|im_start|>user\n"),
)


def texts(count: int = 500) -> list[str]:
    chosen = random.Random(7)
    made = (
        "".join(chosen.choice(_PIECES) + chosen.choice(("", " ", "", "\n")) for _ in range(chosen.randint(1, 14)))
        for _ in range(count - len(_PIECES))
    )
    return [*_PIECES, *made]
