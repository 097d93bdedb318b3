"""Characters of symbol fonts in text layers: bullets, check boxes, Greek letters."""

from __future__ import annotations

import io

import pikepdf
import pytest
from pikepdf import Dictionary, Name

from src.ocr import symbol_fonts
from src.ocr.documents import DocumentLimits
from src.ocr.pdf import PdfFile
from tests.unit.ocr import files

TO_UNICODE = """/CIDInit /ProcSet findresource begin begincmap /CMapName /T def /CMapType 2 def
1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfrange <20> <FF> <F020> endbfrange endcmap end"""


def listed(code: int, font: str) -> bytes:
    """Three short items behind a sign of a symbol font, which Word maps to private codes."""
    document = pikepdf.open(io.BytesIO(files.pdf(["The list:\n  oil\n  tar\n  rope"])))
    page = document.pages[0]
    page.obj.Resources.Font.S = document.make_indirect(
        Dictionary(
            Type=Name.Font,
            Subtype=Name.Type1,
            BaseFont=Name("/" + font),
            ToUnicode=document.make_stream(TO_UNICODE.encode()),
        )
    )
    signs = "".join(f"BT /S 14 Tf 1 0 0 1 50 {750 - 20 * at} Tm <{code:02x}> Tj ET\n" for at in range(3))
    page.contents_add(signs.encode())
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("code", "font", "shown"),
    [(0xB7, "Symbol", "•"), (0xA7, "Wingdings", "▪"), (0xA8, "Wingdings", "☐"), (0x52, "Wingdings2", "☑")],
)
def test_signs_of_symbol_fonts_are_text(code: int, font: str, shown: str) -> None:
    """A list's bullets do not make its page one without meaning; text and words have what is seen."""
    document = PdfFile(listed(code, font), DocumentLimits())
    layer, words = document.text(0, 150), document.words(0, 150, 0)
    document.close()
    assert layer is not None
    assert layer.reading.text.split("\n") == ["The list:", f"{shown} oil", f"{shown} tar", f"{shown} rope"]
    assert [word.text for word in words].count(shown) == 3


@pytest.mark.parametrize(
    ("code", "font", "shown"),
    [
        (0xF061, "ABCDEF+Symbol", "α"),
        (0xF0A3, "SymbolMT", "≤"),
        (0xF0A3, "Wingdings 2", "☐"),
        (0xF0FE, "Wingdings-Regular", "☑"),
        (0xF0B7, "", "•"),
        (0xF0FC, "F1", "✓"),
        (0xF0C7, "F1", "\uf0c7"),
        (0xF072, "Webdings", "\uf072"),  # a cross, where Wingdings has an empty box
        (0xF0FE, "Wingdings 3", "\uf0fe"),
        (0xF0E0, "ABCDEF+FontAwesome5Free-Solid", "\uf0e0"),  # an envelope
    ],
)
def test_a_code_means_what_its_font_shows(code: int, font: str, shown: str) -> None:
    assert symbol_fonts.shown(chr(code), font) == shown
