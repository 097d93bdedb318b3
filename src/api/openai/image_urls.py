"""Which image URLs may be fetched, and which addresses may be called for them. Pure; asked by `fetch`.

A URL is judged by its text before anybody is asked about its host; what the host then turns out to be is judged address
by address. Both refuse what they do not know to be good.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from src.errors import InvalidRequest, UnsupportedValue

_LONGEST = 2048
_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII without blanks, controls and the backslash that parsers disagree on
_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,63}|xn--[a-z0-9-]{1,59})")
_PORTS = {"https": 443, "http": 80}
_INSECURE = "http://"

_MAPPED = ipaddress.ip_network("::ffff:0:0/96")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# addresses that lead elsewhere than they say, some of which Python calls global
_DENIED = tuple(
    map(
        ipaddress.ip_network,
        (
            *("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"),
            *("2002::/16", "2001::/32", "64:ff9b:1::/48", "::/96", "fec0::/10", "100::/64", "2001:db8::/32"),
        ),
    )
)


@dataclass(frozen=True)
class ImageTarget:
    """A URL that may be fetched, if its host's addresses are good."""

    scheme: str
    host: str
    path: str

    @property
    def port(self) -> int:
        return _PORTS[self.scheme]


def target(url: str, allowed: str, param: str) -> ImageTarget:
    """What to fetch for `url`, when `allowed` (IMAGE_URL_HOSTS) has its host.

    Raises:
        UnsupportedValue: no host is listed.
        InvalidRequest: with the rule that is broken. The URL is not repeated.
    """
    entries = [entry for entry in map(str.strip, allowed.lower().split(",")) if entry]
    if not entries:
        raise UnsupportedValue("Only data: URLs are read here (no host is listed in IMAGE_URL_HOSTS).", param=param)
    if len(url) > _LONGEST:
        raise InvalidRequest(f"An image URL may have {_LONGEST} characters.", param=param)
    parts = _parts(url)
    if parts is None or parts.scheme not in _PORTS:
        raise InvalidRequest("This is no https:// URL that can be fetched, and no data: URL.", param=param)
    host = _host(parts)
    if host is None:
        raise InvalidRequest("An image URL names a host, without a user, password, address or port.", param=param)
    if not _is_listed(parts.scheme, host, entries):
        raise InvalidRequest("Images are not fetched from this host (IMAGE_URL_HOSTS).", param=param)
    query = f"?{parts.query}" if parts.query else ""
    return ImageTarget(parts.scheme, host, (parts.path or "/") + query)


def _parts(url: str) -> SplitResult | None:
    if not _PRINTABLE.fullmatch(url):
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _host(parts: SplitResult) -> str | None:
    """The name, if nothing else stands beside it but its scheme's own port."""
    name, colon, port = parts.netloc.lower().partition(":")
    if colon and port != str(_PORTS[parts.scheme]):
        return None
    return name if _NAME.fullmatch(name) else None


def _is_listed(scheme: str, host: str, entries: Iterable[str]) -> bool:
    """`name` is that host, `.name` all below it; over plain HTTP only where the entry says so."""
    for entry in entries:
        name = entry.removeprefix(_INSECURE)
        if (scheme == "http") == (name != entry) and (host.endswith(name) if name[0] == "." else host == name):
            return True
    return False


def is_public(address: str) -> bool:
    """Whether an address lies out in the internet: not here, not beside us, and not a way back to either."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.version == 6 and (ip in _MAPPED or ip in _NAT64):
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _DENIED)
