"""PDFs behind passwords, after junk, and in ZIP archives."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, Literal

import pikepdf
import pytest
from PIL import Image

from src.errors import InvalidDocument, InvalidImage
from src.ocr.documents import Document, DocumentLimits
from src.ocr.open_documents import open_document
from tests.unit.ocr import files

Revision = Literal[2, 3, 4, 6]

TEXT = "The north pier is closed until Thursday"


def opened(folder: Path, data: bytes, password: str = "", **limits: Any) -> Document:
    path = folder / "document"
    path.write_bytes(data)
    return open_document(path, DocumentLimits(**limits), password=password)


def text(document: Document, number: int = 0) -> str:
    own = document.text(number, 150)
    assert own is not None
    return own[0].text


def locked(revision: Revision, user: str = "", owner: str = "boss") -> bytes:
    buffer = io.BytesIO()
    with pikepdf.open(io.BytesIO(files.pdf([TEXT]))) as document:
        encryption = pikepdf.Encryption(owner=owner, user=user, R=revision, aes=revision > 3, metadata=revision > 3)
        document.save(buffer, encryption=encryption)
    return buffer.getvalue()


# ---- passwords


@pytest.mark.parametrize("revision", [2, 3, 4, 6])
@pytest.mark.parametrize("password", ["secret", "boss"])
def test_either_password_opens_a_pdf(tmp_path: Path, revision: Revision, password: str) -> None:
    """That of its user, and that of its owner, by every kind of encryption."""
    assert text(opened(tmp_path, locked(revision, "secret"), password)) == TEXT


@pytest.mark.parametrize("revision", [4, 6])
def test_a_wrong_password_is_named(tmp_path: Path, revision: Revision) -> None:
    """The parameter is `password`, whether it is wrong or missing."""
    for password, says in (("guess", "password is wrong"), ("", "is encrypted")):
        with pytest.raises(InvalidDocument, match=says) as caught:
            opened(tmp_path, locked(revision, "secret"), password)
        assert caught.value.param == "password"


@pytest.mark.parametrize("password", ["", "boss", "whatever"])
def test_a_pdf_that_only_forbids_changes_needs_none(tmp_path: Path, password: str) -> None:
    """Its user's password is empty: a superfluous one does no harm."""
    assert text(opened(tmp_path, locked(6), password)) == TEXT


def test_a_password_may_hold_any_letters(tmp_path: Path) -> None:
    """UTF-8 since PDF 2.0, Latin 1 before."""
    assert text(opened(tmp_path, locked(6, "Schlüssel-鍵"), "Schlüssel-鍵")) == TEXT


# ---- junk


@pytest.mark.parametrize("junk", [b"\n", b"\xef\xbb\xbf", b"HTTP/1.1 200 OK\r\n\r\n", bytes(1000)])
def test_junk_before_the_header_is_skipped(tmp_path: Path, junk: bytes) -> None:
    """Mail and web servers leave it there."""
    assert text(opened(tmp_path, junk + files.pdf([TEXT]))) == TEXT


def test_a_megabyte_of_junk_is_no_pdf(tmp_path: Path) -> None:
    """No reader looks that far."""
    with pytest.raises(InvalidDocument, match="not a PDF"):
        opened(tmp_path, bytes(1 << 20) + files.pdf([TEXT]))


# ---- archives


def test_the_pages_of_pdfs_in_a_zip_are_pages(tmp_path: Path) -> None:
    """In natural order of names, mixed with images; folders are walked."""
    data = files.zipped(
        {
            "b/10.png": files.png(Image.new("L", (21, 9))),
            "b/9.pdf": files.pdf([f"{TEXT} {at}" for at in range(3)]),
            "a.tif": files.tiff(2),
            "b/": b"",
        }
    )
    document = opened(tmp_path, data)
    assert document.pages == 6
    assert [document.pixels(number, 72).shape[1] for number in (0, 1, 5)] == [10, 11, 21]
    assert [text(document, number) for number in (4, 2)] == [f"{TEXT} 2", f"{TEXT} 0"]
    assert document.dpi(3, 72) == 72
    assert document.given_size(3) is None
    assert document.given_size(5) == (21, 9)


def test_a_locked_pdf_in_a_zip(tmp_path: Path) -> None:
    """The password is for every file; without it that file is a page with an error."""
    data = files.zipped({"1.pdf": locked(6, "secret"), "2.pdf": files.pdf([TEXT])})
    assert text(opened(tmp_path, data, "secret"), 0) == TEXT
    document = opened(tmp_path, data)
    assert text(document, 1) == TEXT
    with pytest.raises(InvalidDocument, match="encrypted"):
        document.text(0, 150)


def test_damage_in_a_zip_fails_alone(tmp_path: Path) -> None:
    """A PDF that is none, an archive in the archive, a file that expands without end."""
    data = files.zipped(
        {
            "1.pdf": b"%PDF-1.7\nnothing of a PDF follows",
            "2.zip": files.zipped({"1.png": files.png(Image.new("L", (9, 9)))}),
            "3.pdf": files.pdf([TEXT]) + bytes(2 << 20),
            "4.pdf": files.pdf([TEXT]),
        }
    )
    document = opened(tmp_path, data, max_member_bytes=1 << 20)
    assert document.pages == 4
    for number, says in enumerate(["damaged", "not a PDF, PNG", "expands to more than 1 MiB"]):
        with pytest.raises((InvalidDocument, InvalidImage), match=says):
            document.text(number, 150)
    assert text(document, 3) == TEXT


def test_pages_in_a_zip_are_counted_to_the_limit(tmp_path: Path) -> None:
    """A thousand files of a thousand pages are not all opened."""
    data = files.zipped({f"{at}.pdf": files.pdf(["x"] * 9) for at in range(9)})
    assert opened(tmp_path, data, max_pages=20).pages == 27


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("[Content_Types].xml", "word/document.xml", "word/media/image1.png"), "Word"),
        (("[Content_Types].xml", "xl/workbook.xml"), "Excel"),
        (("[Content_Types].xml", "ppt/presentation.xml"), "PowerPoint"),
        (("mimetype", "content.xml", "Pictures/1.png"), "OpenDocument"),
        (("mimetype", "META-INF/container.xml"), "EPUB"),
    ],
)
def test_an_office_document_is_named(tmp_path: Path, names: tuple[str, ...], says: str) -> None:
    """Its pictures are not its pages: the answer says what to do."""
    picture = files.png(Image.new("L", (9, 9)))
    with pytest.raises(InvalidDocument, match=f"{says}.*save it as a PDF"):
        opened(tmp_path, files.zipped(dict.fromkeys(names, picture)))


def test_an_encrypted_zip_is_the_files_fault(tmp_path: Path) -> None:
    """There is no password for it."""
    data = bytearray(files.zipped({"1.png": files.png(Image.new("L", (9, 9)))}, zipfile.ZIP_STORED))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    with pytest.raises(InvalidDocument, match="no images or PDFs"):
        opened(tmp_path, bytes(data))
