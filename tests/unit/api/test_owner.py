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
