"""What a client may rely on whatever serves it: one suite over `mlx`, `fake`, an upstream server, and llama.cpp.

Real services, as users run them. The upstream of `vllm` is another Stoker, a real OpenAI server that needs nothing
built; `make test-llama` builds llama.cpp and has its two servers, `make test-vllm` installs vLLM and has that.
A wish an engine cannot honour is a 400 naming it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from src.settings import ROOT
from tests.contract.conftest import events, text_of
from tests.running import Running, service

pytestmark = pytest.mark.e2e

CONTEXT = 1024
PATIENCE_S = 600.0 if os.environ.get("STOKER_TEST_VLLM") else 100.0  # vLLM takes minutes to start
LLAMA = os.environ.get("STOKER_TEST_LLAMA", "")  # where llama.cpp is built
VLLM = os.environ.get("STOKER_TEST_VLLM", "")  # where vLLM is installed
ENGINES = ["llama-server", "llama_cpp.server"] if LLAMA else ["vllm serve"] if VLLM else ["fake", "mlx", "vllm"]
# those whose greedy answers go on when their server dies
RESUMING = ("fake", "mlx", "llama-server", "vllm serve")
COMMANDS = {
    "llama-server": "{folder}/llama.cpp/bin/llama-server -m {{model}} --host {{host}} --port {{port}} -c {{context}}",
    "llama_cpp.server": "env LLAMA_CPP_LIB_PATH={folder}/llama.cpp/bin {folder}/bin/python -m llama_cpp.server "
    "--model {{model}} --host {{host}} --port {{port}} --n_ctx {{context}} --interrupt_requests false --verbose false",
}
# on a CPU, for the demo model
VLLM_SERVE = (
    "env VLLM_CPU_KVCACHE_SPACE=1 VLLM_CPU_OMP_THREADS_BIND=nobind HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 "
    "{folder}/bin/vllm serve {{model}} --host {{host}} --port {{port}} --served-model-name {{name}} --enforce-eager "
    "--max-model-len {{context}} --max-num-seqs 4 --dtype float32 "
    '--structured-outputs-config \'{{"backend":"xgrammar","disable_any_whitespace":true}}\''
)
START_S = 600.0
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Oslo"]}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA}}


@dataclass(frozen=True)
class Engine:
    """A service on one engine."""

    name: str
    running: Running

    @property
    def upstream(self) -> bool:
        return self.name not in ("fake", "mlx")

    def post(self, path: str, **body: Any) -> httpx.Response:
        return httpx.post(f"{self.running.url}{path}", json=body, timeout=PATIENCE_S)

    def chat(self, content: str = "What are you?", **fields: Any) -> httpx.Response:
        fields = {"temperature": 0, "max_tokens": 12, **fields}
        return self.post("/v1/chat/completions", messages=[{"role": "user", "content": content}], **fields)

    def text(self, content: str = "What are you?", **fields: Any) -> str:
        return str(self.chat(content, **fields).json()["choices"][0]["message"]["content"])

    def load(self) -> dict[str, int]:
        health: Any = self.running.status()["engine"]["health"]
        return dict(health["load"])

    def becomes_idle(self) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            load = self.load()
            if load["running"] + load["waiting"] == 0:
                return True
            time.sleep(0.05)
        return False


def honoured(answer: httpx.Response, *params: str) -> bool:
    """Whether a wish was honoured; if not, it must have been refused by one of these names."""
    if answer.status_code == 200:
        return True
    error = answer.json()["error"]
    assert (answer.status_code, error["param"] in params) == (400, True), error
    return False


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model as a GGUF file."""
    file = tmp_path_factory.mktemp("models") / "demo.gguf"
    argv = [f"{LLAMA}/bin/python", "-m", "tests.llama.gguf_model", "models/demo", str(file)]
    subprocess.run(argv, cwd=ROOT, check=True, timeout=120)
    return file


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    name = str(request.param)
    common: dict[str, Any] = {"ocr_workers": 0, "max_model_len": CONTEXT, "heartbeat_interval": 0.2}
    with ExitStack() as stack:
        if name == "vllm":
            beneath = stack.enter_context(service(inference_engine="fake", **common))
            common |= {"inference_engine": "vllm", "upstream_url": f"{beneath.url}/v1"}
        elif name == "vllm serve":
            common |= {"inference_engine": "vllm", "vllm_command": VLLM_SERVE.format(folder=Path(VLLM).resolve())}
            common |= {"start_timeout": START_S, "queue_timeout": START_S, "engine_stall_timeout": START_S}
            common |= {"answer_timeout": START_S, "answer_timeout_max": START_S}  # it compiles as it goes
        elif name in COMMANDS:
            command = COMMANDS[name].format(folder=LLAMA)
            common |= {"default_model": request.getfixturevalue("gguf"), "llama_cpp_command": command}
        else:
            common |= {"inference_engine": name}
        running = stack.enter_context(service(**common, ready=None))
        running.wait(timeout_s=START_S)
        yield Engine(name, running)


def test_it_says_what_it_is(engine: Engine) -> None:
    """The card has the engine's name, the context and the state."""
    assert engine.chat().status_code == 200
    card = json.loads(engine.running.get("/v1/models")[1])["data"][0]
    shown = {"llama-server": "llama.cpp", "llama_cpp.server": "llama.cpp", "vllm serve": "vllm"}
    assert card["engine"] == shown.get(engine.name, engine.name)
    assert card["state"] == "gpu"
    assert card["context_length"] == (CONTEXT if engine.name != "llama_cpp.server" else 0)  # which does not tell it


def test_a_stream_is_the_whole_answer_in_pieces(engine: Engine) -> None:
    """The same text, the same end, the same counts."""
    whole = engine.chat().json()
    stream = events(engine.chat(stream=True, stream_options={"include_usage": True}).text)
    assert stream[-1] == "[DONE]"
    assert text_of(stream) == whole["choices"][0]["message"]["content"]
    reasons = [c["finish_reason"] for e in stream[:-1] for c in e["choices"] if c["finish_reason"]]
    assert reasons == [whole["choices"][0]["finish_reason"]]
    counts = ("prompt_tokens", "completion_tokens")
    assert [stream[-2]["usage"][name] for name in counts] == [whole["usage"][name] for name in counts]
    assert whole["usage"]["completion_tokens"] > 0
    assert whole["usage"]["prompt_tokens"] > 0 or engine.name == "llama_cpp.server"  # which tells none in a stream


@pytest.mark.parametrize("limit", [1, 4])
def test_the_limit_is_exact(limit: int, engine: Engine) -> None:
    """An answer takes as many tokens as it may."""
    answer = engine.chat("tell me about the sea", max_tokens=limit).json()
    assert (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]) == (limit, "length")


def test_stop_strings(engine: Engine) -> None:
    """They end the answer and are not shown."""
    text = engine.text()
    stop = text[2:4]
    answer = engine.chat(stop=[stop]).json()["choices"][0]
    assert (answer["message"]["content"], answer["finish_reason"]) == (text[: text.index(stop)], "stop")


def test_a_seed_gives_the_same_text(engine: Engine) -> None:
    """Sampled, but the same twice."""
    fields: dict[str, Any] = {
        "temperature": 1.2,
        "seed": 11,
        "top_k": 50,
        "top_p": 0.95,
        "min_p": 0.01,
        "repetition_penalty": 1.1,
    }
    assert engine.text(**fields) == engine.text(**fields)


def test_several_choices(engine: Engine) -> None:
    """Each is an answer, and the usage is that of all."""
    answer = engine.chat(n=2, temperature=1, max_tokens=4)
    if honoured(answer, "n"):
        assert [choice["index"] for choice in answer.json()["choices"]] == [0, 1]
        assert answer.json()["usage"]["completion_tokens"] == 8


def test_log_probabilities(engine: Engine) -> None:
    """One for each token, whose bytes make the text, and the likeliest beside it."""
    answer = engine.chat(logprobs=True, top_logprobs=2, max_tokens=4).json()
    scores = answer["choices"][0]["logprobs"]["content"]
    assert len(scores) == answer["usage"]["completion_tokens"]
    assert (
        bytes(byte for score in scores for byte in score["bytes"]).decode()
        == answer["choices"][0]["message"]["content"]
    )
    assert all(score["logprob"] <= 0 and 1 <= len(score["top_logprobs"]) <= 2 for score in scores)


def test_an_answer_of_a_given_form(engine: Engine) -> None:
    """JSON that follows the schema, or a 400."""
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    answer = engine.chat(response_format=form, max_tokens=300)
    if honoured(answer, "response_format"):
        assert json.loads(answer.json()["choices"][0]["message"]["content"])["city"] in ("Rome", "Oslo")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
def test_a_tool_that_must_be_called(choice: object, engine: Engine) -> None:
    """It is called, with arguments of its schema, or a 400."""
    answer = engine.chat(tools=[TOOL], tool_choice=choice, max_tokens=300)
    if honoured(answer, "tools", "tool_choice"):
        call = answer.json()["choices"][0]["message"]["tool_calls"][0]
        assert call["function"]["name"] == "weather"
        assert json.loads(call["function"]["arguments"])["city"] in ("Rome", "Oslo")


def test_every_field_is_honoured_or_refused(engine: Engine) -> None:
    """Never a crash, never an error of ours."""
    wishes: dict[str, Any] = {
        "ignore_eos": True,
        "logit_bias": {"5": 1.0},
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "tools": [TOOL],
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
    }
    for name, value in wishes.items():
        honoured(engine.chat(**{name: value}), name)


def test_the_model_without_a_conversation(engine: Engine) -> None:
    """Text is gone on with; token ids, too, or a 400."""
    answer = engine.post("/v1/completions", prompt="The sea is", max_tokens=2, temperature=0, logprobs=1).json()
    assert answer["usage"]["completion_tokens"] == len(answer["choices"][0]["logprobs"]["tokens"]) == 2
    honoured(engine.post("/v1/completions", prompt=[65, 66, 67], max_tokens=2), "prompt")


def test_tokens_and_back(engine: Engine) -> None:
    """A text's tokens make the text; a conversation's are more."""
    asked = engine.post("/tokenize", prompt="the sea")
    assert asked.status_code == 200, asked.text
    assert engine.post("/detokenize", tokens=asked.json()["tokens"]).json()["prompt"].strip() == "the sea"
    chat = engine.post("/tokenize", messages=[{"role": "user", "content": "the sea"}])
    if honoured(chat, "messages"):
        assert chat.json()["count"] > asked.json()["count"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "other"}, 404, "model_not_found"),
        ({"content": "sea " * 3000}, 400, "context_length_exceeded"),
        ({"temperature": 3}, 400, "invalid_value"),
    ],
)
def test_errors(fields: dict[str, Any], status: int, code: str, engine: Engine) -> None:
    """The same errors everywhere."""
    answer = engine.chat(**fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_many_at_once(engine: Engine) -> None:
    """More than run together: all are answered, each with its own greedy text."""
    asked = [f"What is the number {n}?" for n in range(12)]
    alone = [engine.text(content) for content in asked]
    with ThreadPoolExecutor(12) as crowd:
        assert list(crowd.map(engine.text, asked)) == alone


def test_a_client_that_leaves(engine: Engine) -> None:
    """Its answer ends with it, also in the upstream server: nothing keeps running without a client."""
    body = {
        "messages": [{"role": "user", "content": "fake:count=900 fake:delay=0.05 tell me a long story"}],
        "max_tokens": 900,
        "stream": True,
        "temperature": 1.5,
    }
    with httpx.stream("POST", f"{engine.running.url}/v1/chat/completions", json=body, timeout=PATIENCE_S) as reply:
        next(reply.iter_lines())
    assert engine.becomes_idle()
    assert engine.text(max_tokens=1) is not None


def test_the_engine_dies(engine: Engine) -> None:
    """kill -9: a request that comes is answered by the next one; nothing of the dead one is left."""
    pid = engine.running.pid("engine")
    below = psutil.Process(pid).children(recursive=True)
    expected = engine.text()
    os.kill(pid, signal.SIGKILL)
    assert engine.text() == expected
    assert engine.running.pid("engine") != pid
    _, left = psutil.wait_procs(below, PATIENCE_S)
    assert left == []


def test_the_engine_dies_in_the_middle_of_an_answer(engine: Engine) -> None:
    """It goes on; but for that of an upstream server which tells no token ids: it fails, and says so."""
    body = {
        "messages": [{"role": "user", "content": "fake:count=40 fake:delay=0.1 What can you do?"}],
        "max_tokens": 900,
        "stream": True,
        "temperature": 0,
        "logit_bias": {},
    }
    lines: list[str] = []
    assert engine.text(max_tokens=1) is not None  # the last test's engine is replaced
    with httpx.stream("POST", f"{engine.running.url}/v1/chat/completions", json=body, timeout=PATIENCE_S) as reply:
        for line in reply.iter_lines():
            lines += [line] if line else []
            if line and len(lines) == 3:
                os.kill(engine.running.pid("engine"), signal.SIGKILL)
    last = json.loads(lines[-1].removeprefix("data: ")) if lines[-1] != "data: [DONE]" else None
    if engine.name not in RESUMING and last is not None:
        assert last["error"]["code"] == "engine_crashed"
    else:  # it went on, or was over before it died
        assert last is None
    engine.running.wait()
