"""`run.py pull MODEL`: fetches a model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from src.errors import ExitCode
from src.settings import Settings

NAME, HELP = "pull", "fetch a model from Hugging Face or ModelScope"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="OWNER/NAME; with --quantize, a model that is here does too")
    parser.add_argument("--source", choices=("huggingface", "modelscope"), help="huggingface unless told otherwise")
    parser.add_argument("--quantize", type=int, choices=(4, 8), metavar="4|8", help="bits; makes OWNER/NAME-4bit")
    parser.add_argument("--update", action="store_true", help="fetch what is here again, if there is a newer revision")


def run(options: Namespace, settings: Settings) -> ExitCode:
    from src.hub import pull  # for this command only: it brings an HTTP client

    return pull.run(pull.PullOptions(options.model, options.source, options.quantize, options.update), settings)
