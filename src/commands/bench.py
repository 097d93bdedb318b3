"""`run.py bench`: measures this service, or any OpenAI server, under load."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from src.errors import ExitCode
from src.settings import Settings

NAME, HELP = "bench", "measure this service, or any OpenAI-compatible server"
_MOST = 1_000_000  # upper bound of any count on the command line


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--url", action="append", default=[], help="a running server; several are compared")
    parser.add_argument("--model", action="append", default=[], help="for all servers, or one for each --url")
    parser.add_argument("--streams", type=_counts, default=(1, 8, 16), help="requests at once: 1,8,16")
    for name, default, help_text in (
        ("prompt", 75, "tokens of a prompt"),
        ("tokens", 64, "tokens of a response"),
        ("rounds", 3, "rounds of measurement"),
        ("timeout", 300, "seconds one response may take"),
    ):
        parser.add_argument(f"--{name}", type=_count, default=default, help=f"{help_text}: {default}")
    kinds = ("uniform", "shared", "mixed", "closed", "poisson")
    text = "all at once: similar prompts, one prefix, or mixed; clients in a closed loop; or independent arrivals"
    parser.add_argument("--workload", choices=kinds, default="uniform", help=text)
    parser.add_argument("--turns", type=_count, default=4, help="closed, poisson: prompts of each client: 4")
    share = "poisson: arrivals, as a share of the capacity measured before: 0.7"
    parser.add_argument("--share", type=_share, default=0.7, help=share)
    text = (
        "measure a GGUF file by each engine that can serve it; INFERENCE_ENGINE=auto takes the faster one from then on"
    )
    parser.add_argument("--engines", action="store_true", help=text)
    parser.add_argument("--noise", action="store_true", help="keep one core busy meanwhile")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST):
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST}")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 10:
        raise ArgumentTypeError(f"{text!r} is not a share above 0, up to 10")
    return share


def _counts(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(map(_count, text.split(","))))


def run(options: Namespace, settings: Settings) -> ExitCode:
    from src.bench import main as bench  # for this command only

    given = {
        name: getattr(options, name) for name in ("streams", "prompt", "tokens", "rounds", "turns", "share", "noise")
    }
    urls, models = tuple(options.url), tuple(options.model)
    bench_options = bench.BenchOptions(
        urls, models, kind=options.workload, timeout_s=options.timeout, as_json=options.json, **given
    )
    return bench.run_engines(bench_options, settings) if options.engines else bench.run(bench_options, settings)
