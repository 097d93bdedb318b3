"""Whose address counts behind proxies."""

from __future__ import annotations

import ipaddress

import pytest

from src.api.edge.address import FORWARDED_KEY, Forwarded, TrustedProxies, is_local
from src.api.edge.middleware import Environ, StartResponse

TRUSTED = TrustedProxies([ipaddress.ip_network(each) for each in ("10.0.0.0/8", "192.0.2.7", "2001:db8::/32")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.1", "198.51.100.1", None),  # nobody we trust says so
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "198.51.100.1, 192.0.2.7, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", "6.6.6.6, 10.0.0.1, 198.51.100.1, 192.0.2.7", "198.51.100.1"),  # what is left of it is forged
        ("10.1.2.3", "10.0.0.5, 10.0.0.6", "10.0.0.5"),  # a client inside
        ("10.1.2.3", "", None),
        ("10.1.2.3", "198.51.100.1, nonsense, 10.9.9.9", "10.9.9.9"),
        ("10.1.2.3", "198.51.100.1,", None),
        ("2001:db8::1", "2001:4860::8", "2001:4860::8"),
        ("10.1.2.3", "[2001:4860::8]:443", "2001:4860::8"),
        ("10.1.2.3", "198.51.100.1:5555", "198.51.100.1"),
        ("::ffff:10.1.2.3", "::ffff:198.51.100.1", "198.51.100.1"),
        ("", "198.51.100.1", None),  # a Unix socket's peer has no address
        ("10.1.2.3", "1" * 5000, None),
        ("10.1.2.3", "127.0.0.1", None),  # no other machine brings an address of loopback
        ("10.1.2.3", "127.0.0.1, 10.5.5.5", "10.5.5.5"),
        ("10.1.2.3", "::1, ::ffff:127.0.0.1", None),
        ("::ffff:10.1.2.3", "", None),
    ],
)
def test_the_right_most_address_that_is_no_proxy(peer: str, forwarded: str, client: str | None) -> None:
    """None: the peer's own counts."""
    assert TRUSTED.client(peer, forwarded) == client


def test_nobody_is_trusted_unless_named() -> None:
    assert not TrustedProxies([])
    assert TrustedProxies([]).client("127.0.0.1", "198.51.100.1") is None
    assert "127.0.0.1" not in TRUSTED
    assert "10.255.255.255" in TRUSTED


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "local"),
    [
        (("10.0.0.0/8",), "10.0.0.1", "127.0.0.1, 10.5.5.5", False),
        (("10.0.0.0/8",), "10.0.0.1", "127.0.0.1", False),
        (("10.0.0.0/8", "127.0.0.1"), "127.0.0.1", "127.0.0.1, 10.5.5.5", False),
        (("127.0.0.0/8", "::1"), "::1", "127.0.0.1, 127.0.0.2", True),
        (("127.0.0.1",), "127.0.0.1", "127.0.0.1", True),  # nginx here, and a client here
        (("127.0.0.0/8", "::1"), "127.0.0.1", "::1, 198.51.100.1", False),
        (("127.0.0.1",), "::ffff:127.0.0.1", None, False),  # the site's name is none of this machine
        (("127.0.0.1",), "::ffff:127.0.0.1", "nonsense", False),
    ],
)
def test_loopback_is_believed_along_loopback_alone(
    trusted: tuple[str, ...], peer: str, forwarded: str | None, local: bool
) -> None:
    """Without keys a local client is an admin: none of a trusted network may forge one."""
    seen: list[bool] = []
    proxies = TrustedProxies([ipaddress.ip_network(each) for each in trusted])

    def view(environ: Environ, _: StartResponse) -> list[bytes]:
        seen.append(is_local(environ))
        return []

    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    Forwarded(view, proxies)({"REMOTE_ADDR": peer, "HTTP_HOST": "ai.example", **headers}, lambda *_: lambda _: None)
    assert seen == [local]


def test_only_an_entry_that_was_used_counts_as_forwarded() -> None:
    """A trusted peer's other spelling of its own address is no proxy's word."""
    environ = {"REMOTE_ADDR": "::ffff:127.0.0.1", "HTTP_HOST": "evil.example"}
    app = Forwarded(lambda *_: [], TrustedProxies([ipaddress.ip_network("127.0.0.1")]))
    app(environ, lambda *_: lambda _: None)
    assert environ == {"REMOTE_ADDR": "::ffff:127.0.0.1", "HTTP_HOST": "evil.example"}
    assert FORWARDED_KEY not in environ
