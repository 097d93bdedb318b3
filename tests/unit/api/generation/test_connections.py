"""The web process's way to the others: what is asked where, and what is said when nobody answers."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from src.api.generation.connections import Backends
from src.api.generation.resume import ResumableStream
from src.errors import BackendUnavailable, EngineCrashed, ModelNotFound, ServiceError
from src.ipc.messages.base import Accepted
from src.ipc.messages.chat import Finished, GenerateRequest, TokenizeRequest
from src.ipc.messages.ocr import OcrRequest
from src.ipc.messages.status import ChildState, EngineLoad, ModelInfo, OcrLoad, PrefixReading, SystemStatus
from src.ipc.messages.wire import AnyMessage
from src.ipc.server import Peer
from src.metrics import ModelReading
from tests.conftest import MakeSettings
from tests.unit.api.fakes import TableBackends, finished, table
from tests.unit.ipc.conftest import ServerThread

MEMORY = {"active": 10, "peak": 20, "limit": 30}
UP = ModelReading("demo", "fake", up=True, running=3, waiting=2, memory_bytes=MEMORY, state="gpu")
DOWN = ModelReading("demo", "fake", up=False, state="gpu")


def test_a_model_that_is_not_served(make_settings: MakeSettings) -> None:
    """The error names what was asked for and what there is."""
    with pytest.raises(ModelNotFound, match=r"'gpt-4'.*Available: demo") as caught:
        Backends(make_settings()).open_chat(GenerateRequest("id", "gpt-4", ()))
    assert caught.value.param == "model"


def test_a_back_end_that_is_not_there(make_settings: MakeSettings) -> None:
    """A missing process is a 503 that says when to come back."""
    backends = Backends(make_settings())
    with pytest.raises(BackendUnavailable, match="engine") as chat:
        backends.open_chat(GenerateRequest("id", "demo", ())).receive_all(5)
    with pytest.raises(BackendUnavailable, match="ocr") as ocr:
        backends.open_ocr(OcrRequest("id", b"")).receive_all(5)
    assert chat.value.retry_after_s
    assert ocr.value.retry_after_s


def test_ocr_that_is_turned_off(make_settings: MakeSettings) -> None:
    """Coming back will not help, so there is no Retry-After."""
    with pytest.raises(BackendUnavailable, match="OCR_WORKERS=0") as caught:
        Backends(make_settings(ocr_workers=0)).open_ocr(OcrRequest("id", b""))
    assert caught.value.retry_after_s is None


def test_no_supervisor_is_no_status(make_settings: MakeSettings) -> None:
    """Serving needs no supervisor; asking for it says that it is not there."""
    assert Backends(make_settings()).status() is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (table(), UP),
        (table(engine="backoff"), DOWN),
        (table(engine="starting"), replace(DOWN, state="loading")),
        (None, replace(DOWN, state="unknown")),
    ],
    ids=["ready", "backoff", "starting", "no supervisor"],
)
def test_an_engine_as_metrics(answer: SystemStatus | None, expected: ModelReading, make_settings: MakeSettings) -> None:
    """The series keep their labels whatever happens: a dead engine shows 0 where it showed its load."""
    readings = TableBackends(make_settings(inference_engine="fake"), answer).readings()
    assert readings.models[0] == expected


def test_the_table_as_metrics(make_settings: MakeSettings) -> None:
    """Restarts, memory and the OCR pool come from the same answer."""
    readings = TableBackends(make_settings(), table()).readings()
    assert readings.restarts == {"engine:demo": {"stall": 2}, "engine:gone": {"exit": 1}}
    assert readings.process_memory_bytes == {"engine:demo": 1000, "ocr": 2000}
    counts = {"workers": 2, "workers_busy": 1, "queue_depth": 5, "model_loads": 2, "worker_restarts": 3}
    assert readings.ocr == counts | {"fallbacks": 0, "jobs_unfinished": 0, "workers_recycled": 0}


@pytest.mark.parametrize("engine", ["ready", "backoff"])
def test_counters_go_on_over_processes(engine: ChildState, make_settings: MakeSettings) -> None:
    """What ended processes had counted is in /metrics, beside the running one or without one."""
    past = EngineLoad(0, 0, 0.0, 3, 5, prefix=PrefixReading(0, 0, 7, 2, 70, 20), preempted=4)
    status = msgspec.structs.replace(
        table(engine, "backoff"), ended_engines={"engine:demo": past}, ended_ocr=OcrLoad(0, 0, 0, 4, 0, 0, 1)
    )
    readings = TableBackends(make_settings(inference_engine="fake"), status).readings()
    assert (readings.models[0].preempted, readings.models[0].up) == (4, engine == "ready")
    assert readings.models[0].prefix is not None
    assert readings.models[0].prefix.requests >= 7
    assert readings.ocr == {"model_loads": 4, "worker_restarts": 1, "workers_recycled": 0, "fallbacks": 0}


@pytest.mark.parametrize(("setting", "label"), [("auto", "mlx"), ("mlx", "mlx"), ("fake", "fake")])
def test_the_engines_label(setting: str, label: str, make_settings: MakeSettings) -> None:
    """Series are labelled with the engine that runs, not with how it was chosen."""
    assert Backends(make_settings(inference_engine=setting)).engine_name("demo") == label


@pytest.mark.parametrize(
    ("settings", "told", "sees"),
    [
        ({"inference_engine": "vllm"}, True, True),
        ({"inference_engine": "vllm"}, None, False),
        ({"inference_engine": "vllm", "upstream_url": "http://127.0.0.1:9"}, None, None),
        ({"inference_engine": "llama.cpp"}, False, False),
        ({"inference_engine": "vllm", "upstream_vision": "true"}, None, True),
        ({"inference_engine": "vllm", "upstream_vision": "false"}, True, False),
        ({"inference_engine": "mlx", "upstream_vision": "true"}, None, False),
    ],
)
def test_whether_a_model_reads_images(
    settings: dict[str, str], told: bool | None, sees: bool | None, make_settings: MakeSettings
) -> None:
    """What an upstream server runs is its to say, or the operator's; a PDF's pages are shown where it is known."""
    backends = TableBackends(make_settings(**settings), _telling(table(), told))
    entry = backends.check_model("demo")
    assert backends.reads_images(entry) is sees
    assert backends.is_shown_pages(entry) is (sees is True)


def _telling(status: SystemStatus, sees: bool | None) -> SystemStatus:
    """The engine says of its model whether it reads images."""
    found = status.child("engine:demo")
    assert found is not None
    assert found.health is not None
    model = ModelInfo("demo", 512, reads_images=sees)
    child = msgspec.structs.replace(found, health=msgspec.structs.replace(found.health, model=model))
    return msgspec.structs.replace(status, children=(child, *(one for one in status.children if one is not found)))


def test_a_granted_load_of_an_engine_that_has_failed(make_settings: MakeSettings, runtime_dir: Path) -> None:
    """Its model has its slot, its process does not come back by itself: no 200 for that."""

    async def grant(peer: Peer) -> None:
        while await peer.receive() is not None:
            peer.send(Accepted())

    settings = make_settings()
    failed = table(engine="failed", detail="no memory")
    with ServerThread(runtime_dir / "control.sock", grant):
        TableBackends(settings, table()).load("demo", lambda: None, retry=False)
        with pytest.raises(BackendUnavailable, match="engine:demo has failed: no memory"):
            TableBackends(settings, failed).load("demo", lambda: None, retry=False)


class Poisoned:
    """An engine that dies of every text to be tokenized, and answers a chat that it is left alone with."""

    def __init__(self) -> None:
        self.chats = threading.Event()
        self.crashes = 0

    async def __call__(self, peer: Peer) -> None:
        """A handler that returns closes its connection."""
        message, life = await peer.receive(), self.crashes
        peer.send(Accepted())
        if isinstance(message, TokenizeRequest):
            await asyncio.wait([peer.gone], timeout=0.1)  # until the chat is back, too
            self.crashes += 1
            return
        self.chats.set()
        for _ in range(50):
            await asyncio.wait([peer.gone], timeout=0.01)
            if self.crashes != life:
                return
        peer.send(finished())


def _outcome(stream: ResumableStream) -> AnyMessage | ServiceError:
    """The last that a request is told."""
    try:
        return stream.receive_all(20)[-1]
    except ServiceError as error:
        return error
    finally:
        stream.close()


def test_a_poisonous_text_condemns_no_chat_beside_it(make_settings: MakeSettings, runtime_dir: Path) -> None:
    """A request to tokenize is among its model's suspects: the chat was not alone at a crash, and is answered."""
    backends, engine = Backends(make_settings(resume_max_wait=20)), Poisoned()
    request = GenerateRequest("id", "demo", ())
    with ServerThread(runtime_dir / "engine-demo.sock", engine), ThreadPoolExecutor(2) as crowd:
        chat = crowd.submit(_outcome, backends.open_chat(request))
        assert engine.chats.wait(5)
        text = crowd.submit(_outcome, backends.open_question("demo", TokenizeRequest(request)))
        assert isinstance(chat.result(20), Finished)
        assert isinstance(text.result(20), EngineCrashed)
    assert engine.crashes >= 3


def test_a_load_that_nobody_can_order(make_settings: MakeSettings) -> None:
    """Without a supervisor no model is brought: a 503, never a 200 for a model that is not there."""
    with pytest.raises(BackendUnavailable, match="supervisor does not answer"):
        Backends(make_settings()).load("demo", lambda: None, retry=True)
