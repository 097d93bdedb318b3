"""`run.py bench`: asks every server in turn, round by round, so that whatever else the machine does meets them all."""

from __future__ import annotations

import secrets
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import psutil

from src import catalog, engine_record, selection
from src.bench import own, report
from src.bench.http import place
from src.bench.noise import busy_core
from src.bench.own import BenchError
from src.bench.report import Report, Result
from src.bench.target import BenchTarget, first_model, ready
from src.bench.workloads import Kind, Prompts, Workload, workload
from src.engine_record import MEASURED, EngineRecord, Measured
from src.errors import ExitCode, ModelLoadFailed
from src.settings import Settings


@dataclass(frozen=True)
class BenchOptions:
    """What is to be measured. No `urls`: this service, started for it. `models`: one for all, or one for each URL."""

    urls: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    streams: tuple[int, ...] = (1, 8, 16)
    prompt: int = 75
    tokens: int = 64
    rounds: int = 3
    kind: Kind = "uniform"
    timeout_s: float = 300.0
    as_json: bool = False
    turns: int = 4
    share: float = 0.7
    noise: bool = False

    def works(self) -> list[Workload]:
        return [workload(self.kind, streams, self.prompt, self.tokens, self.turns) for streams in self.streams]


def run(options: BenchOptions, settings: Settings) -> ExitCode:
    """Measure and print; FAILURE when a server cannot be measured, or gave no token in some round."""
    try:
        with _sigterm_as_interrupt(), ExitStack() as stack:
            targets = [ready(target, options.prompt) for target in _targets(options, settings, stack)]
            if options.noise:
                stack.enter_context(busy_core())
            works = _with_rates(options, targets)
            found = _measure(options, works, targets)
    except BenchError as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.FAILURE
    text = msgspec.json.encode(found).decode() if options.as_json else report.render(found, works)
    sys.stdout.write(f"{text}\n")
    return ExitCode.OK if all(one.tokens for result in found.results for one in result.rounds) else ExitCode.FAILURE


def run_engines(options: BenchOptions, settings: Settings) -> ExitCode:
    """Measure a GGUF file by each engine, one after the other, print, and keep which is faster."""
    model = options.models[0] if options.models else settings.default_model
    try:
        with _sigterm_as_interrupt():
            file = _gguf(options, model, settings)
            found = {engine: _rates(options, settings, model, engine) for engine in MEASURED}
            record = EngineRecord(options.streams, found, time.strftime("%Y-%m-%d"))
            engine_record.write(file, settings, record)
    except (BenchError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return ExitCode.FAILURE
    sys.stdout.write(f"{record.fastest}: {record.why}\n")
    _log("INFERENCE_ENGINE=auto takes it from the next start on")
    return ExitCode.OK


def _gguf(options: BenchOptions, model: str, settings: Settings) -> Path:
    if options.urls:
        raise BenchError("--engines measures this service: without --url")
    if selection.model_format(model, settings.models_path) != "gguf":
        raise BenchError(f"{model} is no GGUF file: other formats are one engine's")
    if not selection.has_llama_cpp(settings):
        raise BenchError("no llama.cpp server is installed (llama-server on PATH, LLAMA_CPP_COMMAND): MLX serves it")
    try:
        return selection.gguf_file(model, settings.models_path)
    except ModelLoadFailed as error:
        raise BenchError(error.message) from None


def _rates(options: BenchOptions, settings: Settings, model: str, engine: Measured) -> tuple[float, ...]:
    """Median tokens a second for each number of streams."""
    with ExitStack() as stack:
        _log(f"starting this service with {model} by {engine}")
        where = stack.enter_context(own.service(settings, model, engine))
        target = ready(BenchTarget(engine, where, model, Prompts(), options.timeout_s), options.prompt)
        results = _measure(options, options.works(), [target]).results
    if failed := [result for result in results if not all(one.tokens for one in result.rounds)]:
        raise BenchError(f"{engine} gave no token at {failed[0].streams} streams: nothing is kept")
    return tuple(statistics.median(one.rate for one in result.rounds) for result in results)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """As by ^C: what was started is stopped."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _targets(options: BenchOptions, settings: Settings, stack: ExitStack) -> list[BenchTarget]:
    if not options.urls:
        return [_own(options, settings, stack)]
    if len(options.models) not in (0, 1, len(options.urls)):
        raise BenchError("--model is given once for all servers, or once for each --url")
    keys = [key.strip() for key in settings.bench_api_keys.split(",")] + [""] * len(options.urls)
    models = options.models * (len(options.urls) if len(options.models) == 1 else 1) or ("",) * len(options.urls)
    http_request = zip(options.urls, keys, models, strict=False)
    return _unique_names([_external(options, url, key, model) for url, key, model in http_request])


def _unique_names(targets: list[BenchTarget]) -> list[BenchTarget]:
    """Two models of one server are named, too."""
    if len({target.name for target in targets}) < len(targets):
        targets = [replace(target, name=f"{target.name} {target.model}") for target in targets]
    if len({target.name for target in targets}) < len(targets):
        raise BenchError("one server and model is named twice")
    return targets


def _own(options: BenchOptions, settings: Settings, stack: ExitStack) -> BenchTarget:
    if len(options.models) > 1:
        raise BenchError("without --url one model is measured")
    model = options.models[0] if options.models else settings.default_model
    _log(f"starting this service with {model}")
    where = stack.enter_context(own.service(settings, model))
    return BenchTarget("stoker", where, model, Prompts(_tokenizer(model, settings)), options.timeout_s)


def _tokenizer(model: str, settings: Settings) -> Path | None:
    """The fake engine counts bytes; a GGUF file has its own inside."""
    folder = catalog.model_folder(model, settings.models_path)
    if folder is None or settings.inference_engine == "fake":
        return None
    file = folder / "tokenizer.json"
    return file if file.is_file() else None


def _external(options: BenchOptions, url: str, key: str, model: str) -> BenchTarget:
    try:
        where = place(url, key)
    except ValueError as error:
        raise BenchError(str(error)) from None
    name = repr(where)
    # it may know the prompts of an earlier run, or those of another URL that leads to it
    prompts = Prompts(seed=secrets.randbits(32))
    return BenchTarget(name, where, model or first_model(name, where), prompts, options.timeout_s)


def _with_rates(options: BenchOptions, targets: Sequence[BenchTarget]) -> list[Workload]:
    """Requests arrive at a share of what was measured in a closed loop before: the best of the others, or its own."""
    if options.kind != "poisson":
        return options.works()
    works = []
    for work in options.works():
        rates = [target.round(work, 0).rate / options.tokens for target in targets[1:] or targets]
        if not max(rates):
            raise BenchError(f"{work.name}: no server gave a token, so there is no rate to ask at")
        works.append(replace(work, rate=options.share * max(rates)))
        _log(f"{works[-1].name}: {options.share:.0%} of {max(rates):.2f} requests/s")
    return works


def _measure(options: BenchOptions, works: Sequence[Workload], targets: Sequence[BenchTarget]) -> Report:
    before = psutil.getloadavg()[0]
    results: list[Result] = []
    for work in works:
        mine = {target.name: Result(work.name, work.streams, work.requests, target.name, []) for target in targets}
        results += mine.values()
        for at in range(options.rounds):
            first = at % len(targets)
            for target in (*targets[first:], *targets[:first]):
                mine[target.name].rounds.append(target.round(work, at))
            _log(f"{work.name}: round {at + 1} of {options.rounds}")
    return Report(
        machine=report.machine(),
        load=(before, psutil.getloadavg()[0]),
        models={target.name: target.model for target in targets},
        notes={target.name: list(target.notes) for target in targets},
        results=results,
        noise=options.noise,
    )


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
