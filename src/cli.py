"""The command line, called by `run.py`: starts the service, or asks the one that runs. Prints for people; `--json` for
programs. Its exit codes are `errors.ExitCode`."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from src import keys
from src import settings as configuration
from src.commands import backup, install
from src.commands.doctor import Remedy, remedies
from src.errors import ExitCode, ServiceError
from src.hub import inventory
from src.ipc import client, runtime
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.control import AcquireModel, RestartRequest, StatusRequest, StopRequest, TrimRequest
from src.ipc.messages.status import SystemStatus
from src.ipc.messages.wire import AnyMessage
from src.settings import ROOT, Settings, SettingsError
from src.supervisor import main as supervisor
from src.supervisor.preflight import Finding, findings
from src.supervisor.processes import lives
from src.supervisor.table import align, render

_ANSWER_S = 5.0
_DEV_GRACE_S = 1.0  # a developer who saves a file does not wait for open streams
_STOP_MARGIN_S = 30.0
_WATCH_S = 1.0
_MOST = 1_000_000  # of anything that is counted on a command line
_SECRET = ("key", "token", "secret", "password")
_EPILOG = "Settings come from the environment and .env; `run.py config` shows them."


def main(argv: list[str]) -> ExitCode:
    """Run one command."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.command is None and options.mode is None:
        parser.print_help()
        return ExitCode.OK
    try:
        settings = configuration.load()
    except SettingsError as error:
        return _wrong(error.problems)
    try:
        return _dispatch(options, settings)
    except KeyboardInterrupt:
        return ExitCode.OK


def _wrong(problems: list[str]) -> ExitCode:
    print("These settings are wrong:", *problems, sep="\n  ", file=sys.stderr)
    return ExitCode.CONFIG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description="An OpenAI-compatible server.", epilog=_EPILOG)
    parser.add_argument("--mode", choices=("prod", "dev", "backends"), help="start: all, all with reload, without web")
    parser.add_argument("--lifeline", type=int, metavar="PID", help="with --mode backends: end when this process ends")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("check", help="show what was detected; fails when it cannot serve")
    config = commands.add_parser("config", help="show the effective settings and where they come from")
    config.add_argument("--example", action="store_true", help="write .env.example instead")
    status = commands.add_parser("status", help="show the running service")
    status.add_argument("--json", action="store_true", help="one JSON object")
    status.add_argument("--watch", action="store_true", help="again every second")
    commands.add_parser("doctor", help="show what ails the running service, clear caches, restart what is stuck")
    _add_ocr(commands.add_parser("ocr", help="read files: through the running service, or without one"))
    key = commands.add_parser("key", help="make an API key: `key new NAME` adds its digest to API_KEYS_FILE")
    key.add_argument("action", choices=("new",))
    key.add_argument("name", metavar="NAME", help="who will use it, for logs and metrics")
    key.add_argument("--role", choices=keys.ROLES, default="user", help="what it may do (docs/security.md); user")
    service = commands.add_parser("install-service", help="write systemd units or a launchd job for this machine")
    service.add_argument("--user", action="store_true", help="for this user alone, without root")
    saved = commands.add_parser("backup", help="write settings, digests of keys and logs into one archive")
    saved.add_argument("--models", action="store_true", help="the models as well")
    saved.add_argument("--output", type=Path, metavar="FILE", help="where to, instead of a dated file here")
    _add_bench(commands.add_parser("bench", help="measure this service, or any OpenAI server, under load"))
    _add_pull(commands.add_parser("pull", help="fetch a model from Hugging Face or ModelScope"))
    _add_mcp(commands.add_parser("mcp", help="offer the running service as MCP tools"))
    listed = commands.add_parser("models", help="list the models that are here, and whether they are whole")
    listed.add_argument("--json", action="store_true", help="one JSON array")
    commands.add_parser("stop", help="drain and stop the running service")
    return parser


def _add_ocr(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="documents, images, or folders of them")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="write here; what is there is not read again")
    for name, help_text in (
        ("format", "text (default), json, markdown, hocr, alto, pdf"),
        ("pages", "such as 1-3,5"),
        ("dpi", "resolution of PDF pages"),
        ("language", "such as en"),
    ):
        parser.add_argument(f"--{name}", help=help_text)
    parser.add_argument("--force-ocr", action="store_true", help="read pixels even where a PDF holds text")


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", action="append", default=[], help="a server that runs; more than once compares them")
    parser.add_argument("--model", action="append", default=[], help="for all servers, or one for each --url")
    parser.add_argument("--streams", type=_counts, default=(1, 8, 16), help="requests at once: 1,8,16")
    for name, default, help_text in (
        ("prompt", 75, "tokens of a prompt"),
        ("tokens", 64, "tokens of an answer"),
        ("rounds", 3, "times everything is asked"),
        ("timeout", 300, "seconds one answer may take"),
    ):
        parser.add_argument(f"--{name}", type=_count, default=default, help=f"{help_text}: {default}")
    kinds = ("uniform", "shared", "mixed")
    parser.add_argument("--workload", choices=kinds, default="uniform", help="prompts alike, with one beginning, mixed")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {_MOST}")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(map(_count, text.split(","))))


def _add_pull(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="OWNER/NAME; with --quantize, a model that is here does too")
    parser.add_argument("--source", choices=("huggingface", "modelscope"), help="huggingface unless told otherwise")
    parser.add_argument("--quantize", type=int, choices=(4, 8), metavar="4|8", help="bits; makes OWNER/NAME-4bit")
    parser.add_argument("--update", action="store_true", help="fetch what is here again, if there is a newer revision")


def _add_mcp(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--http", action="store_true", help="over HTTP, instead of standard input and output")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; beyond this machine only with API keys")
    parser.add_argument("--port", type=int, default=8001, help="8001 unless told otherwise")


def offer_tools(options: argparse.Namespace, settings: Settings) -> ExitCode:
    """Serve the Model Context Protocol."""
    from src.mcp import main as mcp  # noqa: PLC0415  # for this command only: it brings a web server

    return mcp.http(settings, options.host, options.port) if options.http else mcp.stdio(settings)


def measure(options: argparse.Namespace, settings: Settings) -> ExitCode:
    """Measure servers under load."""
    from src.bench import main as bench  # noqa: PLC0415  # for this command only

    given = {name: getattr(options, name) for name in ("streams", "prompt", "tokens", "rounds")}
    urls, models = tuple(options.url), tuple(options.model)
    wish = bench.BenchOptions(
        urls, models, kind=options.workload, timeout_s=options.timeout, as_json=options.json, **given
    )
    return bench.run(wish, settings)


def get(options: argparse.Namespace, settings: Settings) -> ExitCode:
    """Fetch a model."""
    from src.hub import pull  # noqa: PLC0415  # for this command only: it brings an HTTP client

    return pull.run(pull.PullOptions(options.model, options.source, options.quantize, options.update), settings)


def list_models(settings: Settings, *, as_json: bool) -> ExitCode:
    found = list(inventory.models(settings.models_path))
    print(msgspec.json.encode(found).decode() if as_json else inventory.render(found))
    return ExitCode.OK


def read(options: argparse.Namespace, settings: Settings) -> ExitCode:
    """Have files read."""
    from pydantic import ValidationError  # noqa: PLC0415  # for this command only

    from src import batch  # noqa: PLC0415  # it brings Flask, which the supervisor does without
    from src.api.ocr.schemas import OcrFields  # noqa: PLC0415  # as above

    names = ("pages", "dpi", "language", "force_ocr")
    given = {name: getattr(options, name) for name in names if getattr(options, name)}
    try:
        fields = OcrFields.model_validate({"format": options.format or "text", **given})
        fields.ranges()
    except (ValidationError, ServiceError) as error:
        first = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
        print(f"{first['loc'][0]}: {first['msg']}" if first else error, file=sys.stderr)
        return ExitCode.FAILURE
    return batch.run(options.files, fields, options.out, settings)


def _dispatch(options: argparse.Namespace, settings: Settings) -> ExitCode:
    commands: dict[str | None, Callable[[], ExitCode]] = {
        None: lambda: start(options.mode, settings, options.lifeline),
        "backup": lambda: back_up(settings, options.output, models=options.models),
        "bench": lambda: measure(options, settings),
        "check": lambda: check(settings),
        "config": lambda: write_example() if options.example else show_config(settings),
        "doctor": lambda: doctor(settings),
        "install-service": lambda: install_service(settings, user=options.user),
        "key": lambda: new_key(options.name, settings, options.role),
        "mcp": lambda: offer_tools(options, settings),
        "models": lambda: list_models(settings, as_json=options.json),
        "ocr": lambda: read(options, settings),
        "pull": lambda: get(options, settings),
        "status": lambda: status(settings, as_json=options.json, watch=options.watch),
        "stop": lambda: stop(settings),
    }
    return commands[options.command]()


def start(mode: str, settings: Settings, lifeline: int | None = None) -> ExitCode:
    """Become the supervisor."""
    try:
        exposed = keys.exposure(settings.host, settings) if mode != "backends" else None
    except SettingsError as error:
        return _wrong(error.problems)
    if exposed:
        return _wrong([exposed])
    if mode == "dev":
        settings = settings.model_copy(update={"debug": True, "graceful_timeout": _DEV_GRACE_S})
    return supervisor.run(settings, with_web=mode != "backends", reload=mode == "dev", lifeline=lifeline)


# ---- check


def check(settings: Settings) -> ExitCode:
    problems = []
    for finding in findings(settings):
        print(_line(finding), flush=True)
        if finding.problem:
            problems.append(finding.problem)
    print("\nReady to serve." if not problems else f"\nCannot serve: {'; '.join(problems)}")
    return ExitCode.FAILURE if problems else ExitCode.OK


def _line(finding: Finding) -> str:
    mark = "✗" if finding.problem else " "
    return f"{mark} {finding.label:<16} {finding.value}" + (f"  — {finding.problem}" if finding.problem else "")


# ---- config


def show_config(settings: Settings) -> ExitCode:
    rows = [
        (name.upper(), masked(name, getattr(settings, name)), configuration.source_of(name))
        for group in configuration.GROUPS
        for name in group.model_fields
    ]
    print(align([("SETTING", "VALUE", "SOURCE"), *rows]))
    return ExitCode.OK


def masked(name: str, value: object) -> str:
    """A setting's value for the screen. Numbers (`DEFAULT_MAX_TOKENS`) are no secrets; a URL may hold one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    if str(value) and any(word in name.lower() for word in _SECRET):
        return "********"
    return re.sub(r"://[^/@\s]*@", "://********@", str(value))


def write_example(path: Path = ROOT / ".env.example") -> ExitCode:
    path.write_text(configuration.example(), encoding="utf-8")
    print(f"wrote {path}")
    return ExitCode.OK


# ---- keys


def new_key(name: str, settings: Settings, role: keys.Role = "user") -> ExitCode:
    """The key is shown this once; only its digest is kept."""
    path = settings.api_keys_path or ROOT / "api_keys"
    try:
        key, line = keys.create(name, role)
        keys.append(path, line)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILURE
    print(key)
    print(f"Its role is {role}. Its digest is in {path}; the key is shown only now.", file=sys.stderr)
    if settings.api_keys_path is None:
        print(f"Set API_KEYS_FILE={path} in .env, then restart.", file=sys.stderr)
    else:
        print("A running service knows it after SIGHUP to its supervisor, or a restart.", file=sys.stderr)
    return ExitCode.OK


# ---- backup


def back_up(settings: Settings, target: Path | None, *, models: bool) -> ExitCode:
    path = target or Path.cwd() / backup.name(time.time())
    try:
        count = backup.write(settings, path, models=models, report=lambda text: print(text, file=sys.stderr))
    except OSError as error:
        print(f"{path}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.FAILURE
    print(f"{count} files in {path}")
    return ExitCode.OK


# ---- install-service


def install_service(settings: Settings, *, user: bool, folder: Path = ROOT / "deploy" / "local") -> ExitCode:
    planned = install.plan(settings, folder, user=user)
    install.write(planned)
    print("Written:", *planned.files, sep="\n  ")
    print("\nTo enable it:", *planned.commands, sep="\n  ")
    return ExitCode.OK


# ---- status


def status(settings: Settings, *, as_json: bool, watch: bool) -> ExitCode:
    while True:
        answer = _ask(settings, StatusRequest())
        if not isinstance(answer, SystemStatus):
            return _nobody(settings)
        if watch and not as_json:
            print("\033[2J\033[H", end="")  # clear the screen
        print(msgspec.json.encode(answer).decode() if as_json else render(answer, _memory_of), flush=True)
        if not watch:
            return ExitCode.OK
        time.sleep(_WATCH_S)


def _ask(settings: Settings, question: AnyMessage) -> AnyMessage | None:
    try:
        return client.ask(runtime.control_socket(settings.runtime_path), question, _ANSWER_S)
    except client.Unanswered:
        return None


def _nobody(settings: Settings) -> ExitCode:
    print(f"No service answers in {settings.runtime_path}.", file=sys.stderr)
    return ExitCode.FAILURE


def _memory_of(pid: int) -> int | None:
    """Resident bytes of a process and all below it."""
    try:
        root = psutil.Process(pid)
        return sum(int(process.memory_info().rss) for process in (root, *root.children(recursive=True)))
    except psutil.Error:
        return None


# ---- doctor


def doctor(settings: Settings) -> ExitCode:
    """Show, and do what an operator would otherwise script."""
    answer = _ask(settings, StatusRequest())
    if not isinstance(answer, SystemStatus):
        return _nobody(settings)
    print(render(answer, _memory_of), flush=True)
    done = [_carry_out(remedy, settings) for remedy in remedies(answer, settings.engine_stall_timeout)]
    return ExitCode.OK if all(done) else ExitCode.FAILURE


def _carry_out(remedy: Remedy, settings: Settings) -> bool:
    control = runtime.control_socket(settings.runtime_path)
    if remedy.act == "load":
        return _told(remedy, control, AcquireModel(remedy.name, retry=True), "it is there now", "loading it")
    if remedy.act == "restart":
        return _told(remedy, control, RestartRequest(remedy.name), "restarting it")
    engine = runtime.engine_socket(settings.runtime_path, remedy.name.partition(":")[2])
    return _told(remedy, engine, TrimRequest(), "done")


def _told(remedy: Remedy, path: Path, order: AnyMessage, done: str, waits: str | None = None) -> bool:
    """Give an order and print how it went. `waits`: what it is to get no answer yet, if that is no failure."""
    try:
        answer = client.ask(path, order, _ANSWER_S)
    except client.WaitTimeout:
        well, said = waits is not None, waits or "it does not answer"
    except client.Unanswered:
        well, said = False, "it does not answer"
    else:
        well = isinstance(answer, Accepted)
        said = done if well else answer.message if isinstance(answer, Failed) else "it does not understand"
    print(f"{remedy.name} {remedy.why}; {said}")
    return well


# ---- stop


def stop(settings: Settings) -> ExitCode:
    """Returns when the supervisor is gone, so that the next one can start at once."""
    running = _ask(settings, StatusRequest())
    if not isinstance(running, SystemStatus) or not isinstance(_ask(settings, StopRequest()), Accepted):
        return _nobody(settings)
    if not _ends(running.pid, settings.graceful_timeout + 2 * settings.stop_timeout + _STOP_MARGIN_S):
        print("The service is still stopping; `run.py status` shows what it waits for.", file=sys.stderr)
        return ExitCode.FAILURE
    print("stopped")
    return ExitCode.OK


def _ends(pid: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return True
    while (alive := lives(process)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive
