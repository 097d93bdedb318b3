"""Whether a request without a key comes from this machine itself: without keys, that makes its sender an admin. Pure.

An address of loopback alone does not: a proxy on this machine has it too, and so has a browser here that shows
somebody else's page.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from src.keys import is_loopback

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
