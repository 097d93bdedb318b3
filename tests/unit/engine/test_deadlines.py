"""The table of time budgets, and what a resumed answer is given."""

from __future__ import annotations

import msgspec
import pytest

from src.engine.deadlines import budget
from src.engine.fake import END, FakeBackend
from src.engine.prompt import encode, prepare
from src.engine.step_times import StepTimes
from src.ipc.messages.chat import ChatMessage, FinishReason, GenerateRequest
from tests.conftest import MakeSettings

REQUEST = GenerateRequest("r", "m", (ChatMessage("user", "hello"),))


@pytest.mark.parametrize(
    ("changes", "max_tokens", "seconds_per_token", "total"),
    [
        ({}, 100, None, 50.0),
        ({}, 1000, None, 180.0),
        ({"has_images": True}, 100, None, 80.0),
        ({"stream": True}, 100, None, 90.0),
        ({"stream": True}, 5000, None, 300.0),
        ({"stream": True, "has_images": True}, 100, None, 120.0),
        ({}, 100, 0.1, 50.0),
        ({}, 1000, 0.15, 225.0),
        ({}, 1000, 10.0, 300.0),
        ({"timeout_s": 7.0}, 100, None, 7.0),
        ({"timeout_s": 7000.0}, 100, None, 50.0),
        ({"spent_s": 20.0}, 100, None, 30.0),
        ({"spent_s": 90.0}, 100, None, 0.0),
    ],
)
def test_the_table(
    changes: dict[str, object],
    max_tokens: int,
    seconds_per_token: float | None,
    total: float,
    make_settings: MakeSettings,
) -> None:
    """Base and per token, at most; stretched by the measured pace up to REQUEST_TIMEOUT; a request may only shorten."""
    request = msgspec.structs.replace(REQUEST, **changes)
    found = budget(request, max_tokens, make_settings(), seconds_per_token)
    assert found.total_s == pytest.approx(total)
    assert found.gap_s == (30.0 if request.stream else None)
    assert found.queue_s == 120.0


def test_a_resumed_answer_goes_on(make_settings: MakeSettings) -> None:
    """The prefix goes behind the prompt, counts as generated, and its text is not shown again."""
    settings = make_settings()
    backend = FakeBackend("m", settings)
    request = msgspec.structs.replace(REQUEST, prefix=(104, 101), max_tokens=10)
    sequence = prepare(request, encode(request, backend, lambda: 0.0), backend, settings, None)
    assert sequence.prompt[-2:] == [104, 101]
    assert (sequence.completion_tokens, sequence.finished_on_replay) == (2, None)
    finished = sequence.finished("stop", 1.0)
    assert finished.usage.prompt_tokens == len(sequence.prompt) - 2


@pytest.mark.parametrize(
    ("changes", "over"),
    [
        ({"prefix": (104, END)}, "stop"),
        ({"prefix": (104, 101, 108), "max_tokens": 3}, "length"),
        ({"prefix": (104, 101, 108), "stop": ("el",)}, "stop"),
        ({"prefix": (104, 101), "stop": ("el",)}, None),
    ],
)
def test_only_the_outcome_was_lost(
    changes: dict[str, object], over: FinishReason | None, make_settings: MakeSettings
) -> None:
    """An answer whose last token was already sent ends at once when it is resumed."""
    settings = make_settings()
    request, backend = msgspec.structs.replace(REQUEST, **changes), FakeBackend("m", settings)
    sequence = prepare(request, encode(request, backend, lambda: 0.0), backend, settings, None)
    assert sequence.finished_on_replay == over


def test_retry_after_follows_depth_and_service_time() -> None:
    """Queue depth × mean service time ÷ slots, never under a second."""
    pace = StepTimes()
    assert pace.wait_s(100, 4) == 1.0
    pace.service.add(8.0)
    assert pace.wait_s(3, 4) == pytest.approx(8.0)
