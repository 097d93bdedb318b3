"""What of a PDF's page is the page: boxes that lie beside it, and layers that are switched off."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name

from src.ocr.documents import DocumentLimits
from src.ocr.pdf import PdfFile

Change = Callable[[pikepdf.Pdf, Any], None]
_BEFORE, _AFTER = "The pier is open on Monday", "The lamps are lit at seven"
_HIDDEN = "AN OLDER TEXT"


def text(change: Change) -> str:
    """Of a page with two lines, after the change."""
    document = pikepdf.new()
    page = document.add_blank_page(page_size=(612, 792)).obj
    page.Resources = Dictionary(
        Font=Dictionary(F=Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    )
    page.Contents = document.make_stream(content(""))
    change(document, page)
    data = io.BytesIO()
    document.save(data)
    opened = PdfFile(data.getvalue(), DocumentLimits())
    try:
        layer = opened.text(0, 150)
        pixels = opened.pixels(0, 72)
    finally:
        opened.close()
    assert pixels.min() < 128  # it is drawn, too
    return "" if layer is None else layer.reading.text


def content(between: str) -> bytes:
    first, last = (f"BT /F 18 Tf 72 {at} Td ({line}) Tj ET" for at, line in ((700, _BEFORE), (600, _AFTER)))
    return f"{first}\n{between}\n{last}".encode()


def shown(line: str) -> str:
    return f"BT /F 18 Tf 72 650 Td ({line}) Tj ET"


@pytest.mark.parametrize(
    "box", [(1000, 1000, 1500, 1500), (0, 0, 0, 0), (-100, -100, 2000, 2000), (612, 792, 0, 0)], ids=str
)
def test_a_crop_box_that_leaves_nothing_is_none(box: tuple[int, ...]) -> None:
    """Beside the page, empty, larger than it, written from the other corner."""

    def crop(_: pikepdf.Pdf, page: Any) -> None:
        page.CropBox = Array(box)

    assert text(crop).split("\n") == [_BEFORE, _AFTER]


def layer_of(document: pikepdf.Pdf, page: Any, **default: Any) -> Any:
    """A layer that the page calls /L; `default`: how the document begins."""
    layer = document.make_indirect(Dictionary(Type=Name.OCG, Name="older"))
    document.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=Dictionary(**default))
    page.Resources.Properties = Dictionary(L=layer)
    page.Contents = document.make_stream(content(f"/OC /L BDC {shown(_HIDDEN)} EMC"))
    return layer


def off(document: pikepdf.Pdf, page: Any) -> None:
    layer = layer_of(document, page)
    document.Root.OCProperties.D.OFF = Array([layer])


def off_by_the_base(document: pikepdf.Pdf, page: Any) -> None:
    layer_of(document, page, BaseState=Name.OFF)


def off_by_membership(document: pikepdf.Pdf, page: Any) -> None:
    layer = layer_of(document, page)
    document.Root.OCProperties.D.OFF = Array([layer])
    page.Resources.Properties.L = document.make_indirect(Dictionary(Type=Name.OCMD, OCGs=Array([layer])))


def off_around_other_marks(document: pikepdf.Pdf, page: Any) -> None:
    off(document, page)
    page.Contents = document.make_stream(content(f"/OC /L BDC /Span BMC {shown(_HIDDEN)} EMC {shown(_HIDDEN)} EMC"))


def off_form(document: pikepdf.Pdf, page: Any) -> None:
    layer = layer_of(document, page)
    document.Root.OCProperties.D.OFF = Array([layer])
    form = document.make_stream(shown(_HIDDEN).encode())
    form.stream_dict.update(
        Dictionary(
            Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 612, 792]), OC=layer, Resources=page.Resources
        )
    )
    page.Resources.XObject = Dictionary(X=form)
    page.Contents = document.make_stream(content("/X Do"))


@pytest.mark.parametrize("change", [off, off_by_the_base, off_by_membership, off_around_other_marks, off_form])
def test_a_layer_that_is_switched_off_is_not_read(change: Change) -> None:
    assert text(change).split("\n") == [_BEFORE, _AFTER]


def on(document: pikepdf.Pdf, page: Any) -> None:
    layer_of(document, page)


def any_off(document: pikepdf.Pdf, page: Any) -> None:
    layer = layer_of(document, page)
    document.Root.OCProperties.D.OFF = Array([layer])
    page.Resources.Properties.L = Dictionary(Type=Name.OCMD, OCGs=Array([layer]), P=Name.AnyOff)


@pytest.mark.parametrize("change", [on, any_off])
def test_a_layer_that_is_shown_is_read(change: Change) -> None:
    assert text(change).split("\n") == [_BEFORE, _HIDDEN, _AFTER]


def test_damaged_layers_change_nothing() -> None:
    def damaged(document: pikepdf.Pdf, page: Any) -> None:
        on(document, page)
        document.Root.OCProperties = Array([1, 2])

    assert _BEFORE in text(damaged)
