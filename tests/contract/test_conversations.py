"""/v1/conversations with the `openai` package over the fake engine: items, responses that go on, owners."""

from __future__ import annotations

from typing import Any, cast

import openai
import pytest

from src.api.state import conversations
from tests.contract.conftest import Service, StartService
from tests.contract.test_background import begin, feeder_of, until

ROUTE = "/v1/conversations"
TURN: Any = {"type": "message", "role": "user", "content": "my name is Ada"}


def texts(service: Service, name: str, **query: Any) -> list[str]:
    listed = service.openai.conversations.items.list(name, **query)
    return [item.content[0].text for item in listed if item.type == "message"]  # type: ignore[union-attr]


def test_created_changed_and_deleted(service: Service) -> None:
    conversations = service.openai.conversations
    made = conversations.create(items=[TURN], metadata={"for": "tests"})
    assert (made.object, made.metadata) == ("conversation", {"for": "tests"})
    assert conversations.retrieve(made.id) == made
    assert conversations.update(made.id, metadata={"for": "more"}).metadata == {"for": "more"}
    added: Any = conversations.items.create(made.id, items=cast(Any, [TURN, {**TURN, "id": "a", "role": "assistant"}]))
    assert len({item.id for item in added.data} - {"a"}) == 2
    assert len(texts(service, made.id)) == 3
    newest: Any = added.data[1].id
    assert [item.id for item in conversations.items.list(made.id, limit=1).data] == [newest]
    assert [item.id for item in conversations.items.list(made.id, order="asc", after=added.data[0].id)] == [newest]
    assert conversations.items.retrieve(newest, conversation_id=made.id).to_dict()["role"] == "assistant"
    assert conversations.items.delete(newest, conversation_id=made.id).id == made.id
    with pytest.raises(openai.NotFoundError):
        conversations.items.retrieve(newest, conversation_id=made.id)
    assert conversations.delete(made.id).deleted
    for ask in (conversations.retrieve, conversations.items.list, conversations.delete):
        with pytest.raises(openai.NotFoundError):
            ask(made.id)


@pytest.mark.parametrize("stream", [False, True])
def test_responses_go_on_from_it_and_add_to_it(stream: bool, service: Service) -> None:
    name = service.openai.conversations.create(items=[TURN]).id
    create: Any = service.openai.responses.create
    for text in ("one", "two"):
        made = create(model="demo", input=text, conversation=name, stream=stream, store=False)
        if stream:
            made = list(made)[-1].response
        assert (made.output_text, made.conversation.id) == (text, name)
    assert texts(service, name, order="asc") == ["my name is Ada", "one", "one", "two", "two"]
    counts = [create(model="demo", input="x", **fields).usage.input_tokens for fields in ({}, {"conversation": name})]
    assert counts[1] > counts[0] + len("my name is Ada")


def test_a_background_response_adds_to_it_once(service: Service) -> None:
    name = service.openai.conversations.create(items=[TURN]).id
    made = begin(service, "later", conversation={"id": name})
    assert texts(service, name) == ["my name is Ada"]
    assert until(service, made.id, feeder_of(service)).output_text == "later"
    assert texts(service, name, order="asc") == ["my name is Ada", "later", "later"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/responses", {"input": "x", "conversation": "conv_none"}, "conversation"),
        ("/v1/responses", {"input": "x", "conversation": 7}, "conversation"),
        ("/v1/responses", {"input": "x", "conversation": "{}", "previous_response_id": "resp_1"}, "conversation"),
        (ROUTE, {"items": [TURN] * 21}, "items"),
        (ROUTE, {"items": [{"type": "frobnication"}]}, "items[0].type"),
        (ROUTE, {"metadata": {"a": 1}}, "metadata.a"),
        (ROUTE, {"frobnicate": 1}, "frobnicate"),
        (ROUTE + "/{}/items", {"items": []}, "items"),
        (ROUTE + "/{}/items", {}, "items"),
        (ROUTE + "/{}", {"metadata": 7}, "metadata"),
    ],
)
def test_wrong_requests(path: str, body: dict[str, Any], param: str, service: Service) -> None:
    name = service.openai.conversations.create().id
    reply = service.http.post(path.format(name), json=body)
    assert reply.status_code in (400, 404), reply.text
    assert reply.json()["error"]["param"].startswith(param), reply.text


def test_they_are_bounded(start_service: StartService) -> None:
    service = start_service(engine=False, conversations_per_key=1, conversation_items=1)
    name = service.openai.conversations.create(items=[TURN]).id
    with pytest.raises(openai.BadRequestError, match="CONVERSATION_ITEMS"):
        service.openai.conversations.items.create(name, items=[TURN])
    with pytest.raises(openai.BadRequestError, match="CONVERSATIONS_PER_KEY"):
        service.openai.conversations.create()


def test_it_is_its_owners(start_service: StartService) -> None:
    keys = {name: f"{name}-key-{'0' * 24}" for name in ("alice", "bob")}
    service = start_service(api_keys=",".join(f"{name}:user:{key}" for name, key in keys.items()))
    alice, bob = (service.openai.with_options(api_key=key) for key in keys.values())
    made = alice.conversations.create(items=[TURN])
    item: Any = alice.conversations.items.list(made.id).data[0].id
    for ask in (
        lambda: bob.conversations.retrieve(made.id),
        lambda: bob.conversations.delete(made.id),
        lambda: bob.conversations.update(made.id, metadata={}),
        lambda: bob.conversations.items.create(made.id, items=[TURN]),
        lambda: bob.conversations.items.retrieve(item, conversation_id=made.id),
        lambda: bob.responses.create(model="demo", input="what is my name?", conversation=made.id),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()


@pytest.mark.parametrize("odd", [{"a": 1}, 7, True, [], "", 2**70], ids=repr)
def test_an_id_that_is_none_gets_one(odd: Any, service: Service) -> None:
    """Nothing of a client's that is no text is bound to a statement."""
    name = service.openai.conversations.create().id
    item = {"role": "user", "content": "hi", "id": odd}
    made = service.http.post("/v1/responses", json={"model": "demo", "conversation": name, "input": [item]})
    assert made.status_code == 200
    listed = service.http.get(f"{ROUTE}/{name}/items").json()["data"]
    assert len(listed) == 2
    assert all(isinstance(one["id"], str) for one in listed)


def test_a_full_conversation_is_refused_before_it_is_answered(start_service: StartService) -> None:
    service = start_service(conversation_items=2)
    name = service.openai.conversations.create(items=[TURN]).id
    reply = service.http.post("/v1/responses", json={"model": "demo", "conversation": name, "input": "x"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "conversation")
    assert "CONVERSATION_ITEMS" in reply.json()["error"]["message"]


def test_its_bytes_are_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it goes into a prompt."""
    monkeypatch.setattr(conversations, "_MOST_BYTES", 1000)
    name = service.openai.conversations.create(items=[TURN]).id
    large = {"type": "message", "role": "user", "content": "x" * 900}
    reply = service.http.post(f"{ROUTE}/{name}/items", json={"items": [large]})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "conversation")
    assert len(texts(service, name)) == 1


@pytest.mark.parametrize("limit", ["0", "00000000150000", "000000001" + "9" * 20, "1e2", "-1", "²"])
def test_a_limit_is_a_number_of_rows(limit: str, service: Service) -> None:
    assert service.http.get("/v1/files", params={"limit": limit}).status_code == 400
