"""Image files become pages, whatever their format and pixels; what is wrong with the others is said in fixed texts."""

from __future__ import annotations

import base64
import random
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from src.errors import InvalidImage
from src.ocr import documents
from src.ocr.documents import DocumentLimits
from src.ocr.reading import Pixels
from tests.unit.ocr.pictures import file, line

FORMATS = ("png", "jpeg", "webp", "tiff", "bmp", "gif", "avif")
RED = Image.new("RGB", (30, 20), (250, 10, 20))


def decode(data: bytes, *, text: bool = False, limit: float = 40.0) -> Pixels:
    return documents.decode(data, DocumentLimits(limit, max(1, round(4 * limit))), base64_text=text)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_becomes_bgr(kind: str) -> None:
    """A page is rows x columns x BGR, 8 bits, whatever the file's format."""
    page = decode(file(RED, kind))
    assert page.shape == (20, 30, 3)
    assert page.dtype == np.uint8
    assert page.flags.c_contiguous
    assert np.abs(page.mean(axis=(0, 1)) - (20, 10, 250)).max() < 6


@pytest.mark.parametrize("prefix", [b"", b"data:image/png;base64,"])
def test_base64_and_data_urls_are_read(prefix: bytes) -> None:
    """Base64 text may be bare or in a data URL, and may be wrapped."""
    assert decode(prefix + base64.encodebytes(file(RED)), text=True).shape == (20, 30, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "I;16", "I", "F", "LA", "PA", "RGBA"])
def test_every_kind_of_pixel_is_read(mode: str) -> None:
    """Dark ink on white paper stays dark on white in each mode that a file can hold."""
    grey = line().convert("L")
    if mode in ("I;16", "I"):
        image = Image.fromarray(np.asarray(grey).astype(np.uint16 if mode == "I;16" else np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    else:
        image = grey.convert("RGB").convert(mode) if mode != "PA" else grey.convert("P").convert("PA")
    kind = {"YCbCr": "jpeg", "CMYK": "tiff", "F": "tiff", "I": "tiff", "PA": "tiff"}.get(mode, "png")
    page = decode(file(image, kind))
    assert page.shape == (64, 420, 3)
    assert page[0, 0].min() > 250
    assert page.min() < 10


@pytest.mark.parametrize(("ink", "paper"), [((0, 0, 0, 255), 255), ((255, 255, 255, 255), 0)])
def test_transparency_becomes_a_contrasting_background(ink: tuple[int, ...], paper: int) -> None:
    """Dark ink on nothing gets white paper, light ink black: else it would vanish."""
    page = decode(file(line(ink=ink, mode="RGBA", paper=(0, 0, 0, 0))))
    assert page[0, 0].tolist() == [paper] * 3
    assert abs(int(page.min()) - int(page.max())) == 255


def test_a_fully_transparent_image_is_white() -> None:
    """Nothing visible is an empty page, not an error."""
    assert decode(file(Image.new("RGBA", (9, 9), (1, 2, 3, 0)))).min() == 255


def test_exif_orientation_is_applied() -> None:
    """A photo is turned as the camera says."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(file(RED, "jpeg", exif=exif)).shape == (30, 20, 3)


def test_broken_exif_is_ignored() -> None:
    """A good picture with damaged EXIF is read as it is."""
    assert decode(file(RED, "jpeg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")).shape == (20, 30, 3)


def test_the_first_frame_of_many_is_read() -> None:
    """Of several frames the first is the page."""
    black = Image.new("RGB", (30, 20))
    assert decode(file(RED, "tiff", save_all=True, append_images=[black])).max() == 250


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello", "not a PNG, JPEG, WebP, TIFF, BMP, GIF, HEIC or AVIF"),
        (b"%PDF-1.7", "not a PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
        (b"PK\x03\x04", "not a PNG"),
        (b"\x89PNG\r\n\x1a\n", "damaged or truncated"),
        (file(RED, "jpeg")[:300], "damaged or truncated"),
    ],
)
def test_other_data_is_an_error(data: bytes, says: str) -> None:
    """The text names what is wrong with the file, and the parameter it came in."""
    with pytest.raises(InvalidImage, match=says) as caught:
        decode(data)
    assert caught.value.param == "file"


@pytest.mark.parametrize("text", [b"", b"?", b"data:image/png,raw", b"AAAA*", b"data:image/png;base64,"])
def test_invalid_base64_is_an_error(text: bytes) -> None:
    """Text that is no base64, or stands for nothing, is an error of the file."""
    with pytest.raises(InvalidImage):
        decode(text, text=True)


def test_a_decompression_bomb_is_rejected_before_decoding() -> None:
    """A small file of many pixels is refused by its header, naming its size and the limit."""
    bomb = file(Image.new("1", (20_000, 20_000)))
    with pytest.raises(InvalidImage, match=r"20000 × 20000 pixels, .* 381 MiB of memory; OCR_MAX_IMAGE_MB allows 160"):
        decode(bomb[:200])


def test_a_side_over_the_limit_is_an_error() -> None:
    """Few pixels in one endless row are refused too."""
    with pytest.raises(InvalidImage, match="no side may exceed 32000"):
        decode(file(Image.new("1", (40_000, 2))))


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_a_client_error(kind: str) -> None:
    """Files cut or scribbled on anywhere are read or refused as images, and nothing else is raised."""
    whole, dice = file(line(), kind), random.Random(kind)
    for _ in range(150):
        data = bytearray(whole[: dice.randrange(12, len(whole) + 1)])
        for _ in range(dice.randrange(6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        with suppress(InvalidImage):
            decode(bytes(data), limit=1)
