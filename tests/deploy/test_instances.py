"""Two instances that share STATE_DIR and Redis are one to their clients: also when the one that works is killed."""

from __future__ import annotations

import json
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from src.ocr.fake import draw
from tests.deploy import tools
from tests.running import Running, service
from tests.unit.ocr import files

pytestmark = pytest.mark.e2e

_ALICE = {"Authorization": "Bearer sk-alice-0123456789"}
_BOB = {"Authorization": "Bearer sk-bob-0123456789abc"}
_OPS = {"Authorization": "Bearer sk-ops-0123456789abc"}
_CHAT = "/v1/chat/completions"
_LINES, _PAGES = 500, 40
Pair = tuple[Running, Running]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    settings: dict[str, Any] = {
        "inference_engine": "fake",
        "ocr_workers": 1,
        "ocr_engine": "fake",
        "api_keys": "alice:user:sk-alice-0123456789,bob:user:sk-bob-0123456789abc,ops:admin:sk-ops-0123456789abc",
        "background_idle_seconds": 0,
        "background_max_seqs": 8,
    }
    with tempfile.TemporaryDirectory() as folder, tools.redis_server(Path(folder)) as url:
        shared = {**settings, "redis_url": url, "state_dir": Path(folder) / "state"}
        with service(**shared) as first, service(**shared) as second:
            yield first, second


def until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def get(one: Running, path: str, headers: dict[str, str] = _ALICE) -> httpx.Response:
    return httpx.get(one.url + path, headers=headers, timeout=20)


def answered(one: Running) -> float:
    """Lines of batches that this instance has answered."""
    found = re.search(r'stoker_batch_requests_total\{outcome="completed"\} (\S+)', get(one, "/metrics", _OPS).text)
    return float(found[1]) if found else 0.0


def respond(one: Running, **body: object) -> dict[str, Any]:
    answer = httpx.post(f"{one.url}/v1/responses", json=body, headers=_ALICE, timeout=20)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_response_of_one_instance_goes_on_at_the_other(pair: Pair) -> None:
    """Shown, continued, referred to and deleted there; to another key it does not exist."""
    first, second = pair
    made = respond(first, input="remember this")
    path = f"/v1/responses/{made['id']}"
    assert get(second, path).json() == made
    assert get(second, path, _BOB).status_code == 404
    later = respond(second, input="and this", previous_response_id=made["id"])
    assert later["usage"]["input_tokens"] > made["usage"]["input_tokens"]
    respond(second, input=[{"type": "item_reference", "id": made["output"][0]["id"]}])
    assert httpx.delete(second.url + path, headers=_ALICE, timeout=20).status_code == 200
    assert get(first, path).status_code == 404


def sees_both(one: Running) -> bool:
    return len(get(one, "/v1/system/status?all=true").json()["instances"]) == 2


def test_each_instance_shows_both(pair: Pair) -> None:
    """Their state and their models; a user is shown no more of the other than of this one, nor where it is."""
    for one in pair:
        until(partial(sees_both, one))
        shown = get(one, "/v1/system/status?all=true").json()["instances"]
        assert all(re.fullmatch("instance-[0-9a-f]{8}", instance["name"]) for instance in shown)
        told = get(one, "/v1/system/status?all=true", _OPS).json()["instances"]
        assert {instance["name"].rpartition(":")[2] for instance in told} == {str(each.port) for each in pair}
        assert [instance["here"] for instance in shown] == [True, False]
        assert all("pid" not in instance["status"] for instance in shown)
        models = get(one, "/v1/models?all=true").json()["data"]
        assert all(model["instances"] == [instance["name"] for instance in shown] for model in models)
        assert [model["id"] for model in models] == [model["id"] for model in get(one, "/v1/models").json()["data"]]


def test_the_metrics_say_who_works(pair: Pair) -> None:
    until(lambda: all("\nstoker_instances 2.0\n" in get(one, "/metrics", _OPS).text for one in pair))
    works = ["\nstoker_works_on_batches 1.0\n" in get(one, "/metrics", _OPS).text for one in pair]
    assert works == [True, False]


def begin_job(one: Running) -> str:
    """Pages that take a while."""
    document = files.zipped({f"{at}.png": draw(f"delay=0.1; text=page {at}") for at in range(_PAGES)})
    made = httpx.post(f"{one.url}/v1/ocr/jobs", files={"file": document}, headers=_ALICE, timeout=20)
    return str(made.json()["id"])


def test_work_is_done_once_though_the_instance_that_works_is_killed(pair: Pair) -> None:
    """Sent to one, shown by both, ended by the one that is left: each of 500 lines of a batch once, in their order, and
    each page of an OCR job."""
    body = {"messages": [{"role": "user", "content": "answer"}]}
    made = ({"custom_id": f"c{at}", "method": "POST", "url": _CHAT, "body": body} for at in range(_LINES))
    data = b"".join(json.dumps(line).encode() + b"\n" for line in made)
    working, left = pair  # the first that started
    job = begin_job(left)
    until(lambda: get(left, f"/v1/ocr/jobs/{job}").json()["pages_done"] >= 2)
    sent = httpx.post(
        f"{left.url}/v1/files", files={"file": data}, data={"purpose": "batch"}, headers=_ALICE, timeout=20
    )
    wanted = {"input_file_id": sent.json()["id"], "endpoint": _CHAT, "completion_window": "24h"}
    name = httpx.post(f"{left.url}/v1/batches", json=wanted, headers=_ALICE, timeout=20).json()["id"]

    def completed(one: Running) -> int:
        return int(get(one, f"/v1/batches/{name}").json()["request_counts"]["completed"])

    until(lambda: completed(left) >= 20)
    assert (answered(working) > 0, answered(left)) == (True, 0)
    for process in working.processes():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    assert completed(left) < _LINES
    until(lambda: get(left, f"/v1/batches/{name}").json()["status"] == "completed")
    ended = get(left, f"/v1/batches/{name}").json()
    assert ended["request_counts"] == {"total": _LINES, "completed": _LINES, "failed": 0}
    until(lambda: get(left, f"/v1/ocr/jobs/{job}").json()["status"] == "done")
    assert get(left, f"/v1/ocr/jobs/{job}").json()["pages_done"] == _PAGES
    output = get(left, f"/v1/files/{ended['output_file_id']}/content").text.splitlines()
    assert [json.loads(line)["custom_id"] for line in output] == [f"c{at}" for at in range(_LINES)]
