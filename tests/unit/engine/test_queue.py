"""The sequences an engine admits: in all, and of one key."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from src.engine.queue import SequenceLimit, batch_share
from src.errors import InvalidRequest, Overloaded
from src.ipc.messages.chat import Choice, EmbedRequest, GenerateRequest, RawPrompt, TokenizeRequest
from tests.conftest import MakeSettings


def asking(count: int, salt: str = "") -> GenerateRequest:
    return GenerateRequest("r", "m", (), choices=tuple(Choice(index) for index in range(count)), salt=salt)


@pytest.fixture
def room(make_settings: MakeSettings) -> SequenceLimit[str]:
    """Of 32 sequences."""
    return SequenceLimit(make_settings(max_num_seqs=8, max_queue_size=24))


def test_one_key_leaves_a_quarter_to_the_others(room: SequenceLimit[str]) -> None:
    """However its sequences are spread over requests; what ends makes room again."""
    room.enter("first", asking(20, "bob"), 1.0)
    room.enter("second", TokenizeRequest(asking(1, "bob")), 1.0)
    with pytest.raises(Overloaded, match=r"of this key: 21 .* share is 24 of 32") as caught:
        room.enter("third", asking(4, "bob"), 2.0)
    assert caught.value.retry_after_s == 2
    room.enter("other", asking(8, "alice"), 1.0)
    room.leave("second")
    room.enter("third", asking(4, "bob"), 1.0)
    with pytest.raises(Overloaded, match="32 of 32"):
        room.enter("last", asking(1, "carol"), 1.0)


def test_without_keys_there_are_no_shares(room: SequenceLimit[str]) -> None:
    """The whole room is anybody's."""
    room.enter("first", asking(32), 1.0)
    assert list(room) == ["first"]


@pytest.mark.parametrize(("count", "salt"), [(33, ""), (25, "bob")])
def test_what_never_has_room_is_the_requests_fault(count: int, salt: str, room: SequenceLimit[str]) -> None:
    """To retry would not help."""
    with pytest.raises(InvalidRequest, match=f"n asks for {count}"):
        room.enter("first", asking(count, salt), 1.0)
    assert not room


@pytest.mark.parametrize(("places", "salt", "expected"), [(8, "bob", 7), (7, "bob", 7), (8, "", 8)])
def test_the_last_place_of_a_batch_is_anothers(places: int, salt: str, expected: int) -> None:
    """Of a batch that is not small."""
    assert batch_share(places, salt) == expected


def test_sequences_are_counted(make_settings: MakeSettings) -> None:
    """Each of `n` answers takes room, a request for embeddings one; the refusal names what there is."""
    small: SequenceLimit[str] = SequenceLimit(make_settings(max_num_seqs=2, max_queue_size=4))
    small.enter("texts", EmbedRequest("e", "m", (RawPrompt("a"),) * 9), 1.0)
    small.enter("two", asking(2), 1.0)
    with pytest.raises(Overloaded, match=r"3 of 6 .*MAX_QUEUE_SIZE.*4 more") as caught:
        small.enter("four", asking(4), 7.0)
    assert caught.value.retry_after_s == 7.0
    small.leave("texts")
    small.enter("four", asking(4), 1.0)
    with pytest.raises(InvalidRequest, match="n asks for 7 answers; at most 6") as refused:
        small.enter("seven", asking(7), 1.0)
    assert refused.value.param == "n"


def test_a_background_request_that_gave_way_comes_back(room: SequenceLimit[str]) -> None:
    """Its place was taken meanwhile; its answer has begun, and ends."""
    room.enter("others", asking(32), 1.0)
    room.enter("back", replace(asking(1), priority="background"), 1.0)
    assert set(room) == {"others", "back"}
