"""The main job on real input: chat from the MLX demo model and the text of a scanned page, over HTTP."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion

from src.settings import ROOT
from tests.e2e import pictures
from tests.running import Running

pytestmark = pytest.mark.e2e


def ask(client: openai.OpenAI, text: str) -> str:
    answer = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": text}], temperature=0)
    return answer.choices[0].message.content or ""


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("Where are the logs?", "logs/"),
        ("How do I load a bigger model?", "python run.py pull mlx-community/Qwen3-4B-4bit"),
        ("Who are you?", "demo model"),
        ("怎么识别图片里的文字？", "/v1/ocr"),
        ("What is 3 + 4?", "7"),
    ],
)
def test_the_demo_model_answers_with_facts(client: openai.OpenAI, question: str, fact: str) -> None:
    """Out of the box the service holds a small sensible conversation, in English and Chinese."""
    assert fact in ask(client, question)


def test_a_stream_is_the_whole_answer_in_pieces(client: openai.OpenAI) -> None:
    """Streamed and whole answers are the same text, and usage counts what was generated."""
    whole = ask(client, "Where are the logs?")
    stream = client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "Where are the logs?"}],
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole
    assert len([piece for piece in pieces if piece]) > 10
    assert chunks[-2].choices[0].finish_reason == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens > 10
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_greedy_text_is_the_same_alone_and_in_a_crowd(client: openai.OpenAI) -> None:
    """Twelve different questions at once get the answers each gets alone."""
    questions = ["Where are the logs?", "What is 2 + 5?", "Who are you?", "How do I stop the service?"] * 3
    alone = {question: ask(client, question) for question in set(questions)}
    with ThreadPoolExecutor(len(questions)) as crowd:
        together = list(crowd.map(lambda question: ask(client, question), questions))
    assert together == [alone[question] for question in questions]


def test_vectors_are_as_the_card_says(demo: Running, client: openai.OpenAI) -> None:
    """How many numbers a vector has, and how they are made, stands in the model's entry."""
    made = client.embeddings.create(model="demo", input=["a quay", "a buoy"])
    card = json.loads(demo.get("/v1/models/demo")[1])
    assert [len(one.embedding) for one in made.data] == [card["embeddings"]["dimensions"]] * 2
    assert "mean of the last hidden state" in card["embeddings"]["pooling"]
    assert "embeddings" in card["capabilities"]


def test_limits_are_honoured(client: openai.OpenAI) -> None:
    """max_tokens cuts with `length`; a stop string cuts before itself."""

    def cut(**limits: object) -> ChatCompletion:
        messages = [{"role": "user", "content": "Where are the logs?"}]
        body = {"model": "demo", "messages": messages, "temperature": 0, **limits}
        return client.post("/chat/completions", body=body, cast_to=ChatCompletion)

    short = cut(max_tokens=4)
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens == 4
    stopped = cut(stop=["logs/"])
    assert stopped.choices[0].finish_reason == "stop"
    assert "logs/" not in (stopped.choices[0].message.content or "")


def test_a_scanned_page_is_read(demo: Running) -> None:
    """A grey, turned, noisy JPEG comes back as its text, with boxes and confidences."""
    reply = httpx.post(f"{demo.url}/v1/ocr", files={"file": ("page.jpg", pictures.scanned_page())}, timeout=60)
    page = reply.json()
    assert reply.status_code == 200, page
    assert [re.sub(r"\s+", " ", line) for line in page["text"].splitlines()] == list(pictures.PAGE_LINES)
    assert (page["width"], page["height"]) == (1240, 900)
    for line in page["lines"]:
        x0, y0, x1, y1 = line["bbox"]
        assert 0 <= x0 < x1 <= 1240
        assert 0 <= y0 < y1 <= 900
        assert line["confidence"] > 0.5


def test_ocr_takes_base64_too(demo: Running) -> None:
    """A data URL in JSON is read like a file."""
    url = "data:image/png;base64," + base64.b64encode(pictures.line("Berth 47 is free")).decode()
    reply = httpx.post(f"{demo.url}/v1/ocr", json={"image": url}, timeout=60)
    assert reply.json()["text"] == "Berth 47 is free"


def test_twenty_pages_at_once_load_two_models(demo: Running) -> None:
    """Twenty simultaneous one-line images on two workers: all answered right, two model loads in the pool's life."""

    def read(number: int) -> str:
        picture = pictures.line(f"Berth {number} taken")
        return str(httpx.post(f"{demo.url}/v1/ocr", files={"file": picture}, timeout=60).json().get("text"))

    with ThreadPoolExecutor(20) as crowd:
        texts = list(crowd.map(read, range(30, 50)))
    assert texts == [f"Berth {number} taken" for number in range(30, 50)]
    ocr = demo.status()["ocr"]["health"]
    assert isinstance(ocr, dict)
    assert ocr["ocr"]["model_loads"] == 2


def test_what_the_service_says_of_itself(demo: Running) -> None:
    """Models, readiness, GPU status and metrics tell the truth about the demo on a CPU."""
    model = httpx.get(f"{demo.url}/v1/models").json()["data"][0]
    assert (model["id"], model["context_length"], model["state"]) == ("demo", 2048, "gpu")
    assert httpx.get(f"{demo.url}/v1/models/demo").json()["parameters"] > 1_000_000
    assert httpx.get(f"{demo.url}/health").json() == {"status": "ok", "reasons": {}}
    gpu = httpx.get(f"{demo.url}/api/gpu-status").json()
    assert gpu["success"] is True
    assert gpu["gpu_status"]["loaded_models"] == ["demo"]
    assert gpu["gpu_status"]["using_gpu"] is not gpu["gpu_status"]["using_cpu"]
    metrics = httpx.get(f"{demo.url}/metrics").text
    assert 'stoker_engine_up{engine="mlx",model_name="demo"} 1.0' in metrics
    check = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, timeout=30)
    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")


def test_what_an_admin_may_look_at(demo: Running) -> None:
    """The settings in effect, the newest log lines, and the status as it changes."""
    rows = {row["name"]: row for row in httpx.get(f"{demo.url}/v1/system/settings").json()["settings"]}
    assert (rows["OCR_WORKERS"]["value"], rows["OCR_WORKERS"]["source"]) == ("2", "environment")
    assert rows["API_KEYS"]["help"]
    lines = httpx.get(f"{demo.url}/v1/system/logs", params={"level": "INFO", "limit": 500}).json()["lines"]
    assert any("ready" in line["message"] for line in lines)
    with httpx.stream("GET", f"{demo.url}/v1/system/events", timeout=30) as reply:
        events = [json.loads(line[6:]) for line, _ in zip(_data(reply), range(2), strict=False)]
    assert events[1]["status"]["uptime_s"] > events[0]["status"]["uptime_s"]
    assert len(events[0]["first_token"]["counts"]) == len(events[0]["first_token"]["bounds"]) + 1


def _data(reply: httpx.Response) -> Iterator[str]:
    return (line for line in reply.iter_lines() if line.startswith("data: "))


def test_web_never_loads_mlx(demo: Running) -> None:
    """No process of the web part has a library of MLX mapped."""
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    for process in demo.processes():
        if "gunicorn" in " ".join(process.cmdline()):
            assert not any("mlx" in region.path for region in process.memory_maps())


def test_nothing_private_is_in_the_logs(demo: Running, client: openai.OpenAI) -> None:
    """What was asked, the picture and the key appear in no log file; the request id does."""
    canary = "zebra-4711-canary"
    reply = client.chat.completions.with_raw_response.create(
        model="demo", messages=[{"role": "user", "content": canary}], extra_headers={"X-Request-Id": "trace-me-1"}
    )
    assert reply.headers["X-Request-Id"] == "trace-me-1"
    httpx.post(f"{demo.url}/v1/ocr", files={"file": (f"{canary}.png", pictures.line(canary))}, timeout=60)
    text = "".join(file.read_text() for file in demo.logs.iterdir())
    assert canary not in text
    assert "trace-me-1" in text
    for row in (demo.logs / "api_requests.log").read_text().splitlines():
        assert {"ts", "level", "request_id", "status", "ms"} <= set(json.loads(row))


def test_check_says_it_can_serve() -> None:
    """`run.py check` finds device, BLAS, engine and model, and exits 0."""
    done = subprocess.run([sys.executable, "run.py", "check"], cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ("engine", "blas", "device", "demo"):
        assert word in done.stdout
