"""Whose share a request takes."""

from __future__ import annotations

import pytest

from src.api import owner


@pytest.mark.parametrize(
    ("environ", "whose"),
    [
        ({"stoker.key": "bob", "REMOTE_ADDR": "10.0.0.1"}, "key:bob"),
        ({"REMOTE_ADDR": "10.0.0.1"}, "addr:10.0.0.1"),
        ({"REMOTE_ADDR": "2001:db8::1"}, "addr:2001:db8::/64"),
        ({"REMOTE_ADDR": "2001:db8::2"}, "addr:2001:db8::/64"),
        ({"REMOTE_ADDR": "127.0.0.1"}, ""),
        ({"REMOTE_ADDR": "::ffff:127.0.0.1"}, ""),
        ({}, ""),
    ],
)
def test_a_key_counts_before_an_address(environ: dict[str, str], whose: str) -> None:
    """Of IPv6 a client has a network; behind loopback may be anybody."""
    assert owner.of(environ) == whose


@pytest.mark.parametrize(
    ("environ", "whose"),
    [
        ({"stoker.key": "bob", "REMOTE_ADDR": "10.0.0.1"}, "key:bob"),
        ({"REMOTE_ADDR": "2001:db8::1"}, "addr:2001:db8::/64"),
        ({"REMOTE_ADDR": "2001:db8::2"}, "addr:2001:db8::/64"),
        ({"REMOTE_ADDR": "127.0.0.1"}, "addr:127.0.0.1"),
    ],
)
def test_rate_limits_know_the_same_clients(environ: dict[str, str], whose: str) -> None:
    """A network of IPv6 addresses is one client for them, too; loopback has a limit of its own."""
    assert owner.limited(environ) == whose


def test_wrong_keys_are_counted_by_network() -> None:
    """Not by address: who has a network could try 2^64 times as many."""
    first, second = ({"REMOTE_ADDR": f"2001:db8::{at}", "stoker.key": "bob"} for at in (1, 2))
    assert owner.address_of(first) == owner.address_of(second) == "addr:2001:db8::/64"
