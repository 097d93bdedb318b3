"""`run.py pull MODEL`: fetches a model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from src.errors import ExitCode
from src.installation import command
from src.settings import Settings

NAME, HELP = "pull", "download a model: a starter, or one of Hugging Face or ModelScope"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=f"a starter ({command('models --suggest')}), or OWNER/NAME; with --quantize, a local model works too",
    )
    parser.add_argument("--source", choices=("huggingface", "modelscope"), help="where from; default: huggingface")
    parser.add_argument("--quantize", type=int, choices=(4, 8), metavar="4|8", help="bits; makes OWNER/NAME-4bit")
    parser.add_argument("--update", action="store_true", help="download a newer revision, if there is one")


def run(options: Namespace, settings: Settings) -> ExitCode:
    from src.hub import pull  # for this command only: it brings an HTTP client

    return pull.run(pull.PullOptions(options.model, options.source, options.quantize, options.update), settings)
