"""`background: true` on /v1/responses with the `openai` package over the fake engine: states, streams, restarts."""

from __future__ import annotations

import time
from typing import Any

import gevent
import openai
import pytest

from src.api.batches import response_run
from src.api.batches.absent_keys import GRACE_S
from src.api.batches.feeder import Feeder
from src.api.service import EXTENSION
from src.api.state import responses
from tests.contract.conftest import Service, StartService
from tests.contract.test_responses import WEATHER, stream_events
from tests.unit.clock import Clock

PATIENCE_S = 10.0
ROUTE = "/v1/responses"
ENDED = ("completed", "incomplete", "failed", "cancelled")


def feeder_of(service: Service) -> Feeder:
    return Feeder(service.app, service.app.extensions[EXTENSION])


def begin(service: Service, text: str = "hello", **fields: Any) -> Any:
    return service.openai.responses.create(model="demo", input=text, background=True, **fields)


def until(service: Service, name: str, feeder: Feeder, statuses: tuple[str, ...] = ENDED) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while (found := service.openai.responses.retrieve(name)).status not in statuses:
        assert time.monotonic() < deadline, found
        feeder.look()
        gevent.sleep(0.01)
    return found


def events_of(service: Service, name: str, after: int | None = None) -> list[dict[str, Any]]:
    where = "" if after is None else f"&starting_after={after}"
    return stream_events(service.http.get(f"{ROUTE}/{name}?stream=true{where}").text)


def test_queued_answered_listed_and_deleted(service: Service) -> None:
    made = begin(service, metadata={"for": "tests"})
    assert (made.status, made.background, made.output) == ("queued", True, [])
    assert service.openai.responses.retrieve(made.id).status == "queued"
    done = until(service, made.id, feeder_of(service))
    assert (done.status, done.output_text, done.metadata) == ("completed", "hello", {"for": "tests"})
    assert done.usage is not None
    assert done.usage.output_tokens == 6
    (item,) = service.openai.responses.input_items.list(made.id)
    assert item.to_dict()["content"] == [{"type": "input_text", "text": "hello"}]
    again = service.openai.responses.create(model="demo", input="more", previous_response_id=made.id)
    assert again.usage is not None
    assert again.usage.input_tokens > done.usage.input_tokens
    service.openai.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        service.openai.responses.retrieve(made.id)


def test_incomplete_failed_and_a_tool(start_service: StartService) -> None:
    service = start_service(max_model_len=600)
    short = begin(service, max_output_tokens=3)
    long = begin(service, "x" * 700)
    tool: Any = {"type": "function", "name": "weather"}
    called = begin(service, '{"city":"Bonn"}', tools=[WEATHER], tool_choice=tool)
    feeder = feeder_of(service)
    cut = until(service, short.id, feeder)
    assert (cut.status, cut.output_text, cut.incomplete_details.reason) == ("incomplete", "hel", "max_output_tokens")
    failed = until(service, long.id, feeder)
    assert (failed.status, failed.error.code) == ("failed", "context_length_exceeded")
    (call,) = until(service, called.id, feeder).output
    assert (call.type, call.name, call.arguments) == ("function_call", "weather", '{"city":"Bonn"}')


def test_a_stream_is_read_from_any_event(service: Service) -> None:
    """As often as asked, numbered without a gap, and equal to what a foreground stream shows."""
    made = begin(service, "hi")
    until(service, made.id, feeder_of(service))
    found = events_of(service, made.id)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    kinds = [event["type"].removeprefix("response.") for event in found]
    assert kinds[:3] == ["created", "queued", "in_progress"]
    live = stream_events(service.http.post(ROUTE, json={"input": "hi", "stream": True}).text)
    assert kinds[2:] == [event["type"].removeprefix("response.") for event in live[1:]]
    assert found[-1]["response"]["output"][0]["content"][0]["text"] == "hi"
    for after in (0, 4, len(found) - 1, 10_000):
        assert events_of(service, made.id, after) == found[after + 1 :]
    with service.openai.responses.retrieve(made.id, stream=True, starting_after=1) as events:
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "hi"


def test_create_with_stream_shows_it_as_it_comes(service: Service) -> None:
    feeder = feeder_of(service)

    def feed() -> None:
        while True:
            feeder.look()
            gevent.sleep(0.01)

    running = gevent.spawn(feed)
    try:
        with service.openai.responses.create(model="demo", input="hello", background=True, stream=True) as stream:
            kinds = [event.type for event in stream]
    finally:
        running.kill()
    assert (kinds[1], kinds[-1]) == ("response.queued", "response.completed")


def test_cancelled_while_queued(service: Service) -> None:
    """Twice is once; it never runs; its stream ends. What is not of the background cannot be cancelled."""
    queued = begin(service)
    for _ in range(2):
        assert service.openai.responses.cancel(queued.id).status == "cancelled"
    feeder_of(service).look()
    assert [event["type"] for event in events_of(service, queued.id)] == ["response.created", "response.queued"]
    done = service.openai.responses.create(model="demo", input="now")
    with pytest.raises(openai.BadRequestError, match="background"):
        service.openai.responses.cancel(done.id)


def test_a_restart_goes_on_behind_what_was_shown(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that dies in the middle, and a fresh one: the events that were read stay, and no text comes twice."""
    left = [12]

    def dies(stream: Any, events: list[Any]) -> bool:
        left[0] -= 1
        if not left[0]:
            raise gevent.GreenletExit
        return take(stream, events)

    text, take = "abcdefghij" * 4, response_run._StoredStream.take  # where a worker's death strikes
    monkeypatch.setattr(response_run._StoredStream, "take", dies)
    monkeypatch.setattr(response_run, "_FLUSH_S", 0.0)
    made, feeder = begin(service, f"{text} fake:delay=0.002"), feeder_of(service)
    until(service, made.id, feeder, ("in_progress",))
    read = read_so_far(service, made.id)
    assert 4 < len(read) < 24
    done = until(service, made.id, feeder_of(service))
    found = events_of(service, made.id)
    assert found[: len(read)] == read
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    deltas = "".join(event["delta"] for event in found if event["type"].endswith("text.delta"))
    whole = service.openai.responses.create(model="demo", input=f"{text} fake:delay=0.002")
    assert deltas == done.output_text == whole.output_text
    assert (done.usage, whole.usage) == (whole.usage, done.usage)


def read_so_far(service: Service, name: str) -> list[dict[str, Any]]:
    chunks = service.app.extensions[EXTENSION].state.run(lambda db: responses.events(db, name, 0))
    return stream_events(b"".join(event for chunk in chunks for event in chunk.events).decode())


def test_it_waits_for_an_engine_that_is_away(start_service: StartService) -> None:
    service = start_service(engine=False)
    made, feeder = begin(service), feeder_of(service)
    for _ in range(3):
        feeder.look()
        gevent.sleep(0.05)
    assert service.openai.responses.retrieve(made.id).status == "queued"
    service.start_engine()
    assert until(service, made.id, feeder).output_text == "hello"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True, "store": False}, "store"),
        ({"background": "yes"}, "background"),
        ({"background": True, "model": "nobody"}, "model"),
        ({"background": True, "top_k": "many"}, "top_k"),
        ({"background": True, "previous_response_id": "resp_none"}, "previous_response_id"),
    ],
)
def test_wrong_requests_are_refused_at_once(fields: dict[str, Any], param: str, service: Service) -> None:
    reply = service.http.post(ROUTE, json={"input": "x", **fields})
    assert reply.status_code in (400, 404)
    assert reply.json()["error"]["param"] == param


def test_wrong_questions(service: Service) -> None:
    made = begin(service)
    live = service.openai.responses.create(model="demo", input="now")
    for path, param in (
        (f"{made.id}?stream=true&starting_after=x", "starting_after"),
        (f"{live.id}?stream=true", "stream"),
    ):
        assert service.http.get(f"{ROUTE}/{path}").json()["error"]["param"] == param
    reply = service.http.post(ROUTE, json={"input": "x", "previous_response_id": made.id})
    assert "queued" in reply.json()["error"]["message"]


def test_unfinished_ones_of_a_key_are_bounded(start_service: StartService) -> None:
    service = start_service(engine=False, background_responses_per_key=1)
    begin(service)
    with pytest.raises(openai.BadRequestError, match="BACKGROUND_RESPONSES_PER_KEY"):
        begin(service)


def test_it_is_its_owners_and_runs_as_its_key(start_service: StartService) -> None:
    keys = {name: f"{name}-key-{'0' * 24}" for name in ("alice", "bob")}
    service = start_service(api_keys=",".join(f"{name}:user:{key}" for name, key in keys.items()))
    alice, bob = (service.openai.with_options(api_key=key) for key in keys.values())
    made = alice.responses.create(model="demo", input="hers", background=True)
    for ask in (bob.responses.retrieve, bob.responses.cancel, bob.responses.delete, bob.responses.input_items.list):
        with pytest.raises(openai.NotFoundError):
            ask(made.id)
    late = bob.responses.create(model="demo", input="x", background=True)
    service.app.extensions["stoker.keys"].is_valid = lambda name: name != "bob"
    feeder, deadline = feeder_of(service), time.monotonic() + PATIENCE_S
    while alice.responses.retrieve(made.id).output_text != "hers":
        assert time.monotonic() < deadline
        feeder.look()
        gevent.sleep(0.01)
    assert bob.responses.retrieve(late.id).status == "queued"  # its key may come back
    feeder = Feeder(service.app, service.app.extensions[EXTENSION], clock := Clock(time.time()))
    feeder.look()
    clock.now += GRACE_S
    feeder.look()
    assert bob.responses.retrieve(late.id).status == "cancelled"


def test_a_row_that_cannot_be_read_has_failed_and_stops_no_other(service: Service) -> None:
    """As one that another version wrote."""
    state = service.app.extensions[EXTENSION].state
    bad, good = begin(service, "one").id, begin(service, "two").id
    state.run(lambda db: db.execute("UPDATE responses SET work = ? WHERE id = ?", (b"junk", bad)))
    feeder = feeder_of(service)
    assert until(service, good, feeder).output_text == "two"
    assert until(service, bad, feeder).status == "failed"


def begin_two(service: Service) -> None:
    begin(service, "z")
    begin(service, "z")


def test_the_oldest_of_a_key_make_room(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have ended; the disk is bounded."""
    feeder = feeder_of(service)
    first = begin(service, "x" * 2000)
    until(service, first.id, feeder)
    monkeypatch.setattr(responses, "_MOST_KEY_BYTES", 6000)
    second = begin(service, "y" * 1000)
    until(service, second.id, feeder)
    with pytest.raises(openai.NotFoundError):
        service.openai.responses.retrieve(first.id)
    monkeypatch.setattr(responses, "_MOST_KEY_BYTES", 10)
    with pytest.raises(openai.BadRequestError, match="10 is the limit"):
        begin_two(service)
