"""`run.py bench` from its arguments to its table, against servers that misbehave."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from src import cli
from src.bench import own
from src.bench.http import ServerAddress, place
from src.bench.main import BenchOptions
from src.errors import ExitCode
from src.settings import Settings
from tests.unit.bench.crooked import Answer, crooked, cut, good, refusing, strict, uncounted

Out = pytest.CaptureFixture[str]
SMALL = ["--streams", "1,3", "--prompt", "20", "--tokens", "6", "--rounds", "2"]


def bench(*arguments: str) -> ExitCode:
    return cli.main(["bench", *SMALL, *arguments])


def test_two_servers_side_by_side(capsys: Out) -> None:
    """Each has a row in each table; the second is compared with the first."""
    with crooked(good) as one, crooked(uncounted) as other:
        assert bench("--url", one.url, "--url", other.url) == ExitCode.OK
        http_request = [len(body["messages"][0]["content"].split()) for body in one.bodies[1:]]
    text = capsys.readouterr().out
    first, second = one.url.removeprefix("http://"), other.url.removeprefix("http://")
    assert [text.count(f"\n{name} ") for name in (first, second)] == [2, 2]
    assert "1 stream, 20 + 6" in text
    assert "3 streams, 20 + 6" in text
    assert text.count("×") == 4  # the first round has a row of its own
    assert [text.count(f"\n{name}, first round ") for name in (first, second)] == [2, 2]
    assert f"{first}: prompts of 20 tokens by its own count" in text
    assert f"{second}: tells no usage" in text
    assert f"{second}: 8 answers ended before the length" in text
    assert http_request == [20] * 8


def test_failures_are_shown(capsys: Out) -> None:
    """The first answers are whole, then one is cut and all others refused."""
    with crooked(good, good, good, cut, refusing(429, "Full.")) as server:
        assert bench("--url", server.url, "--json") == ExitCode.FAILURE
    found = json.loads(capsys.readouterr().out)
    rounds = [one for result in found["results"] for one in result["rounds"]]
    assert [one["failures"] for one in rounds] == [{}, {}, {"broken off": 1, "429: Full.": 2}, {"429: Full.": 3}]
    assert [one["tokens"] for one in rounds] == [6, 6, 2, 0]


def test_failures_are_named_in_the_table(capsys: Out) -> None:
    with crooked(good, good, good, cut, good) as server:
        assert bench("--url", server.url) == ExitCode.OK
    text = capsys.readouterr().out
    assert "1 of 3" in text
    assert ": 1 failed: broken off" in text


@pytest.mark.parametrize("unknown", [("ignore_eos",), ("stream_options",), ("ignore_eos", "stream_options")])
def test_a_field_that_is_refused_is_left_out(unknown: tuple[str, ...], capsys: Out) -> None:
    with crooked(strict(*unknown)) as server:
        assert bench("--url", server.url) == ExitCode.OK
        assert not set(unknown) & set(server.bodies[-1])
    assert ("answers vary in length" in capsys.readouterr().out) == ("ignore_eos" in unknown)


def test_a_shared_beginning_is_warmed_before(capsys: Out) -> None:
    """One request more for each round, and the same system prompt for all of one."""
    with crooked(good) as server:
        assert bench("--url", server.url, "--workload", "shared") == ExitCode.OK
        bodies = server.bodies
    assert len(bodies) == 1 + 2 * (1 + 1) + 2 * (3 + 1)
    assert len({body["messages"][0]["content"] for body in bodies[-4:]}) == 1
    assert "shared 17-token prefix, warm" in capsys.readouterr().out


def test_keys_come_from_the_environment_one_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first server's key is not shown to the second."""
    monkeypatch.setenv("BENCH_API_KEYS", "sk-one")
    with crooked(good) as one, crooked(good) as other:
        assert bench("--url", one.url, "--url", other.url) == ExitCode.OK
        assert all(b"Bearer sk-one" in head for head in one.heads)
        assert not any(b"Authorization" in head for head in other.heads)
        assert {body["model"] for body in one.bodies} == {"crook"}


def test_no_prompt_is_sent_twice() -> None:
    """A server that has a prefix cache would answer from it."""
    with crooked(good) as server:
        for _ in range(2):
            assert (
                bench("--url", server.url, "--url", f"{server.url}/v1", "--model", "a", "--model", "b") == ExitCode.OK
            )
        sent = [body["messages"][0]["content"] for body in server.bodies]
    assert len(set(sent)) == len(sent) == 36


def test_a_missing_key_is_asked_for(capsys: Out) -> None:
    with crooked(refusing(401, "A key, please.")) as server:
        assert bench("--url", server.url, "--model", "m") == ExitCode.FAILURE
    assert "401: A key, please. (BENCH_API_KEYS holds the keys)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (lambda url: ["--url", url, "--url", url], "named twice"),
        (lambda url: ["--url", url, "--model", "a", "--model", "b"], "once for each"),
        (lambda url: ["--url", "nowhere"], "not a server URL"),
        (lambda url: ["--model", "a", "--model", "b"], "one model"),
        (lambda url: ["--url", url, "--model", "m"], "answers no chat: 503: Loading."),
    ],
)
def test_what_cannot_be_measured_is_said(arguments: Callable[[str], list[str]], said: str, capsys: Out) -> None:
    with crooked(refusing(503, "Loading.")) as server:
        assert bench(*arguments(server.url)) == ExitCode.FAILURE
    assert said in capsys.readouterr().err


def test_two_models_of_one_server_are_told_apart(capsys: Out) -> None:
    with crooked(good) as server:
        assert bench("--url", server.url, "--url", server.url, "--model", "a", "--model", "b") == ExitCode.OK
    text = capsys.readouterr().out
    assert f"{server.url.removeprefix('http://')} b" in text


@pytest.mark.parametrize("wrong", ["0", "-1", "x", "1,,2", "²"])
def test_wrong_numbers_are_refused(wrong: str) -> None:
    with pytest.raises(SystemExit):
        cli.main(["bench", "--streams", wrong])


def test_the_defaults_of_the_command_line_are_those_of_the_wish() -> None:
    options = cli.make_parser().parse_args(["bench"])
    wish = BenchOptions()
    assert options.streams == wish.streams
    assert (options.prompt, options.tokens, options.rounds) == (wish.prompt, wish.tokens, wish.rounds)
    assert (options.timeout, options.workload) == (wish.timeout_s, wish.kind)


def test_a_client_of_a_closed_loop_asks_one_prompt_after_another(capsys: Out) -> None:
    """Two clients with three prompts each, none of them twice."""
    with crooked(good) as server:
        asked = ["--workload", "closed", "--turns", "3", "--streams", "2", "--rounds", "1"]
        assert bench("--url", server.url, *asked) == ExitCode.OK
        bodies = server.bodies[1:]
    assert len({body["messages"][0]["content"] for body in bodies}) == len(bodies) == 6
    assert "closed loop, 2 clients, 3 prompts each, 20 + 6" in capsys.readouterr().out


def test_arrivals_come_at_a_share_of_what_was_measured(capsys: Out) -> None:
    """A closed loop before tells the capacity; one core is busy meanwhile, and the table says so."""
    with crooked(good) as server:
        asked = [
            "--workload",
            "poisson",
            "--turns",
            "2",
            "--streams",
            "2",
            "--rounds",
            "1",
            "--share",
            "0.5",
            "--noise",
        ]
        assert bench("--url", server.url, *asked) == ExitCode.OK
        assert len(server.bodies) == 1 + 4 + 4
    said = capsys.readouterr()
    assert re.search(r"poisson, [\d.]+ requests/s, 4 of 20 \+ 6", said.out)
    assert "one core kept busy (--noise)" in said.out
    assert "50% of" in said.err


def test_a_share_is_a_positive_number(capsys: Out) -> None:
    with pytest.raises(SystemExit):
        bench("--workload", "poisson", "--share", "0")
    assert "not a share above 0" in capsys.readouterr().err


@pytest.fixture
def gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that two engines could serve, and a STATE_DIR."""
    for name, value in {"MODELS_DIR": tmp_path, "STATE_DIR": tmp_path / "state", "LLAMA_CPP_COMMAND": "there"}.items():
        monkeypatch.setenv(name, str(value))
    file = tmp_path / "small.gguf"
    file.write_bytes(b"GGUF")
    return file


@pytest.mark.usefixtures("gguf")
def test_each_engine_is_measured_and_the_faster_one_kept(capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by a service of its own, one after the other; one that gives nothing keeps nothing."""
    asked: list[str | None] = []

    def served(way: Answer) -> None:
        @contextmanager
        def service(settings: Settings, model: str, engine: str | None = None) -> Iterator[ServerAddress]:
            del settings, model
            asked.append(engine)
            with crooked(way) as server:
                yield place(server.url, "")

        monkeypatch.setattr(own, "service", service)

    served(good)
    assert bench("--engines", "--model", "small") == ExitCode.OK
    assert asked == ["mlx", "llama.cpp"]
    assert re.search(r"measured faster here on .*: \S+ \d+ / \d+, \S+ \d+ / \d+ tokens/s", capsys.readouterr().out)
    (kept,) = (Path(os.environ["STATE_DIR"]) / "engines").iterdir()
    kept.unlink()
    served(refusing(500, "Broken."))
    assert bench("--engines", "--model", "small") == ExitCode.FAILURE
    assert list((Path(os.environ["STATE_DIR"]) / "engines").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--model", "small", "--url", "http://127.0.0.1:1"), "without --url"),
        (("--model", "demo"), "no GGUF file"),
    ],
)
@pytest.mark.usefixtures("gguf")
def test_what_only_one_engine_serves_is_not_compared(arguments: tuple[str, ...], why: str, capsys: Out) -> None:
    assert bench("--engines", *arguments) == ExitCode.FAILURE
    assert why in capsys.readouterr().err
