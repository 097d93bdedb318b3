"""Who a request's client is: the one with its key, else the one at its address. Pure. Web process.

Whoever has an IPv6 address has a network of them: the first 64 bits are one client's, whatever is counted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

KEY_NAME = "stoker.key"  # the name of its API key; written by `auth`
_IPV6_CLIENT = 64  # bits of an address that tell clients apart


def of(environ: Mapping[str, Any]) -> str:
    """Whose share of the slots it takes; read once the key is checked.

    "" is nobody in particular: addresses of loopback, behind which all may be.
    """
    if name := environ.get(KEY_NAME):
        return f"key:{name}"
    try:
        address = ipaddress.ip_address(str(environ.get("REMOTE_ADDR", "")).removeprefix("::ffff:"))
    except ValueError:
        return ""  # a Unix socket's clients have none
    return "" if address.is_loopback else f"addr:{client_of(str(address))}"


def limited(environ: Mapping[str, Any]) -> str:
    """Whose rate limits it counts against: also those at one address of loopback share theirs."""
    return of(environ) or address_of(environ)


def address_of(environ: Mapping[str, Any]) -> str:
    """Whose wrong keys are counted: that no key is right leaves the address alone."""
    return f"addr:{client_of(str(environ.get('REMOTE_ADDR')))}"


def client_of(address: str) -> str:
    """What one client's addresses have in common; of what is none (a Unix socket's) the text as it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4 or parsed.ipv4_mapped is not None:
        return address
    return str(ipaddress.ip_network((int(parsed) >> _IPV6_CLIENT << _IPV6_CLIENT, _IPV6_CLIENT)))
