"""Which connection makes room when there are too many, and which is over."""

from __future__ import annotations

import random

import pytest

from src.api.edge.connection_limits import Connection, Connections


class Case:
    """Connections by name; those that were closed, in their order."""

    def __init__(self, limit: int, per_address: int = 0, exempt: tuple[str, ...] = ()) -> None:
        self.pool = Connections(limit, per_address, exempt)
        self.closed: list[str] = []

    def open(self, name: str, address: str = "192.0.2.1") -> Connection:
        return self.pool.open(address, lambda: self.closed.append(name))


def test_the_longest_idle_makes_room() -> None:
    """Idle since it opened, or since its last request ended; one at work stays, however old it is."""
    case = Case(3)
    one, two, _ = case.open("one"), case.open("two"), case.open("three")
    assert case.pool.begin(one) is None
    case.pool.begin(two)
    case.pool.wait(two)
    case.open("four")
    case.open("five")
    case.open("six")
    assert case.closed == ["three", "two", "four"]
    assert len(case.pool) == 3


def test_where_all_are_at_work_a_newcomer_is_over() -> None:
    """It may open, since it might be a probe; its request is told which limit it is over."""
    case = Case(2)
    busy = [case.open("one"), case.open("two")]
    assert [case.pool.begin(each) for each in busy] == [None, None]
    late = case.open("late")
    assert case.closed == []
    assert case.pool.begin(late) == "total"
    case.pool.remove(late)
    case.pool.wait(busy[0])
    assert case.pool.begin(case.open("next")) is None
    assert case.closed == ["one"]


def test_an_address_has_its_own_limit() -> None:
    """Its own longest idle connection goes; others' stay. A trusted proxy has none, a Unix socket's peer neither."""
    case = Case(100, 2, exempt=("10.0.0.1",))
    case.open("other", "192.0.2.9")
    for name in ("a", "b", "c"):
        case.open(name)
    for name in ("p1", "p2", "p3"):
        case.open(name, "10.0.0.1")
        case.open(f"unix-{name}", "")
    assert case.closed == ["a"]


def test_an_address_whose_connections_are_all_at_work() -> None:
    case = Case(100, 2)
    for name in ("a", "b"):
        assert case.pool.begin(case.open(name)) is None
    assert case.pool.begin(case.open("c")) == "address"
    assert case.pool.begin(case.open("d", "192.0.2.9")) is None


@pytest.mark.parametrize(("one", "other", "same"), [
    ("2001:db8::1", "2001:db8::ffff", True),
    ("2001:db8::1", "2001:db8:0:1::1", False),
    ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
])  # fmt: skip
def test_an_ipv6_client_is_its_network(one: str, other: str, *, same: bool) -> None:
    """Everybody there has 2^64 addresses."""
    case = Case(100, 1)
    case.open("one", one)
    case.open("other", other)
    assert bool(case.closed) is same


def test_idle_ones_end_with_the_service() -> None:
    case = Case(10)
    case.pool.begin(case.open("busy"))
    case.open("idle")
    case.pool.close_idle()
    assert case.closed == ["idle"]


def test_nothing_is_left_behind() -> None:
    """After any course of events: none was closed twice, and nothing is remembered at the end."""
    chance = random.Random(7)
    case = Case(8, 3)
    alive: list[Connection] = []
    for number in range(3000):
        what = chance.random()
        if what < 0.4 or not alive:
            alive.append(case.open(str(number), f"192.0.2.{chance.randrange(9)}"))
        elif what < 0.6:
            case.pool.begin(chance.choice(alive))
        elif what < 0.8:
            case.pool.wait(chance.choice(alive))
        else:
            case.pool.remove(alive.pop(chance.randrange(len(alive))))
    for connection in alive:
        case.pool.remove(connection)
        case.pool.remove(connection)
    assert len(case.closed) == len(set(case.closed)) > 100
    assert len(case.pool) == 0
    assert case.pool._addresses == {}
