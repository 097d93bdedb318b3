"""Documents for the tests, good and bad: PDFs written by hand or by Pillow, TIFFs, ZIP archives."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont


def pdf(texts: Sequence[str], *, size: tuple[float, float] = (595, 842), trailer: str = "") -> bytes:
    """A PDF whose pages each hold the lines of a text, in Helvetica."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(texts), b" ".join(b"%d 0 R" % (4 + 2 * at) for at in range(len(texts)))),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for at, text in enumerate(texts):
        lines = "".join(
            f"1 0 0 1 60 {size[1] - 72 - 20 * row:.0f} Tm ({line}) Tj\n" for row, line in enumerate(text.split("\n"))
        )
        drawn = f"BT /F 14 Tf\n{lines}ET".encode("latin-1")
        box = f"/MediaBox [0 0 {size[0]} {size[1]}]".encode()
        objects.append(
            b"<< /Type /Page /Parent 2 0 R %s /Resources << /Font << /F 3 0 R >> >> /Contents %d 0 R >>"
            % (box, 5 + 2 * at)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
    return assemble(objects, trailer)


def pdf_with_picture(width: int, height: int) -> bytes:
    """A page that draws a picture of so many pixels, which is a few bytes in the file."""
    drawn = b"q 595 0 0 842 0 0 cm /P Do Q"
    picture = b"/Type /XObject /Subtype /Image /BitsPerComponent 8 /ColorSpace /DeviceRGB /Filter /FlateDecode"
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R"
            b" /Resources << /XObject << /P 4 0 R >> >> >>",
            b"<< %s /Width %d /Height %d /Length 8 >>\nstream\nx\x9c\x03\x00\x00\x00\x00\x01\nendstream"
            % (picture, width, height),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        ]
    )


def filled_form(value: str) -> bytes:
    """A page with a text field in which something was written."""
    shown = f"BT /F 14 Tf 2 4 Td ({value}) Tj ET".encode("latin-1")
    fonts = b"/Resources << /Font << /F 5 0 R >> >>"
    field = b"/Type /Annot /Subtype /Widget /FT /Tx /T (name) /F 4 /Rect [60 700 400 720] /P 3 0 R /AP << /N 6 0 R >>"
    return assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] >> >>",
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] %s /Annots [4 0 R] >>" % fonts,
            b"<< %s >>" % field,
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Type /XObject /Subtype /Form /BBox [0 0 340 20] %s /Length %d >>\nstream\n%s\nendstream"
            % (fonts, len(shown), shown),
        ]
    )


def encrypted_pdf() -> bytes:
    """It asks for a password."""
    key = "00" * 32
    return pdf(
        ["secret"], trailer=f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{key}> /U <{key}> >> /ID [<00> <00>]"
    )


def assemble(objects: Sequence[bytes], trailer: str = "") -> bytes:
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer.encode(),
        start,
    )
    return bytes(out)


def scan(texts: Sequence[str]) -> bytes:
    """A PDF of pictures, without a text layer."""
    pages = [picture(text) for text in texts]
    buffer = io.BytesIO()
    pages[0].save(buffer, "pdf", save_all=True, append_images=pages[1:], resolution=150)
    return buffer.getvalue()


def tiff(count: int) -> bytes:
    """Frames of a growing width, so that each reads differently by the fake recognizer."""
    frames = [Image.new("1", (10 + at, 9), 1) for at in range(count)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "tiff", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def endless_tiff(count: int) -> bytes:
    """A TIFF of so many frames, each of a few bytes."""
    out = bytearray(b"II*\0" + struct.pack("<I", 8))
    entries = [(256, 1), (257, 1), (258, 8), (262, 1), (273, 0), (278, 1), (279, 1)]
    length = 2 + 12 * len(entries) + 4
    for at in range(count):
        last = at == count - 1
        out += struct.pack("<H", len(entries))
        for tag, value in entries:
            out += struct.pack("<HHII", tag, 4, 1, value)
        out += struct.pack("<I", 0 if last else 8 + (at + 1) * length)
    return bytes(out)


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def picture(text: str, size: tuple[int, int] = (620, 877)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    for row, line in enumerate(text.split("\n")):
        ImageDraw.Draw(image).text((50, 60 + 44 * row), line, "black", ImageFont.load_default(26))
    return image


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()
