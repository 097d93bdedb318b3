"""PDF pages whose text layers are good, however odd they look, and bad ones: another letter for each.

Good ones are of many languages, sizes and kinds: code, formulas, lists of parts, tables of numbers. What a bad one
shows is right; what its layer says is not.
"""

from __future__ import annotations

import ctypes
import io
import random
from collections.abc import Callable
from pathlib import Path

import pypdfium2
from pypdfium2 import raw

from tests.bench.ocr_pages import CHINESE, INVOICE, PROSE, RECEIPT
from tests.unit.ocr.files import assemble

_FONTS = Path("/usr/share/fonts")
_SANS, _KOREAN = "DejaVuSans.ttf", "NotoSansCJK-Regular.ttc"
# fonts that readers have, with the tables of their characters
_CJK = {
    "chinese": (b"STSong-Light", b"UniGB-UCS2-H", b"GB1"),
    "japanese": (b"HeiseiMin-W3", b"UniJIS-UCS2-H", b"Japan1"),
}
_INVOICE = "\n".join("   ".join(row) for row in INVOICE)
_TOP, _LEFT = 780.0, 50.0
# name, text, font (Helvetica, Times-Roman, Courier, a file, or one of _CJK), size in points
GOOD: tuple[tuple[str, str, str, float], ...] = (
    ("prose", PROSE, "Times-Roman", 9),
    ("small print", PROSE, "Helvetica", 5.5),
    ("large print", "\n".join(PROSE.split(". ")[0].split(" ")[:12]), "Helvetica", 30),
    ("invoice", _INVOICE, "Helvetica", 11),
    ("receipt", "\n".join(RECEIPT), "Courier", 10),
    ("capitals", "HARBOUR OFFICE\nNOTICE TO ALL BOATS\nTHE NORTH PIER IS CLOSED FROM MONDAY", "Helvetica", 16),
    ("one word", "Contents", "Times-Roman", 18),
    ("a number", "17", "Helvetica", 12),
    ("appendix", "Appendix B", "Helvetica", 22),
    (
        "Python",
        "def mean(xs):\n    n = len(xs)\n    return sum(xs) / n if n else 0.0\n\nprint(mean([1, 2, 3]))",
        "Courier",
        10,
    ),
    ("C", '#include <stdio.h>\nint main(void) {\n  for (int i = 0; i < 10; i++) printf("%d\\n", i);\n}', "Courier", 9),
    ("JSON", '{"berth": 12, "boats": ["Ada", "Grace"],\n "open": true, "from": "2026-03-14T09:00:00Z"}', "Courier", 10),
    (
        "SQL",
        "SELECT b.name, COUNT(*) AS n FROM boats b\nJOIN trips t ON t.boat_id = b.id GROUP BY b.name;",
        "Courier",
        10,
    ),
    (
        "log",
        "2026-03-14 09:00:01 INFO pid=4711 request_id=9f3ac2\n2026-03-14 09:00:02 WARN queue_depth=12",
        "Courier",
        8,
    ),
    (
        "hex dump",
        "00000000 7f 45 4c 46 02 01 01 00  00 00 00 00\n00000010 03 00 3e 00 01 00 00 00  40 10 00 00",
        "Courier",
        9,
    ),
    ("keys", "K7QX-93JM-ZT4B-XX01\nW2HN-8PLC-QV5D-RR77\nJ0KF-11ZS-MB9Y-TT32", "Courier", 12),
    ("part numbers", "DN25-PN16 M8x40 A2-70 DIN933 IP67 24VDC\nRJ45 CAT6A AWG23 LSZH 305m", "Helvetica", 10),
    (
        "numbers",
        "\n".join(" ".join(f"{(r * 7919 + c * 104729) % 9973 / 7:.2f}" for c in range(7)) for r in range(20)),
        "Courier",
        9,
    ),
    ("formulas", "f(x) = a x^2 + b x + c\nx1,2 = (-b +- sqrt(b^2 - 4ac)) / 2a\ns = v t + 1/2 g t^2", "Times-Roman", 12),
    ("chemistry", "CH3-CH2-OH + O2 -> CH3-COOH + H2O\n2 NaCl + H2SO4 -> Na2SO4 + 2 HCl", "Helvetica", 12),
    ("DNA", "GATTACAGGCTTAACCGGTTAGCATCGATCGGATCTTAGC\nCCGGATATTTAGCGCGATATCGCTAGCTAGGCTAACGTTA", "Courier", 10),
    (
        "addresses",
        "ada@harbour.example\nhttps://harbour.example/berths?id=12&open=1\nftp://files.example/pub",
        "Helvetica",
        11,
    ),
    ("abbreviations", "BSc PhD MSc LLB NATO UNESCO GmbH Ltd. plc.\nkWh mmHg dB(A) pH rpm km/h lbs oz", "Helvetica", 11),
    (
        "timetable",
        "Westport 06:12 07:12 08:12 09:12\nNortham 06:31 07:31 08:31 09:31\nEastham 06:55 07:55 08:55 09:55",
        "Helvetica",
        10,
    ),
    ("chess", "1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Ba4 Nf6\n5. O-O Be7 6. Re1 b5 7. Bb3 d6 8. c3 O-O", "Times-Roman", 11),
    (
        "index",
        "anchors, 12, 47-49\nberths, see moorings\nculvert, double width, 31n\nKnyvett, Sybil, 77",
        "Times-Roman",
        10,
    ),
    ("names", "Szczesny Brzozowski\nNguyen Phuc\nMcGregor-Wyatt\nvan der Meer\nO'Shaughnessy", "Helvetica", 12),
    (
        "Welsh",
        "Mae'r porthladd yn gwbl gaeedig tan ddydd Llun.\nCysylltwch a swyddfa'r harbwr yng Nghymru.",
        "Helvetica",
        12,
    ),
    (
        "Latin",
        "Gallia est omnis divisa in partes tres, quarum unam incolunt Belgae,\naliam Aquitani, tertiam Galli.",
        "Times-Roman",
        12,
    ),
    (
        "German",
        "Der Hafenausschuß trat am Dienstag zusammen, um den Bericht des\nIngenieurs über die nördliche Mole zu hören.",
        "Times-Roman",
        12,
    ),
    (
        "French",
        "Le comité du port s'est réuni mardi pour entendre le rapport de\nl'ingénieur sur l'état du môle nord.",
        "Helvetica",
        11,
    ),
    (
        "Spanish",
        "El comité del puerto se reunió el martes para oír el informe del\ningeniero sobre el muelle norte.",
        "Times-Roman",
        11,
    ),
    (
        "Swedish",
        "Hamnkommittén möttes på tisdagen för att höra ingenjörens rapport\nom norra pirens bjälkar.",
        "Helvetica",
        11,
    ),
    (
        "Polish",
        "Komisja portowa zebrała się we wtorek, aby wysłuchać raportu\ninżyniera o stanie północnego mola.",
        _SANS,
        11,
    ),
    (
        "Czech",
        "Přístavní výbor se sešel v úterý, aby vyslechl zprávu inženýra\no stavu severního mola. Strč prst skrz krk.",
        _SANS,
        11,
    ),
    (
        "Hungarian",
        "A kikötői bizottság kedden ült össze, hogy meghallgassa a mérnök\njelentését az északi mólóról.",
        _SANS,
        11,
    ),
    (
        "Turkish",
        "Liman komisyonu, kuzey iskelenin durumu hakkında mühendisin\nraporunu dinlemek için salı günü toplandı.",
        _SANS,
        11,
    ),
    (
        "Vietnamese",
        "Ủy ban cảng họp hôm thứ Ba để nghe báo cáo của kỹ sư về tình trạng\ncủa cầu tàu phía bắc.",
        _SANS,
        11,
    ),
    (
        "Russian",
        "Портовый комитет собрался во вторник, чтобы выслушать доклад\nинженера о состоянии северного причала.",
        _SANS,
        11,
    ),
    ("Greek", "Η επιτροπή του λιμανιού συνεδρίασε την Τρίτη για να ακούσει την\nέκθεση του μηχανικού.", _SANS, 11),
    ("symbols", "∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−L|<ε\n∑ᵢ αᵢ·βᵢ ≤ ‖α‖·‖β‖\n∂u/∂t = κ ∇²u", _SANS, 12),
    ("Chinese", "\n".join(CHINESE), "chinese", 12),
    ("Japanese", "港湾委員会は火曜日に開かれ、北桟橋の状態について\n技師の報告を聞いた。", "japanese", 12),
    ("Korean", "항만 위원회는 화요일에 모여 북쪽 부두의 상태에 대한\n기술자의 보고를 들었다.", _KOREAN, 12),
)


def good_layers() -> list[tuple[str, bytes]]:
    """Names and PDFs; those whose font is not installed are left out."""
    made = [(name, _drawn(text, font, size)) for name, text, font, size in GOOD]
    return [(name, data) for name, data in made if data]


def bad_layers() -> list[tuple[str, bytes]]:
    """Names and PDFs that show right text."""
    texts = {
        "prose": PROSE,
        "invoice": _INVOICE,
        "notice": "The north pier is closed until Thursday\nUse berths 12 to 47",
    }
    texts |= {name: text for name, text, font, _ in GOOD if name in ("German", "French", "index", "capitals")}
    ways: dict[str, Callable[[str], str]] = {f"letters shifted by {by}": _shift(by) for by in (-1, 1, 3, 13)}
    ways["letters exchanged"] = _exchanged
    ways["codes shifted by 29"] = lambda symbol: chr(ord(symbol) + 29) if symbol.isalnum() else symbol
    return [(f"{name}, {way}", _drawn_as(text, change)) for way, change in ways.items() for name, text in texts.items()]


def _shift(by: int) -> Callable[[str], str]:
    def change(symbol: str) -> str:
        first = 97 if symbol.islower() else 65
        return chr((ord(symbol) - first + by) % 26 + first) if symbol.isascii() and symbol.isalpha() else symbol

    return change


def _exchanged(symbol: str) -> str:
    letters = random.Random(7).sample(range(26), 26)
    first = 97 if symbol.islower() else 65
    return chr(letters[ord(symbol) - first] + first) if symbol.isascii() and symbol.isalpha() else symbol


def _drawn(text: str, font: str, size: float) -> bytes:
    if font in _CJK:
        return _standard(text, _CJK[font], size)
    if not font.endswith((".ttf", ".ttc")):
        return _standard(text, font, size)
    found = next(_FONTS.rglob(font), None)
    return _embedded(text, found.read_bytes(), size) if found else b""


def _drawn_as(text: str, change: Callable[[str], str]) -> bytes:
    """In Helvetica, with a table that says another character for each."""
    codes = sorted({symbol for symbol in text if symbol.isascii() and symbol != "\n"})
    pairs = "\n".join(f"<{ord(symbol):02x}> <{ord(change(symbol)):04x}>" for symbol in codes)
    table = (
        f"begincmap\n1 begincodespacerange <00> <ff> endcodespacerange\n{len(codes)} beginbfchar\n{pairs}\nendbfchar"
    )
    return _standard(text, "Helvetica", 11, f"{table}\nendcmap".encode("ascii"))


def _standard(text: str, font: str | tuple[bytes, bytes, bytes], size: float, table: bytes = b"") -> bytes:
    """In a font that every reader has."""
    shown = b"".join(
        b"1 0 0 1 %.0f %.1f Tm %s Tj\n" % (_LEFT, _TOP - 1.4 * size * row, _string(line, wide=isinstance(font, tuple)))
        for row, line in enumerate(text.split("\n"))
    )
    drawn = b"BT /F %.1f Tf\n%sET" % (size, shown)
    page = b"/Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >>"
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Page %s >>" % page,
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
            _font(font, b"/ToUnicode 6 0 R" if table else b""),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(table), table),
        ]
    )


def _font(font: str | tuple[bytes, bytes, bytes], table: bytes) -> bytes:
    if isinstance(font, str):
        name = font.encode("ascii")
        return b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding %s >>" % (name, table)
    name, encoding, ordering = font
    system = b"<< /Registry (Adobe) /Ordering (%s) /Supplement 2 >>" % ordering
    below = b"<< /Type /Font /Subtype /CIDFontType0 /BaseFont /%s /CIDSystemInfo %s /DW 1000 >>" % (name, system)
    head = b"<< /Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /%s" % (name, encoding)
    return head + b" /DescendantFonts [%s] >>" % below


def _string(line: str, *, wide: bool) -> bytes:
    if wide:
        return b"<%s>" % line.encode("utf-16-be").hex().encode("ascii")
    escaped = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return b"(%s)" % escaped.encode("cp1252", "replace")


def _embedded(text: str, font: bytes, size: float) -> bytes:
    """PDFium embeds the font, with a table of its characters."""
    document = pypdfium2.PdfDocument.new()
    page = document.new_page(595, 842)
    data = (ctypes.c_ubyte * len(font)).from_buffer_copy(font)
    loaded = raw.FPDFText_LoadFont(document, data, len(font), raw.FPDF_FONT_TRUETYPE, True)
    for row, line in enumerate(text.split("\n")):
        shown = raw.FPDFPageObj_CreateTextObj(document, loaded, size)
        units = (line + "\0").encode("utf-16-le")
        raw.FPDFText_SetText(shown, (ctypes.c_ushort * (len(units) // 2)).from_buffer_copy(units))
        raw.FPDFPageObj_Transform(shown, 1, 0, 0, 1, _LEFT, _TOP - 1.5 * size * row)
        raw.FPDFPage_InsertObject(page, shown)
    page.gen_content()
    document.save(out := io.BytesIO())
    return out.getvalue()
