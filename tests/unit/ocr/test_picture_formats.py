"""Pictures that phones, scanners and printers make: HEIC, AVIF, MPO, 48 megapixels, A3 in one bit; and their limits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.errors import InvalidImage
from src.ocr import documents
from src.ocr.documents import DocumentLimits
from tests.unit.ocr.pictures import file

RECORDED = Path(__file__).parent / "recorded"
RED = (10, 20, 250)  # BGR
LIMITS = DocumentLimits(max_megapixels=1.0, max_image_mb=8)


def corner(size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Image.Image:
    """White, with a red quarter on the upper left; in a grey mode the quarter is dark."""
    image = Image.new("RGB", size, "white")
    image.paste((250, 10, 20), (0, 0, size[0] // 2, size[1] // 2))
    return image.convert(mode)


@pytest.mark.parametrize(("name", "shape"), [("corner", (48, 64, 3)), ("corner-turned", (64, 48, 3))])
def test_heic_photos_are_read_upright(name: str, shape: tuple[int, ...]) -> None:
    """As an iPhone makes them: a picture that was taken on its side is turned."""
    data = (RECORDED / f"{name}.heic").read_bytes()
    page = documents.decode(data, LIMITS)
    assert page.shape == shape
    assert documents.header(data).size == shape[1::-1]
    quarter = page[4:20, 4:28] if name == "corner" else page[4:28, 28:44]
    assert np.abs(quarter.mean(axis=(0, 1)) - RED).max() < 25
    assert page[-8:, :].min() > 230


@pytest.mark.parametrize("cut", [40, 200, 500, 600])
def test_a_damaged_heic_is_the_files_fault(cut: int) -> None:
    """It is refused as any other damaged image."""
    with pytest.raises(InvalidImage, match="damaged or truncated"):
        documents.decode((RECORDED / "corner.heic").read_bytes()[:cut], LIMITS)


def test_the_first_picture_of_a_phones_pair_is_read() -> None:
    """MPO: a JPEG with a second view behind it."""
    data = file(corner(), "mpo", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    assert np.abs(documents.decode(data, LIMITS)[4:20, 4:28].mean(axis=(0, 1)) - RED).max() < 25


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_photo_is_reduced_by_its_decoder(orientation: int, progressive: bool) -> None:
    """A JPEG over the limit is decoded at a half; its size as given is known, turned as EXIF says."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file(corner((1602, 1200)), "jpeg", exif=exif, progressive=progressive)
    page = documents.decode(data, LIMITS)
    assert page.shape == ((600, 801, 3) if orientation == 1 else (801, 600, 3))
    assert documents.header(data).size == ((1602, 1200) if orientation == 1 else (1200, 1602))
    assert np.abs((page[50, 50] if orientation == 1 else page[50, -50]).astype(int) - RED).max() < 25


@pytest.mark.parametrize(("mode", "kind"), [("1", "tiff"), ("1", "png"), ("L", "png"), ("P", "png"), ("RGB", "webp")])
def test_other_large_images_are_reduced_after_decoding(mode: str, kind: str) -> None:
    """A sheet of A3 at 600 dpi in one bit takes 70 MB, though it has 70 megapixels."""
    options = {"compression": "group4"} if kind == "tiff" else {}
    page = documents.decode(file(corner((1500, 1200), mode), kind, **options), DocumentLimits(1.0, max_image_mb=9))
    assert page.shape == (600, 750, 3)
    assert page[8:24, 8:24].mean() < 200
    assert page[-10, -10].min() > 250


def test_the_limit_counts_bytes() -> None:
    """As many pixels are allowed in one mode and refused in another."""
    sheet = (1900, 1900)
    assert documents.decode(file(Image.new("L", sheet, 255)), LIMITS).shape == (950, 950, 3)
    with pytest.raises(InvalidImage, match=r"1900 × 1900 pixels, .* 14 MiB of memory; OCR_MAX_IMAGE_MB allows 8"):
        documents.decode(file(Image.new("RGBA", sheet)), LIMITS)


def test_a_progressive_jpeg_counts_as_its_decoder_holds_it() -> None:
    """All of its coefficients are in memory, however far it is reduced."""
    photo = Image.new("RGB", (2400, 2400))
    assert documents.decode(file(photo, "jpeg"), LIMITS).shape == (600, 600, 3)
    with pytest.raises(InvalidImage, match="OCR_MAX_IMAGE_MB"):
        documents.decode(file(photo, "jpeg", progressive=True), LIMITS)


def test_a_case_of_real_size() -> None:
    """48 megapixels by the default limits: decoded at half the size, in a fraction of the memory."""
    data = file(Image.new("L", (8064, 6048), 255), "jpeg")
    assert documents.decode(data, DocumentLimits()).shape == (3024, 4032, 3)


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "avif"])
def test_the_first_frame_of_an_animation_is_read(kind: str) -> None:
    """The others are no pages."""
    data = file(corner(), kind, save_all=True, append_images=[Image.new("RGB", (64, 48))], duration=100)
    assert np.abs(documents.decode(data, LIMITS)[4:20, 4:28].mean(axis=(0, 1)) - RED).max() < 40


def test_sixteen_bits_are_scaled() -> None:
    """Grey of 16 bits keeps its shades, in either order of its bytes."""
    shades = np.array([[0, 0x8000, 0xFFFF]], np.uint16)
    for values in (shades, shades.astype(">u2")):
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "tiff")
        assert documents.decode(buffer.getvalue(), LIMITS)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(("stated", "dpi"), [((300, 300), 300), ((72, 72), 72), ((1, 1), None), (None, None)])
def test_the_resolution_is_the_files(stated: tuple[int, int] | None, dpi: int | None) -> None:
    """What a file says is given back; one that says nothing, or nonsense, has none."""
    data = file(corner(), "jpeg", **({"dpi": stated} if stated else {}))
    assert documents.header(data).dpi == dpi


@pytest.mark.parametrize(
    ("stated", "shape"),
    [
        ((204, 98), (125, 100)),
        ((98, 204), (60, 208)),
        ((204, 196), (60, 100)),
        ((300, 72), (60, 100)),
        ((9, 3), (60, 100)),
    ],
)
def test_pixels_that_are_not_square_are_stretched(stated: tuple[int, int], shape: tuple[int, int]) -> None:
    """A fax has half as many lines to an inch as columns; places stay those of the picture as given."""
    data = file(Image.new("L", (100, 60), 255), "tiff", dpi=stated)
    assert documents.decode(data, DocumentLimits()).shape[:2] == shape
    assert documents.header(data).size == (100, 60)


def test_a_lying_picture_is_stretched_as_it_stands() -> None:
    """Its resolution is that of its columns and rows, before it is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = file(Image.new("L", (100, 60), 255), "tiff", dpi=(204, 98), exif=exif)
    assert documents.decode(data, DocumentLimits()).shape[:2] == (100, 125)
