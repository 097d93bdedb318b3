"""`run.py ocr FILE …`: reads documents, through the running service or without one."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from src.errors import ExitCode, ServiceError
from src.settings import Settings

NAME, HELP = "ocr", "read files: through the running service, or without one"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="documents, images, or folders of them")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="output folder; existing files are skipped")
    for name, help_text in (
        ("format", "text (default), json, markdown, html, hocr, alto, pdf"),
        ("pages", "such as 1-3,5"),
        ("dpi", "resolution of PDF pages"),
        ("language", "such as en"),
    ):
        parser.add_argument(f"--{name}", help=help_text)
    parser.add_argument("--force-ocr", action="store_true", help="read pixels even where a PDF holds text")


def run(options: Namespace, settings: Settings) -> ExitCode:
    from pydantic import ValidationError  # for this command only

    from src import ocr_files  # it brings Flask, which the supervisor does without
    from src.api.ocr.schemas import OcrFields  # as above

    names = ("pages", "dpi", "language", "force_ocr")
    given = {name: getattr(options, name) for name in names if getattr(options, name)}
    try:
        fields = OcrFields.model_validate({"format": options.format or "text", **given})
        fields.ranges()
    except (ValidationError, ServiceError) as error:
        first = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
        print(f"{first['loc'][0]}: {first['msg']}" if first else error, file=sys.stderr)
        return ExitCode.FAILURE
    return ocr_files.run(options.files, fields, options.out, settings)
