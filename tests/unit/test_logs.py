"""Logs: one JSON line per record, each in its file, and no text that can do more than be read."""

from __future__ import annotations

import io
import json
import logging
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from src import logs
from tests.conftest import MakeSettings

Configure = Callable[..., Path]
NASTY = 'a\n{"level": "ERROR", "message": "forged"}\r\n\x1b[31mred\x1b[0m\u2028\u202eb'


@pytest.fixture
def configure(make_settings: MakeSettings) -> Iterator[Configure]:
    """Sets logging up as a process does, and takes it down again; gives the folder of the files."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def set_up(level: str = "INFO", **changes: Any) -> Path:
        settings = make_settings(**changes)
        logs.configure("test", settings, level)
        return settings.log_path

    yield set_up
    root.handlers, root.level = handlers, level
    logger.remove()
    logger.configure(patcher=lambda record: None, extra={})
    logger.add(_to_stderr)


def _to_stderr(message: str) -> None:
    """pytest gives every test a sys.stderr of its own: it is looked up for each line."""
    sys.stderr.write(message)


def entries(folder: Path, name: str = "app.log") -> list[dict[str, Any]]:
    """Every line of a file, each of which must be JSON."""
    return [json.loads(line) for line in (folder / name).read_bytes().split(b"\n") if line]


@pytest.mark.parametrize(
    ("terminal", "changes", "shown"),
    [
        (False, {}, ["warning"]),
        (True, {}, ["info", "warning"]),
        (False, {"enable_log_file": False}, ["info", "warning"]),
        (False, {"console_log_level": "INFO"}, ["info", "warning"]),
        (True, {"console_log_level": "ERROR"}, []),
    ],
)
def test_a_journal_does_not_repeat_what_the_files_have(
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    changes: dict[str, Any],
    shown: list[str],
) -> None:
    """Without a terminal the console has warnings alone, unless it is the only place or CONSOLE_LOG_LEVEL asks."""
    console = io.StringIO()
    monkeypatch.setattr(console, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", console)
    configure(**{"enable_log_file": True} | changes)
    logger.info("info")
    logger.warning("warning")
    assert [line.split()[-1] for line in console.getvalue().splitlines()] == shown


def test_each_stream_has_its_file(configure: Configure) -> None:
    """A record is in the file of its stream and in no other."""
    folder = configure()
    logger.info("for app")
    logs.api.info("for api")
    logs.model.info("for model")
    logs.system.info("for system")
    found = {name: [entry["message"] for entry in entries(folder, name)] for name in logs.FILES.values()}
    assert found == {
        "app.log": ["for app"],
        "api_requests.log": ["for api"],
        "model_operations.log": ["for model"],
        "system_metrics.log": ["for system"],
        "errors.log": [],
    }


def test_errors_are_in_errors_log_too(configure: Configure) -> None:
    """Whoever looks for what went wrong needs one file only."""
    folder = configure()
    logs.api.error("broken")
    logs.model.critical("worse")
    logger.warning("a warning is no error")
    assert [entry["message"] for entry in entries(folder, "errors.log")] == ["broken", "worse"]
    assert [entry["message"] for entry in entries(folder, "api_requests.log")] == ["broken"]


def test_what_a_line_holds(configure: Configure) -> None:
    """A line tells when, where, which process and which request, with the bound facts beside it."""
    folder = configure()
    token = logs.request_id.set("req-1")
    logger.bind(tokens=3, nothing=None).info("done")
    logs.request_id.reset(token)
    (entry,) = entries(folder)
    assert entry["ts"].endswith("+00:00")
    assert entry["where"].startswith("tests.unit.test_logs:")
    assert {key: entry[key] for key in ("level", "process", "request_id", "message", "tokens")} == {
        "level": "INFO",
        "process": "test",
        "request_id": "req-1",
        "message": "done",
        "tokens": 3,
    }
    assert not {"stream", "nothing"} & set(entry)
    assert not [key for key in entry if key.startswith("_")]


@pytest.mark.parametrize(
    "text", ["{nosuch}", "{0.__class__.__mro__}", "{", "}", "{extra[_json]}", "<red>x</red>", "%s"]
)
def test_text_is_never_a_format_string(text: str, configure: Configure) -> None:
    """Braces in what a user sent are logged as they are, in messages and in bound facts."""
    folder = configure()
    logger.info("user said {}", text)
    logger.bind(path=text).info("a fact")
    logging.getLogger("library").info(text)
    first, second, third = entries(folder)
    assert first["message"] == f"user said {text}"
    assert second["path"] == text
    assert third["message"] == text


def test_nothing_forges_a_line(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    """Newlines, terminal sequences and bidi marks stay inside their one line, in the files and on the console."""
    folder = configure(console_log_level="INFO")
    logger.bind(path=NASTY).info("said {}", NASTY)
    raw = (folder / "app.log").read_text(encoding="ascii")
    assert raw.count("\n") == 1
    assert raw.rstrip("\n").isprintable()
    (entry,) = entries(folder)
    assert (entry["message"], entry["path"]) == (f"said {NASTY}", NASTY)
    console = capfd.readouterr().err
    assert console.count("\n") == 1
    assert console.rstrip("\n").isprintable()


def test_the_standard_library_is_heard(configure: Configure) -> None:
    """Records of libraries are in our files, with their level."""
    folder = configure()
    logging.getLogger("some.library").warning("disk is %d%% full", 93)
    (entry,) = entries(folder)
    assert (entry["level"], entry["message"]) == ("WARNING", "disk is 93% full")


def test_a_library_with_a_level_of_its_own(configure: Configure) -> None:
    """A level that loguru does not know does not break the library that uses it."""
    folder = configure()
    logging.getLogger("some.library").log(35, "odd")
    assert [entry["message"] for entry in entries(folder)] == ["odd"]


def test_a_broken_log_call_does_not_break_the_caller(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A library whose log call has wrong arguments goes on working, as with the standard library's own handlers."""
    configure()
    monkeypatch.setattr(logging, "raiseExceptions", True)
    logging.getLogger("some.library").info("%d files", "no number")
    assert "no number" in capfd.readouterr().err


def test_an_exception_comes_with_its_traceback(configure: Configure) -> None:
    """The files hold the traceback, whether loguru or the standard library caught it."""
    folder = configure()
    try:
        raise ValueError("the reason")
    except ValueError:
        logger.exception("it failed")
        logging.getLogger("library").exception("it failed")
    found = entries(folder, "errors.log")
    assert [entry["message"] for entry in found] == ["it failed"] * 2
    assert all("ValueError: the reason" in entry["traceback"] for entry in found)


def test_tracebacks_do_not_show_variables(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    """What a user wrote stands in variables; it must not get into a log by way of a traceback."""
    folder = configure()

    def fail(prompt: str) -> int:
        return len(prompt) // 0

    try:
        fail("canary-" + "1234")
    except ZeroDivisionError:
        logger.exception("it failed")
    written = capfd.readouterr().err + "".join(file.read_text() for file in folder.iterdir())
    assert "ZeroDivisionError" in written
    assert "canary-1234" not in written


def test_a_long_traceback_is_cut(configure: Configure) -> None:
    """An endless recursion does not fill the disk; the end, which names the error, is kept."""
    folder = configure()
    try:
        raise ValueError("x" * 20_000 + " the end")
    except ValueError:
        logger.exception("it failed")
    (entry,) = entries(folder)
    assert len(entry["traceback"]) <= 8000
    assert entry["traceback"].rstrip().endswith("the end")


def test_files_are_private(configure: Configure) -> None:
    """Log files are not readable by everybody."""
    folder = configure()
    logger.info("x")
    modes = {stat.S_IMODE(file.stat().st_mode) & 0o007 for file in folder.iterdir()}
    assert modes == {0}


def test_a_renamed_file_is_replaced(configure: Configure) -> None:
    """The janitor may rename a file at any time: the next line opens a new one, and none is lost."""
    folder = configure()
    logger.info("before")
    (folder / "app.log").rename(folder / "app.20260101T000000.log")
    logger.info("after")
    assert [entry["message"] for entry in entries(folder)] == ["after"]
    assert [entry["message"] for entry in entries(folder, "app.20260101T000000.log")] == ["before"]


def test_without_files(configure: Configure, capfd: pytest.CaptureFixture[str]) -> None:
    """ENABLE_LOG_FILE=false writes to the console alone."""
    folder = configure(enable_log_file=False)
    logger.info("hello")
    assert not folder.exists()
    assert "hello" in capfd.readouterr().err


@pytest.mark.parametrize(("level", "expected"), [("DEBUG", ["d", "w"]), ("INFO", ["w"]), ("ERROR", [])])
def test_the_level_is_kept(level: str, expected: list[str], configure: Configure) -> None:
    """Records below the level are not written."""
    folder = configure(level)
    logger.debug("d")
    logger.warning("w")
    assert [entry["message"] for entry in entries(folder)] == expected
