"""`run.py import FILE.gguf`: makes a model of a GGUF file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from src.errors import ExitCode
from src.settings import Settings

NAME, HELP = "import", "convert a GGUF file for MLX"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.gguf", type=Path, help="of a model in several files, the first")
    parser.add_argument("--name", help="the model's name; default: the file's, without its ending")


def run(options: Namespace, settings: Settings) -> ExitCode:
    from src.hub import gguf

    return gguf.run(options.file.expanduser().absolute(), options.name, settings)
