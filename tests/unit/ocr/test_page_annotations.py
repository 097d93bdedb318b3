"""What a PDF page shows beside its content: typed remarks, stamps, filled fields; and what is not read of a file."""

from __future__ import annotations

import io

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String
from PIL import Image

from src.ocr.documents import DocumentLimits
from src.ocr.frames import ImageFile
from src.ocr.pdf import PdfFile
from tests.unit.ocr import files

NOTICE = "The north pier is closed until Thursday"
FREE_TEXT, STAMP, NOTE, ATTACHED, FIELD = "FreeText", "Stamp", "Text", "FileAttachment", "Widget"
HIDDEN = 2


def annotated(*annotations: tuple[str, str, int]) -> bytes:
    """A page with annotations of a kind, a text and flags, one below the other."""
    document = pikepdf.open(io.BytesIO(files.pdf([NOTICE])))
    page = document.pages[0]
    found = []
    for at, (kind, text, flags) in enumerate(annotations):
        shown = document.make_stream(f"BT /F 12 Tf 4 8 Td ({text}) Tj ET".encode())
        shown.Type, shown.Subtype, shown.BBox = Name.XObject, Name.Form, Array([0, 0, 300, 30])
        shown.Resources = page.obj.Resources
        place = Array([60, 600 - 40 * at, 360, 630 - 40 * at])
        one = Dictionary(Type=Name.Annot, Subtype=Name("/" + kind), Rect=place, F=flags, Contents=String(text))
        one.AP, one.FT, one.T, one.V = Dictionary(N=shown), Name.Tx, String(f"field {at}"), String(text)
        found.append(document.make_indirect(one))
    page.obj.Annots = Array(found)
    document.Root.AcroForm = Dictionary(Fields=Array([one for one in found if one.Subtype == Name.Widget]))
    return saved(document)


def saved(document: pikepdf.Pdf) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def text_of(data: bytes, number: int = 0) -> str:
    document = PdfFile(data, DocumentLimits())
    try:
        layer = document.text(number, 150)
        words = " ".join(word.text for word in document.words(number, 150, 0))
        assert layer is not None
        assert sorted(words.split()) == sorted(layer.reading.text.split())
        return layer.reading.text
    finally:
        document.close()


def warnings_of(data: bytes, number: int = 0) -> list[tuple[str, str]]:
    document = PdfFile(data, DocumentLimits())
    try:
        return [(one.code, one.message) for one in document.warnings(number)]
    finally:
        document.close()


def test_typed_remarks_and_stamps_are_read() -> None:
    """They are seen on the page; notes behind a symbol and hidden remarks are not."""
    data = annotated(
        (FREE_TEXT, "approved by the mayor", 4), (STAMP, "RECEIVED 14 March", 4), (FREE_TEXT, "no", HIDDEN)
    )
    assert text_of(data).split("\n") == [NOTICE, "approved by the mayor", "RECEIVED 14 March"]


def test_fields_that_follow_each_other_are_lines_of_their_own() -> None:
    """PDFium writes no line's end between them."""
    data = annotated((FIELD, "12.5 metres", 4), (FIELD, "Westport", 4), (FIELD, "a motor of 40 horse powers", 4))
    assert text_of(data).split("\n") == [NOTICE, "12.5 metres", "Westport", "a motor of 40 horse powers"]


@pytest.mark.parametrize(("box", "shown"), [([0, 700, 595, 842], "north"), ([0, 0, 595, 742], "south")])
def test_what_is_cropped_is_not_read(box: list[int], shown: str) -> None:
    """Of a spread that is cut into pages by their boxes each page has its own half."""
    document = pikepdf.open(io.BytesIO(files.pdf([f"The north pier{chr(10) * 5}The south pier"])))
    document.pages[0].obj.CropBox = Array(box)
    assert text_of(saved(document)) == f"The {shown} pier"


def test_attached_files_are_named() -> None:
    """On the first page those of the document, on every page those that hang on it."""
    document = pikepdf.open(io.BytesIO(files.pdf([NOTICE, NOTICE])))
    assert warnings_of(saved(document)) == []
    document.attachments["plan.pdf"] = pikepdf.AttachedFileSpec(document, b"%PDF-", filename="plan.pdf")
    data = saved(document)
    ((code, message),) = warnings_of(data)
    assert code == "attachments_not_read"
    assert "plan.pdf" in message
    assert warnings_of(data, 1) == []
    assert [code for code, _ in warnings_of(annotated((ATTACHED, "a file", 4)))] == ["attachments_not_read"]
    assert warnings_of(annotated((NOTE, "a note", 4))) == []


def test_a_file_beside_a_remark_is_named() -> None:
    """The remark is drawn into the page, and PDFium forgets its annotations."""
    data = annotated((FREE_TEXT, "approved", 4), (ATTACHED, "a file", 4))
    assert [code for code, _ in warnings_of(data)] == ["attachments_not_read"]


def test_a_long_name_is_cut() -> None:
    document = pikepdf.open(io.BytesIO(files.pdf([NOTICE])))
    document.attachments["x"] = pikepdf.AttachedFileSpec(document, b"a", filename="x" * 9000)
    ((_, message),) = warnings_of(saved(document))
    assert len(message) < 200


def test_a_dynamic_form_is_named() -> None:
    """Its page is a placeholder that asks for another viewer."""
    document = pikepdf.open(io.BytesIO(files.pdf(["Please wait..."])))
    document.Root.AcroForm = Dictionary(Fields=Array([]), XFA=document.make_stream(b"<xdp/>"))
    document.Root.NeedsRendering = True
    assert [code for code, _ in warnings_of(saved(document))] == ["dynamic_form"]


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
@pytest.mark.parametrize("count", [1, 2])
def test_pictures_after_the_first_are_named(kind: str, count: int) -> None:
    """Of an animation the first picture alone is read."""
    frames = [Image.new("RGB", (20, 20), (200 * at, 9, 9)) for at in range(count)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    found = ImageFile(kind, buffer.getvalue(), DocumentLimits()).warnings(0)
    assert [one.code for one in found] == ["frames_not_read"] * (count - 1)
