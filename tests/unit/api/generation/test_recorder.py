"""What is counted about one answer: each latency where it belongs, and exactly one outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loguru import logger
from msgspec.structs import replace

from src.api.generation.recorder import ChatRecorder
from src.errors import DeadlineExceeded, EngineCrashed
from src.ipc.messages.chat import ChatMessage, Choice, Delta, GenerateRequest, Sampling
from src.metrics import FINISH_REASONS, Metrics, Readings
from tests.unit.api.fakes import REQUEST, FakeClock, delta, finished

if TYPE_CHECKING:
    from loguru import Record

LABELS = {"model_name": "demo", "engine": "fake"}


class Case:
    """A recorder, its clock, and the values it left in the metrics."""

    def __init__(self, choices: int = 1) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics(Readings)
        request = replace(REQUEST, choices=tuple(map(Choice, range(choices))))
        self.record = ChatRecorder(self.metrics, request, ("demo", "fake"), self.clock)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"stoker_{name}", {**LABELS, **labels}) or 0.0

    def outcomes(self) -> dict[str, float]:
        counts = {reason: self.value("request_success_total", finished_reason=reason) for reason in FINISH_REASONS}
        return {reason: count for reason, count in counts.items() if count}

    def left(self, phase: str) -> float | None:
        return self.metrics.registry.get_sample_value("stoker_client_disconnects_total", {"phase": phase})


def test_a_good_answer() -> None:
    """Times are this process's for what the client sees, the engine's for what happened inside it."""
    case = Case()
    case.clock.now += 2
    case.record.events([delta(1)])
    case.clock.now += 3
    case.record.events([delta(2), finished("length", prompt=5, completion=2)])
    assert case.outcomes() == {"length": 1}
    sums = {
        "time_to_first_token_seconds": 2,
        "inter_token_latency_seconds": 3,
        "e2e_request_latency_seconds": 5,
        "request_queue_time_seconds": 0.5,
        "request_prefill_time_seconds": 0.25,
        "request_decode_time_seconds": 2.0,
        "request_prompt_tokens": 5,
        "request_generation_tokens": 2,
    }
    assert {name: case.value(f"{name}_sum") for name in sums} == sums
    assert {case.value(f"{name}_count") for name in sums} == {1}
    assert (case.value("prompt_tokens_total"), case.value("generation_tokens_total")) == (5, 2)
    assert (case.left("prefill"), case.left("decode")) == (0, 0)


def test_the_line_of_a_timeout() -> None:
    """It says what was asked for and how far it came, and nothing of what was said."""
    lines: list[Record] = []
    sink = logger.add(lambda message: lines.append(message.record), filter=lambda r: r["message"].startswith("chat"))
    secret = ChatMessage("user", "MY-SECRET")
    request = GenerateRequest("r", "demo", (secret,), Sampling(temperature=0.5), max_tokens=7, has_images=True)
    record = ChatRecorder(Metrics(Readings), request, ("demo", "fake"), FakeClock())
    try:
        record.events([delta(1, text="THE-ANSWER")])
        record.failed(DeadlineExceeded("stopped after 30 s"))
    finally:
        logger.remove(sink)
    (line,) = lines
    told = {"outcome": "error", "code": "deadline_exceeded", "completion_tokens": 1}
    asked = {"max_tokens": 7, "temperature": 0.5, "has_images": True, "model": "demo"}
    assert {name: line["extra"][name] for name in told | asked} == told | asked
    assert "SECRET" not in str(line)
    assert "ANSWER" not in str(line)


def test_tokens_that_come_together_share_the_time() -> None:
    """Three tokens after six seconds are three gaps of two; the number of gaps is one less than the tokens'."""
    case = Case()
    case.record.events([delta(1)])
    case.clock.now += 6
    case.record.events([delta(2), delta(3, 4, text="")])
    assert case.value("inter_token_latency_seconds_count") == 3
    assert case.value("inter_token_latency_seconds_sum") == 6


def test_a_first_batch_of_several_tokens() -> None:
    """The first token is timed once; those that came with it are gaps that nobody waited for."""
    case = Case()
    case.clock.now += 3
    case.record.events([delta(1, 2, 3)])
    assert case.value("time_to_first_token_seconds_count") == 1
    assert case.value("time_to_first_token_seconds_sum") == 3
    assert case.value("inter_token_latency_seconds_count") == 2
    assert case.value("inter_token_latency_seconds_sum") == 0


def test_choices_are_timed_each_by_itself() -> None:
    """Four choices, a token each every two seconds: three gaps of two seconds for each, and so much per token."""
    case = Case(choices=4)
    for _ in range(4):
        case.clock.now += 2
        case.record.events([Delta((1,), "x", index) for index in range(4)])
    case.record.events([finished(completion=16)])
    assert case.value("time_to_first_token_seconds_count") == 1
    assert case.value("inter_token_latency_seconds_count") == 12
    assert case.value("inter_token_latency_seconds_sum") == 24
    assert case.value("request_time_per_output_token_seconds_sum") == pytest.approx(2.0 / 3)
    assert case.value("request_max_num_generation_tokens_sum") == 4


def test_a_choice_that_begins_later() -> None:
    """Its first token is no gap of another's."""
    case = Case(choices=2)
    case.record.events([Delta((1,), "x", 0)])
    case.clock.now += 5
    case.record.events([Delta((1,), "x", 0), Delta((1,), "x", 1)])
    assert case.value("inter_token_latency_seconds_count") == 1
    assert case.value("inter_token_latency_seconds_sum") == 5


@pytest.mark.parametrize(("events", "phase", "other"), [([], "prefill", "decode"), ([delta(1)], "decode", "prefill")])
def test_a_client_that_left(events: list[object], phase: str, other: str) -> None:
    """An answer closed without an outcome is an abort, and a disconnect of its phase; its tokens count as work done."""
    case = Case()
    case.record.events(events)  # type: ignore[arg-type]
    case.record.left()
    assert case.outcomes() == {"abort": 1}
    assert (case.left(phase), case.left(other)) == (1, 0)
    assert case.value("generation_tokens_total") == len(events)
    assert case.value("e2e_request_latency_seconds_count") == 0


def test_an_error_is_an_outcome() -> None:
    """It is counted once, and is no disconnect."""
    case = Case()
    case.record.failed(EngineCrashed("died"))
    assert case.outcomes() == {"error": 1}
    assert (case.left("prefill"), case.left("decode")) == (0, 0)


def test_nothing_is_counted_by_a_quiet_turn() -> None:
    """An empty turn leaves the times alone."""
    case = Case()
    case.clock.now += 1
    case.record.events([])
    case.clock.now += 1
    case.record.events([delta(1)])
    assert case.value("time_to_first_token_seconds_sum") == 2
