"""Models come and go by themselves, on the running service: lazy loads, turns, offload, bad checkpoints."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from src.settings import ROOT
from tests.running import Running, service

pytestmark = pytest.mark.e2e

NAMES = ("one", "team/two", "three")
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models that can be loaded, and four that cannot, each for a reason of its own."""
    models = tmp_path_factory.mktemp("models")
    for name in (*NAMES, "corrupt", "cut", "sharded", "alien"):
        shutil.copytree(ROOT / "models" / "demo", models / name)
    (models / "corrupt" / "config.json").write_text("{")
    weights = models / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (models / "sharded" / "model.safetensors.index.json").write_text(json.dumps(index))
    config = json.loads((models / "alien" / "config.json").read_text())
    (models / "alien" / "config.json").write_text(json.dumps(config | {"model_type": "nobody_knows"}))
    return models


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    with service(
        models_dir=folder,
        default_model="one",
        lazy_load=True,
        max_concurrent_models=1,
        ocr_workers=0,
        sse_ping_seconds=0.2,
        model_turn=1,
    ) as running:
        yield running


def ask(running: Running, model: str, text: str = "What is 3 + 4?", **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "temperature": 0, **fields}
    return httpx.post(running.url + CHAT, json=body, timeout=120)


def post(running: Running, path: str, **body: Any) -> httpx.Response:
    return httpx.post(running.url + path, json=body, timeout=60)


def card(running: Running, model: str) -> dict[str, Any]:
    reply = httpx.get(f"{running.url}/v1/models/{model}", timeout=10)
    return dict(reply.json())


def test_a_lazy_service_is_ready_with_nothing_loaded(running: Running) -> None:
    """Its models are listed with what their folders tell; no engine runs; nothing is wrong."""
    listed = {entry["id"]: entry for entry in httpx.get(f"{running.url}/v1/models").json()["data"]}
    assert set(NAMES) <= set(listed)
    assert listed["team/two"]["context_length"] == 2048
    assert listed["team/two"]["size_bytes"] > 1_000_000
    assert "engine" not in running.status()
    assert httpx.get(f"{running.url}/readyz").status_code == 200


def test_a_stream_gets_comments_while_its_model_is_loaded(running: Running) -> None:
    """No client or proxy gives up on a silent connection; then the answer comes."""
    body = {"model": "one", "messages": [{"role": "user", "content": "What is 3 + 4?"}], "stream": True}
    with httpx.stream("POST", running.url + CHAT, json=body, timeout=120) as reply:
        lines = [line for line in reply.iter_lines() if line]
    first = next(at for at, line in enumerate(lines) if line.startswith("data:"))
    assert first >= 1
    assert all(line.startswith(":") for line in lines[:first])
    assert lines[-1] == "data: [DONE]"


def test_sixty_mixed_requests_with_room_for_one_model(running: Running) -> None:
    """Three models, twelve clients: all answered right, nothing restarted; a swap serves all who wait for its model."""

    def client(number: int) -> list[str]:
        answers = []
        for turn in range(5):
            reply = ask(running, NAMES[(number + turn) % 3])
            assert reply.status_code == 200, reply.text
            answers.append(reply.json()["choices"][0]["message"]["content"])
        return answers

    with ThreadPoolExecutor(12) as crowd:
        answers = [answer for client in crowd.map(client, range(12)) for answer in client]
    assert len(answers) == 60
    assert all("7" in answer for answer in answers)
    assert all(not child["restarts"] for child in running.status().values())
    log = (running.logs / "model_operations.log").read_text()
    swaps = log.count("is on the device after")
    assert swaps <= 30, f"{swaps} swaps for 60 requests"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("corrupt", "config.json is damaged"),
        ("cut", "cut short"),
        ("sharded", "model-00002-of-00002.safetensors"),
        ("alien", "nobody_knows"),
    ],
)
def test_a_bad_checkpoint_costs_nobody_else_anything(running: Running, name: str, reason: str) -> None:
    """A clear reason in the answer and in the state; nothing restarts in a loop; the previous model still serves."""
    assert ask(running, "one").status_code == 200
    reply = ask(running, name)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model_load_failed")
    assert reason in reply.json()["error"]["message"]
    again = ask(running, name)
    assert reason in again.json()["error"]["message"]
    assert (card(running, name)["state"], reason in card(running, name)["detail"]) == ("failed", True)
    assert "7" in ask(running, "one").text
    starts = (running.logs / "model_operations.log").read_text().count(f"{name}: load started,")
    assert starts <= 1
    assert httpx.get(f"{running.url}/readyz").status_code == 200


@pytest.mark.parametrize("name", ["nobody", "../demo", "/etc", str(ROOT / "models" / "demo"), "https://x/y"])
def test_only_known_names_are_models(running: Running, name: str) -> None:
    """Never a path or a URL from a request; the answer names what there is."""
    for reply in (ask(running, name), post(running, "/v1/models/load", model_name=name)):
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")
        assert "team/two" in reply.json()["error"]["message"]


def engine_pid(running: Running, model: str) -> int | None:
    """The process of a model, if there is one."""
    children = httpx.get(f"{running.url}/v1/system/status", timeout=10).json()["children"]
    return next((child["pid"] for child in children if child["name"] == f"engine:{model}"), None)


def test_load_offload_return_and_unload(running: Running) -> None:
    """By order, over HTTP: where the model is, what it holds there, and that its text stays the same."""
    assert post(running, "/v1/models/load", model_name="one").json()["state"] == "gpu"
    before = ask(running, "one", "Where are the logs?").json()["choices"][0]["message"]["content"]
    pid = engine_pid(running, "one")
    assert pid is not None
    reply = post(running, "/api/gpu/offload", model_name="one")
    assert (reply.status_code, reply.json()) == (200, {"success": True, "models": {"one": "cpu"}, "pending": []})
    status = httpx.get(f"{running.url}/api/gpu/status").json()["one"]
    assert (status["location"], status["monitor_running"]) == ("cpu", True)
    assert httpx.get(f"{running.url}/readyz").status_code == 200
    assert ask(running, "one", "Where are the logs?").json()["choices"][0]["message"]["content"] == before
    assert engine_pid(running, "one") == pid
    assert httpx.get(f"{running.url}/api/gpu/status").json()["one"]["location"] == "gpu"
    assert post(running, "/v1/models/unload", model_name="one").json()["state"] == "unloaded"
    assert engine_pid(running, "one") is None
    assert not psutil.pid_exists(pid)
    assert ask(running, "one", "Where are the logs?").json()["choices"][0]["message"]["content"] == before


def test_an_order_lets_running_requests_end(running: Running) -> None:
    """The model leaves when its last request has ended; 202 says that it waits."""
    with ThreadPoolExecutor(1) as crowd:
        assert ask(running, "one", max_tokens=1).status_code == 200
        long = crowd.submit(ask, running, "one", max_tokens=1500, ignore_eos=True)
        while card(running, "one")["running"] == 0:
            assert not long.done()
        reply = post(running, "/api/gpu/release")
        assert reply.status_code in (200, 202)
        assert long.result().json()["usage"]["completion_tokens"] == 1500
    assert post(running, "/api/gpu/release").json()["models"]["one"] == "unloaded"


def test_the_idle_time_can_be_changed_while_it_runs(running: Running) -> None:
    assert ask(running, "one").status_code == 200
    assert post(running, "/api/gpu/timeout", timeout=0.5).json() == {"success": True, "timeout": 0.5}
    deadline = time.monotonic() + 20
    while card(running, "one")["state"] != "cpu":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert httpx.get(f"{running.url}/api/gpu/status").json()["one"]["idle_timeout_seconds"] == 0.5
    assert post(running, "/api/gpu/timeout", timeout=600).status_code == 200
    assert post(running, "/api/gpu/timeout", timeout=-1).status_code == 400
    assert post(running, "/api/gpu/timeout", timeout="nan").status_code == 400


def until(true: Callable[[], bool], within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("moment", ["loading", "cpu", "restoring", "offloading"])
def test_an_engine_that_dies_on_its_way(running: Running, moment: str) -> None:
    """Whoever waits is answered, and no place is left behind."""
    post(running, "/api/gpu/release")
    with ThreadPoolExecutor(4) as crowd:
        waiting = []
        if moment != "loading":
            assert ask(running, "one").status_code == 200
        if moment in ("cpu", "restoring"):
            post(running, "/api/gpu/offload")
        if moment in ("restoring", "offloading"):
            os.kill(engine_pid(running, "one") or 0, signal.SIGSTOP)
        if moment == "offloading":
            crowd.submit(post, running, "/api/gpu/offload", model_name="one")
        if moment in ("loading", "restoring"):
            waiting = [crowd.submit(ask, running, "one") for _ in range(3)]
        until(lambda: card(running, "one")["state"] == moment, 20, moment)
        until(lambda: engine_pid(running, "one") is not None, 20, "a process")
        os.kill(engine_pid(running, "one") or 0, signal.SIGKILL)
        waiting.append(crowd.submit(ask, running, "one"))
        assert [reply.result().status_code for reply in waiting] == [200] * len(waiting)
    state = card(running, "one")
    assert (state["running"], state["waiting"]) == (0, 0)


def test_a_client_that_leaves_gives_its_place_back(running: Running) -> None:
    """Also one that only ordered a load, or asked for tokens: nobody makes room for it any more."""
    assert ask(running, "one").status_code == 200
    with ThreadPoolExecutor(1) as crowd:
        long = crowd.submit(ask, running, "one", max_tokens=1500, ignore_eos=True)
        until(lambda: card(running, "one")["running"] == 1, 10, "it runs")
        for path, body in (
            ("/v1/models/load", {"model_name": "three"}),
            ("/tokenize", {"model": "three", "prompt": "x"}),
            (CHAT, {"model": "three", "messages": [{"role": "user", "content": "x"}]}),
        ):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(running.url + path, json=body, timeout=httpx.Timeout(10, read=0.2))
        until(lambda: card(running, "three")["waiting"] == 0, 5, "its places are free")
        assert long.result().status_code == 200


def test_a_broken_default_model_keeps_nobody_out_and_comes_back(folder: Path, tmp_path: Path) -> None:
    """Loaded at start, it cannot be. With room for one, the others serve; mended, it is back by itself."""
    models = tmp_path / "models"
    for name in ("one", "three"):
        shutil.copytree(folder / name, models / name)
    config = (models / "one" / "config.json").read_text()
    (models / "one" / "config.json").write_text("{")
    with service(
        ready="/livez",
        models_dir=models,
        default_model="one",
        lazy_load=False,
        max_concurrent_models=1,
        breaker_retry=2,
        ocr_workers=0,
    ) as running:
        until(lambda: card(running, "one").get("state") == "failed", 40, "it fails")
        assert (running.get("/readyz")[0], ask(running, "three").status_code) == (503, 200)
        assert post(running, "/api/gpu/release").status_code == 200
        (models / "one" / "config.json").write_text(config)
        running.wait(timeout_s=40)
        assert card(running, "one")["state"] == "gpu"


def test_background_requests_stop_while_paused(folder: Path) -> None:
    """They run in quiet times only, and not at all while paused."""
    with service(
        models_dir=folder,
        default_model="one",
        inference_engine="fake",
        lazy_load=True,
        ocr_workers=0,
        background_idle_seconds=0.5,
        background_pause_seconds=0,
    ) as running:
        assert post(running, "/api/gpu/pause").json() == {"success": True, "background_paused": True}
        with ThreadPoolExecutor(1) as crowd:
            waiting = crowd.submit(ask, running, "one", "hello", priority="background")
            assert ask(running, "one", "hello").status_code == 200
            with pytest.raises(TimeoutError):
                waiting.result(2)
            assert post(running, "/api/gpu/resume").json() == {"success": True, "background_paused": False}
            assert waiting.result(30).json()["choices"][0]["message"]["content"] == "hello"


def test_a_reload_that_fails_says_so_and_load_really_loads(tmp_path: Path) -> None:
    """The weights go, then the engine dies: `failed` with the reason everywhere, until an order finds them back."""
    models = tmp_path / "models"
    shutil.copytree(ROOT / "models" / "demo", models / "demo")
    weights = models / "demo" / "model.safetensors"
    with service(models_dir=models, ocr_workers=0, heartbeat_interval=0.2, breaker_retry=3600) as running:
        assert card(running, "demo")["state"] == "gpu"
        with ThreadPoolExecutor(1) as crowd:
            long = crowd.submit(ask, running, "demo", "Count to a thousand.", max_tokens=1500, ignore_eos=True)
            until(lambda: card(running, "demo")["running"] == 1, 20, "it runs")
            weights.rename(tmp_path / "kept")
            os.kill(running.pid("engine"), signal.SIGKILL)
            until(lambda: card(running, "demo")["state"] == "failed", 30, "it has failed")
            assert "cannot be loaded" in card(running, "demo")["detail"]
            told = long.result(timeout=20)
        chat = ask(running, "demo")
        ordered = post(running, "/v1/models/load", model_name="demo")
        for reply in (told, chat, ordered):
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model_load_failed"), reply.text
        assert running.get("/readyz")[0] == 503
        (tmp_path / "kept").rename(weights)
        assert ask(running, "demo").status_code == 503, "a request does not try what has just failed"
        ordered = post(running, "/v1/models/load", model_name="demo")
        assert (ordered.status_code, ordered.json()["state"]) == (200, "gpu"), ordered.text
        assert ask(running, "demo").status_code == 200
