"""Whose share of the service a request takes: its key's, or without keys its address's. Pure. Web process."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

_KEY_NAME = "stoker.key"  # the name of its API key; written by `auth`
_IPV6_CLIENT = 64  # bits of an address that tell clients apart


def of(environ: Mapping[str, Any]) -> str:
    """Read once the key is checked. "" is nobody in particular: addresses of loopback, behind which all may be."""
    if name := environ.get(_KEY_NAME):
        return f"key:{name}"
    try:
        address = ipaddress.ip_address(str(environ.get("REMOTE_ADDR", "")).removeprefix("::ffff:"))
    except ValueError:
        return ""  # a Unix socket's clients have none
    return "" if address.is_loopback else f"addr:{client_of(str(address))}"


def client_of(address: str) -> str:
    """Whoever has an IPv6 address has a network of them."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4 or parsed.ipv4_mapped is not None:
        return address
    return str(ipaddress.ip_network((int(parsed) >> _IPV6_CLIENT << _IPV6_CLIENT, _IPV6_CLIENT)))
