"""Whose address counts behind proxies."""

from __future__ import annotations

import ipaddress

import pytest

from src.api.edge.forwarded import TrustedProxies

TRUSTED = TrustedProxies([ipaddress.ip_network(each) for each in ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.1", "198.51.100.1", "203.0.113.1"),  # nobody we trust says so
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.1, 192.0.2.7, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "6.6.6.6, 10.0.0.1, 198.51.100.1, 192.0.2.7", "198.51.100.1"),  # what is left of it is forged
        ("10.1.2.3", "10.0.0.5, 10.0.0.6", "10.0.0.5"),  # a client inside
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.1, nonsense, 10.9.9.9", "10.9.9.9"),
        ("10.1.2.3", "198.51.100.1,", "10.1.2.3"),
        ("2001:db8::1", "2001:4860::8", "2001:4860::8"),
        ("10.1.2.3", "[2001:4860::8]:443", "2001:4860::8"),
        ("10.1.2.3", "198.51.100.1:5555", "198.51.100.1"),
        ("::ffff:10.1.2.3", "::ffff:198.51.100.1", "198.51.100.1"),
        ("", "198.51.100.1", ""),  # a Unix socket's peer has no address
        ("10.1.2.3", "1" * 5000, "10.1.2.3"),
    ],
)
def test_the_right_most_address_that_is_no_proxy(peer: str, forwarded: str, client: str) -> None:
    assert TRUSTED.client(peer, forwarded) == client


def test_nobody_is_trusted_unless_named() -> None:
    assert not TrustedProxies([])
    assert TrustedProxies([]).client("127.0.0.1", "198.51.100.1") == "127.0.0.1"
    assert "127.0.0.1" not in TRUSTED
    assert "10.255.255.255" in TRUSTED
