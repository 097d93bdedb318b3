"""Where each phase of a request begins and ends."""

from __future__ import annotations

from src.api.tracing.phases import Moments, phases
from src.ipc.messages.chat import Timings

TIMINGS = Timings(queue_s=1.0, prefill_s=2.0, decode_s=4.0)


def shown(moments: Moments, ended: float, timings: Timings | None = TIMINGS) -> dict[str, tuple[float, float]]:
    return {phase.name: (phase.began, phase.ended) for phase in phases(moments, ended, timings)}


def test_a_good_answer_has_them_all() -> None:
    assert shown(Moments(10.0, [11.0], [], 14.0), 18.0) == {
        "lease": (10.0, 11.0),
        "queue": (11.0, 12.0),
        "prefill": (12.0, 14.0),
        "first_token": (10.0, 14.0),
        "decode": (14.0, 18.0),
    }


def test_a_request_that_never_got_an_engine_waited_for_its_lease() -> None:
    assert shown(Moments(10.0), 15.0, None) == {"lease": (10.0, 15.0)}


def test_a_resume_lasts_until_the_next_engine_has_it() -> None:
    """Queue and prefill are those of the engine that answered in the end."""
    found = shown(Moments(10.0, [11.0, 20.0], [13.0], 12.0), 30.0)
    assert found["resume"] == (13.0, 20.0)
    assert (found["queue"], found["decode"]) == ((20.0, 21.0), (12.0, 30.0))


def test_a_resume_that_fails_lasts_to_the_end() -> None:
    found = shown(Moments(10.0, [11.0], [13.0], 12.0), 19.0, None)
    assert found["resume"] == (13.0, 19.0)
    assert "queue" not in found


def test_the_engines_durations_end_in_time() -> None:
    """Its clock is another: nothing is longer than what holds it."""
    found = shown(Moments(10.0, [11.0]), 11.5)
    assert (found["queue"], found["prefill"]) == ((11.0, 11.5), (11.5, 11.5))
