"""Where a request comes from: the right-most address in X-Forwarded-For that is no trusted proxy's, and whether that is
this machine itself, which without keys makes its sender an admin.

An address of loopback alone does not: a proxy on this machine has it too, and so has a browser here that shows somebody
else's page. Web process; `cors` installs the middleware, connection limits exempt the same proxies, `auth` asks
`is_local`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any
from urllib.parse import urlsplit

from src.api.edge.middleware import Environ, StartResponse, WsgiApp
from src.keys import is_loopback

Address = IPv4Address | IPv6Address


class TrustedProxies:
    """The networks of TRUSTED_PROXIES."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: object) -> bool:
        return isinstance(address, str) and self._trusts(_parse(address))

    def client(self, peer: str, forwarded: str) -> str | None:
        """The client's address by X-Forwarded-For: from the peer leftwards, through any number of trusted proxies. None
        where no entry can be taken.

        An entry that is no address was not written by a proxy that can be trusted with one: the walk ends before it. So
        it does before one of loopback that another machine brought: a client in a trusted network may have forged it.
        """
        here, found_one = _parse(peer), False
        for entry in reversed(forwarded.split(",")):
            found = _parse(entry)
            if here is None or found is None or not self._trusts(here):
                break
            if found.is_loopback and not here.is_loopback:
                break
            here, found_one = found, True
        return str(here) if found_one else None

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


class Forwarded:
    """Puts the client's address where the rest looks for it: REMOTE_ADDR."""

    def __init__(self, app: WsgiApp, proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        peer = environ.get("REMOTE_ADDR", "")
        client = self._proxies.client(peer, environ.get("HTTP_X_FORWARDED_FOR", ""))
        if client is not None:
            environ["REMOTE_ADDR"], environ[FORWARDED_KEY] = client, True
        return self._app(environ, start_response)


def _parse(text: str) -> Address | None:
    """An address as proxies write it: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]:80`; else None."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


# set by whoever has taken REMOTE_ADDR from a trusted proxy's word
FORWARDED_KEY = "stoker.forwarded"
_PROXIED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


def is_local(environ: dict[str, Any]) -> bool:
    address = environ.get("REMOTE_ADDR") or "localhost"  # a Unix socket's clients have none
    if not is_loopback(address.removeprefix("::ffff:")) or not _from_no_other_page(environ):
        return False
    if environ.get(FORWARDED_KEY):
        return True
    return not any(name in environ for name in _PROXIED) and _is_asked_by_a_local_name(environ)


def _from_no_other_page(environ: dict[str, Any]) -> bool:
    """Browsers name the page's origin with whatever could change something."""
    origin = environ.get("HTTP_ORIGIN")
    return origin is None or origin.partition("://")[2] == environ.get("HTTP_HOST")


def _is_asked_by_a_local_name(environ: dict[str, Any]) -> bool:
    """Against DNS rebinding: another site's name may lead to this machine."""
    try:
        name = urlsplit(f"//{environ.get('HTTP_HOST', '')}").hostname
    except ValueError:
        return False
    return is_loopback(name or "")
