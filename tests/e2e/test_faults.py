"""Whatever dies while the service is loaded comes back by itself, and every client gets one clear outcome."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from src import keys
from src.ocr.fake import draw
from src.settings import ROOT
from tests.running import Running, free_port, service

pytestmark = pytest.mark.e2e

_SLOW = "fake:count=400 fake:delay=0.03"


@pytest.fixture
def running() -> Iterator[Running]:
    """The service on fake engines, its own for each test."""
    with service(inference_engine="fake", ocr_engine="fake", heartbeat_interval=0.2) as started:
        yield started


def stream(running: Running, text: str = _SLOW) -> list[str]:
    """All SSE data lines of one streamed answer, however it ends."""
    body = {"messages": [{"role": "user", "content": text}], "stream": True, "max_tokens": 1000}
    lines = []
    try:
        with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=body, timeout=60) as reply:
            lines.append(str(reply.status_code))
            lines += [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
    except httpx.HTTPError as error:
        lines.append(type(error).__name__)
    return lines


def answered(running: Running) -> bool:
    body = {"messages": [{"role": "user", "content": "still there"}]}
    try:
        reply = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=10)
    except httpx.HTTPError:
        return False
    return reply.status_code == 200 and reply.json()["choices"][0]["message"]["content"] == "still there"


def until(condition: Callable[[], bool], timeout_s: float = 20) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, "it did not happen in time"
        time.sleep(0.05)
    return time.monotonic() - began


def loaded(running: Running, count: int, crowd: ThreadPoolExecutor) -> list[Future[list[str]]]:
    """Start `count` slow streams and wait until all are being answered."""
    futures = [crowd.submit(stream, running) for _ in range(count)]
    until(lambda: number_running(running) == count)
    return futures


def number_running(running: Running) -> int:
    health = running.status().get("engine", {}).get("health")
    return int(health["load"]["running"]) if isinstance(health, dict) and health.get("load") else -1


def worker_pids(running: Running) -> list[int]:
    """The web worker: the child of gunicorn's master."""
    return [child.pid for child in psutil.Process(running.pid("web")).children()]


def text(lines: list[str]) -> str:
    """The text of a stream that ended well."""
    assert lines[-1] == "[DONE]", lines[-1]
    events = [json.loads(line) for line in lines[1:-1]]
    return "".join(choice["delta"].get("content", "") for event in events for choice in event["choices"])


def test_an_engine_killed_under_load(running: Running) -> None:
    """kill -9 of the engine once, then twice more: every stream goes on to its whole text, no client sees an error."""
    with ThreadPoolExecutor(8) as crowd:
        futures = loaded(running, 8, crowd)
        for _ in range(3):
            os.kill(running.pid("engine"), signal.SIGKILL)
            until(lambda: number_running(running) > 0)
            time.sleep(0.5)
        texts = {text(future.result(timeout=90)) for future in futures}
    assert texts == {("abcdefghijklmnopqrstuvwxyz" * 16)[:400]}
    assert running.status()["engine"]["restarts"] == {"signal": 3}
    assert b'stoker_requests_resumed_total{kind="chat"}' in running.get("/metrics")[1]


def test_a_poisonous_prompt_falls_alone(running: Running) -> None:
    """Among 19 good streams one that kills every engine it enters: 19 finish, one gets engine_crashed."""
    with ThreadPoolExecutor(20) as crowd:
        good = [crowd.submit(stream, running, f"fake:count={120 + n} fake:delay=0.03") for n in range(19)]
        until(lambda: number_running(running) > 9)
        bad = crowd.submit(stream, running, "fake:crash=2 fake:count=50 fake:delay=0.02")
        lengths = [len(text(future.result(timeout=90))) for future in good]
        ending = bad.result(timeout=90)
    assert lengths == [120 + n for n in range(19)]
    assert json.loads(ending[-1])["error"]["code"] == "engine_crashed"
    assert answered(running)


def test_a_hung_engine_is_found_and_replaced() -> None:
    """An engine stopped in the middle of a step is seen by its silence and replaced, by the defaults within four
    seconds; its stream goes on. A shorter stop is none."""
    with service(inference_engine="fake", ocr_workers=0) as running:
        with ThreadPoolExecutor(1) as crowd:
            (future,) = loaded(running, 1, crowd)
            before = running.pid("engine")
            time.sleep(2)  # the supervisor has heard what a step should take
            os.kill(before, signal.SIGSTOP)
            time.sleep(1)
            os.kill(before, signal.SIGCONT)
            time.sleep(1.5)
            assert running.pid("engine") == before
            os.kill(before, signal.SIGSTOP)
            found_s = until(lambda: running.status()["engine"]["pid"] != before)
            assert len(text(future.result(timeout=60))) == 400
        assert running.status()["engine"]["restarts"] == {"stall": 1}
        assert found_s < 6  # 2-4 s on an idle machine; HEARTBEAT_TIMEOUT alone would take 10


def test_an_engine_stuck_in_a_step_is_found_and_replaced() -> None:
    """An engine whose heartbeat answers but whose step never ends is found by the step's age."""
    with service(inference_engine="fake", ocr_workers=0, heartbeat_interval=0.2, engine_stall_timeout=1.5) as running:
        with ThreadPoolExecutor(1) as crowd:
            hung = crowd.submit(stream, running, "fake:hang=3 abcdefgh")
            lines = hung.result(timeout=60)
        # put back it hangs again: alone in the engine twice, so it is the culprit
        assert json.loads(lines[-1])["error"]["code"] == "engine_crashed"
        until(lambda: answered(running))
        assert running.status()["engine"]["restarts"] == {"stall": 2}


def test_an_engine_that_grows_is_replaced_before_the_limit() -> None:
    """A leak over the high watermark: nothing is admitted, then the engine is replaced; a stream goes on through it."""
    limits: dict[str, Any] = {"memory_budget_mb": 600, "memory_recycle_after": 1.5, "heartbeat_interval": 0.2}
    with service(inference_engine="fake", ocr_workers=0, **limits) as running, ThreadPoolExecutor(1) as crowd:
        leaky = crowd.submit(stream, running, "fake:grow=500 fake:count=100 fake:delay=0.05")
        until(lambda: running.status()["engine"].get("detail") == "memory over the high watermark")
        assert b'stoker_engine_memory_level{engine="fake",model_name="demo"} 2.0' in running.get("/metrics")[1]
        assert "memory is high" in (running.logs / "model_operations.log").read_text()
        until(lambda: running.status()["engine"]["restarts"] == {"memory": 1}, 30)
        # put back it leaks again: what it says on its way out is its own outcome, the service lives on
        leaky.result(timeout=90)
        until(lambda: answered(running), 60)


def test_a_killed_web_worker_comes_back(running: Running) -> None:
    """kill -9 of the web worker: connections are reset, its sequences leave the batch, a new worker serves."""
    with ThreadPoolExecutor(4) as crowd:
        futures = loaded(running, 4, crowd)
        os.kill(worker_pids(running)[0], signal.SIGKILL)
        assert all("Error" in future.result(timeout=30)[-1] for future in futures)
    until(lambda: answered(running))
    until(lambda: number_running(running) == 0)


def test_a_killed_web_master_comes_back(running: Running) -> None:
    """kill -9 of gunicorn's master: its worker ends, a new web process serves, the engine was not touched."""
    engine = running.pid("engine")
    orphans = worker_pids(running)
    os.kill(running.pid("web"), signal.SIGKILL)
    until(lambda: answered(running) and not any(map(psutil.pid_exists, orphans)))
    assert running.pid("engine") == engine


def test_a_killed_broker_comes_back(running: Running) -> None:
    """kill -9 of the OCR broker with pages in flight: they are put again and answered, its workers end."""
    workers = [child.pid for child in psutil.Process(running.pid("ocr")).children(recursive=True)]
    page = draw("delay=1; text=hello")

    def read(_: int) -> str:
        return str(httpx.post(f"{running.url}/v1/ocr", files={"file": page}, timeout=60).json().get("text"))

    with ThreadPoolExecutor(4) as crowd:
        pages = [crowd.submit(read, number) for number in range(4)]
        time.sleep(0.7)
        os.kill(running.pid("ocr"), signal.SIGKILL)
        assert [future.result(timeout=60) for future in pages] == ["hello"] * 4
    until(lambda: not any(map(psutil.pid_exists, workers)))


def test_a_killed_supervisor_ends_everything(running: Running) -> None:
    """kill -9 of the supervisor: all its processes end by themselves, no socket or lock blocks the next start."""
    everything = [process.pid for process in running.processes()]
    assert len(everything) >= 5
    with ThreadPoolExecutor(1) as crowd:
        (busy,) = loaded(running, 1, crowd)
        running.process.kill()
        running.process.wait(10)
        until(lambda: not any(map(alive, everything)), 10)
        assert json.loads(busy.result(timeout=5)[-1])["error"]["code"] == "server_shutdown"
    with service(inference_engine="fake", ocr_workers=0, runtime_dir=running.folder / "run") as again:
        assert answered(again)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part of it")
def test_a_hung_engine_does_not_outlive_its_supervisor(running: Running) -> None:
    """It cannot hear that its supervisor was killed: the kernel ends it, and its memory is free."""
    engine = running.pid("engine")
    os.kill(engine, signal.SIGSTOP)
    running.process.kill()
    running.process.wait(10)
    until(lambda: not alive(engine), 10)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part of it")
def test_a_hung_broker_and_its_worker_do_not_outlive_their_supervisor(running: Running) -> None:
    """Stopped, they cannot hear that their parents are gone: the kernel ends them."""
    broker = running.pid("ocr")
    below = psutil.Process(broker).children()
    hung = [broker, *(child.pid for child in below if "resource_tracker" not in " ".join(child.cmdline()))]
    assert len(hung) >= 2
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    running.process.kill()
    running.process.wait(10)
    until(lambda: not any(map(alive, hung)), 10)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_back_end_holds_a_key_or_the_url_of_a_store() -> None:
    """Who runs models and parses hostile files has nothing to give away; web, which checks keys, has those."""
    secret = uuid.uuid4().hex
    hidden: dict[str, Any] = {
        "api_keys": f"alice:{secret}",
        "redis_url": f"redis://:{secret}@127.0.0.1:9/0",
        "upstream_api_key": secret,
        "stoker_api_key": secret,
        "bench_api_keys": secret,
    }
    with service(inference_engine="fake", ocr_engine="fake", **hidden) as running:
        found = {}
        for process in running.processes():
            text = Path(f"/proc/{process.pid}/environ").read_bytes()
            found[process.pid] = {name for name in hidden if name.upper().encode() + b"=" in text}
        table = _children_by_key(running, secret)
        for name in ("engine", "ocr"):
            top = psutil.Process(table[name])
            everybody = [top, *top.children(recursive=True)]
            held = {process.pid: found[process.pid] for process in everybody}
            own = {"upstream_api_key"} if name == "engine" else set()
            assert held == dict.fromkeys(held, own), name
            assert name == "engine" or len(held) >= 2
        assert found[table["web"]] == {"api_keys", "redis_url"}


def _children_by_key(running: Running, key: str) -> dict[str, int]:
    reply = httpx.get(f"{running.url}/v1/system/status", headers={"Authorization": f"Bearer {key}"}, timeout=10)
    return {child["name"].partition(":")[0]: child["pid"] for child in reply.json()["children"]}


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_sigterm_lets_short_answers_end_and_ends_long_ones_politely(running: Running) -> None:
    """While draining nothing new is taken; what outlives GRACEFUL_TIMEOUT ends with an error event, not a cut."""
    with ThreadPoolExecutor(2) as crowd:
        short = crowd.submit(stream, running, "fake:count=12 fake:delay=0.1")
        long = crowd.submit(stream, running)
        until(lambda: number_running(running) == 2)
        running.process.send_signal(signal.SIGTERM)
        assert short.result(timeout=30)[-1] == "[DONE]"
        ending = long.result(timeout=30)
    assert json.loads(ending[-1])["error"]["code"] == "server_shutdown"
    assert running.process.wait(20) == 0


def test_sighup_reloads_web_alone(running: Running) -> None:
    """SIGHUP gives new web workers; a stream that runs is finished, the engine stays."""
    engine, before = running.pid("engine"), worker_pids(running)
    with ThreadPoolExecutor(1) as crowd:
        answer = crowd.submit(stream, running, "fake:count=30 fake:delay=0.05")
        until(lambda: number_running(running) == 1)
        running.process.send_signal(signal.SIGHUP)
        assert answer.result(timeout=30)[-1] == "[DONE]"
    until(lambda: answered(running) and set(worker_pids(running)).isdisjoint(before))
    assert running.pid("engine") == engine


def test_sighup_brings_new_settings(tmp_path: Path) -> None:
    """Keys that were changed on the disk count after SIGHUP, for who asks from then on; the engine is not touched."""
    old, new = keys.create("old"), keys.create("new")
    file = tmp_path / "keys"
    keys.append(file, old[1])

    def status(key: str) -> int:
        return httpx.get(f"{served.url}/v1/models", headers={"Authorization": f"Bearer {key}"}, timeout=10).status_code

    with service(inference_engine="fake", ocr_workers=0, api_keys_file=file) as served:
        before = [process.pid for process in served.processes() if "src.engine.main" in process.cmdline()]
        assert [status(old[0]), status(new[0])] == [200, 401]
        file.unlink()
        keys.append(file, new[1])
        served.process.send_signal(signal.SIGHUP)
        until(lambda: status(new[0]) == 200)
        until(lambda: status(old[0]) == 401)
        assert [process.pid for process in served.processes() if "src.engine.main" in process.cmdline()] == before


def test_gunicorn_by_itself_brings_its_back_ends(tmp_path: Path) -> None:
    """`gunicorn src.api.app:application` serves; a reload keeps the engine; its end is theirs."""
    command = ("-m", "gunicorn", "src.api.app:application")
    with service(command=command, inference_engine="fake", ocr_workers=0) as running:
        assert answered(running)
        engine = running.pid("engine")
        os.kill(running.process.pid, signal.SIGHUP)
        time.sleep(1)
        until(lambda: answered(running))
        assert running.pid("engine") == engine
        running.process.terminate()
        running.process.wait(20)
        until(lambda: not alive(engine))


def doctor(running: Running, code: int | None = 0) -> str:
    """What it prints; `code`: how it must end, if that matters."""
    environment = os.environ | {"RUNTIME_DIR": str(running.folder / "run")}
    command = [sys.executable, "run.py", "doctor"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30)
    assert code in (None, done.returncode), done.stdout + done.stderr
    return done.stdout


def test_the_doctor(running: Running, tmp_path: Path) -> None:
    """`run.py doctor` clears the caches of what is well, and tries again what the supervisor has given up on."""
    assert "clearing its caches; done" in doctor(running)
    with service(models_dir=tmp_path, default_model="mended", ocr_workers=0, ready="/livez") as broken:
        until(lambda: b"mended" in broken.get("/readyz")[1] and b"failed" in broken.get("/readyz")[1], 40)
        assert "failed to load" in doctor(broken, code=1)
        shutil.copytree(ROOT / "models" / "demo", tmp_path / "mended")
        until(lambda: "mended failed to load" not in doctor(broken, code=None), 40)
        broken.wait()


def test_a_second_instance_says_who_runs(running: Running) -> None:
    """The same runtime directory cannot be served twice: the second start says so and exits 5."""
    environment = os.environ | {"RUNTIME_DIR": str(running.folder / "run"), "PORT": str(free_port())}
    command = [sys.executable, "run.py", "--mode", "prod"]
    second = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30)
    assert second.returncode == 5
    assert str(running.process.pid) in second.stderr
    assert answered(running)


def test_bad_settings_are_all_listed_and_nothing_is_retried() -> None:
    """Two bad values: both are named, exit 2, at once."""
    environment = os.environ | {"PORT": "99999", "LOG_LEVEL": "LOUD"}
    for command in (["run.py", "--mode", "prod"], ["-m", "gunicorn", "src.api.app:application"]):
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 2, done.stderr
        assert "PORT" in done.stderr
        assert "LOG_LEVEL" in done.stderr


def test_a_model_that_cannot_be_loaded_is_a_reason_not_a_loop() -> None:
    """An unknown model: /readyz names the reason, requests get it too, and the engine is not restarted for ever."""
    with service(default_model="no-such-model", ocr_workers=0, ready="/livez") as running:
        until(lambda: b"DEFAULT_MODEL" in running.get("/readyz")[1], 40)
        assert running.get("/readyz")[0] == 503
        assert not answered(running)
        assert "engine" not in running.status()


def test_a_client_that_never_reads_hurts_nobody() -> None:
    """A client that does not read loses its answer after CLIENT_TIMEOUT, and its place is free again while it sulks."""
    messages = [{"role": "user", "content": "fake:count=200000"}]
    body = json.dumps({"messages": messages, "stream": True, "max_tokens": 200_000})
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with service(inference_engine="fake", ocr_workers=0, max_concurrent_requests=1, client_timeout=2) as running:
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with lazy:
            lazy.connect(("127.0.0.1", running.port))
            lazy.sendall((head + body).encode())
            time.sleep(0.5)
            assert not answered(running)
            until(lambda: answered(running))
            until(lambda: number_running(running) == 0)


def test_a_body_in_broken_chunks_is_the_clients_fault(running: Running) -> None:
    """Wrong chunk framing is a 400, and what the client sent is in no log."""
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", running.port)) as sock:
        sock.sendall((head + "Transfer-Encoding: chunked\r\n\r\nMY-SECRET-TEXT\r\n").encode())
        sock.settimeout(10)
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 400")
    assert "MY-SECRET" not in "".join(file.read_text() for file in running.logs.iterdir()) + running.console()
    assert answered(running)


def test_a_runtime_directory_that_is_removed_comes_back(running: Running) -> None:
    """Cleaners of /tmp do that: what runs goes on, and requests are served again within seconds."""
    with ThreadPoolExecutor(1) as crowd:
        (going,) = loaded(running, 1, crowd)
        engine = running.pid("engine")
        running.remove_runtime_dir()
        took = until(lambda: answered(running) and running.get("/readyz")[0] == 200, 10)
        assert took < 8
        read = httpx.post(f"{running.url}/v1/ocr", files={"file": ("a.png", draw("text=hello"))}, timeout=30)
        assert read.json()["text"] == "hello"
        assert running.pid("engine") == engine
        assert len(text(going.result(timeout=60))) == 400
    assert (running.folder / "run" / "supervisor.lock").read_text() == f"{running.process.pid}\n"
