"""Whose key a request brought, and whether it is still valid. Told to `auth`, which knows what a key may ask for.

Web process. The operator learns from the log that an expired key was sent, and by its name; who sent it is told no more
than of a wrong one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from loguru import logger

from src import key_terms
from src.errors import AuthenticationFailed
from src.keys import Key, KeyRing
from src.metrics import Metrics

Reason = Literal["missing", "unknown", "expired"]

_SCHEME = "bearer"
_WARN_S = 60.0  # an expired key that keeps coming is named this often


class KeyChecker:
    """One per web process. `count_failed_login` may refuse, too; `note_use` is told whose key was right."""

    def __init__(
        self,
        ring: KeyRing,
        metrics: Metrics,
        count_failed_login: Callable[[], None],
        note_use: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ring, self._metrics, self._clock = ring, metrics, clock
        self._count_failed_login, self._note_use = count_failed_login, note_use
        self._warned: dict[str, float] = {}
        for name in ring.names:
            metrics.key_requests.labels(name)

    def authenticate(self, environ: Mapping[str, Any]) -> Key:
        """The key that was sent.

        Raises:
            AuthenticationFailed: there is none, or it is no valid one.
            RateLimited: too many wrong ones came from this address.
        """
        presented = _presented(environ)
        if presented is None:
            raise self._refuse("missing")
        key = self.ring.find(presented)
        if key is None:
            raise self._refuse("unknown")
        if key.terms.has_expired(self._clock()):
            self._warn(key)
            raise self._refuse("expired")
        self._metrics.key_requests.labels(key.name).inc()
        self._note_use(key.name)
        return key

    def is_valid(self, name: str) -> bool:
        """Whether there is a key of this name that has not expired."""
        now = self._clock()
        return any(key.name == name and not key.terms.has_expired(now) for key in self.ring.keys.values())

    def _refuse(self, reason: Reason) -> AuthenticationFailed:
        self._metrics.auth_failures.labels(reason).inc()
        self._count_failed_login()
        return _refusal(reason)

    def _warn(self, key: Key) -> None:
        now = self._clock()
        if now - self._warned.get(key.name, float("-inf")) < _WARN_S:
            return
        self._warned[key.name] = now
        text = "requests with the key {!r} are refused: it expired {} (`run.py key set {} --expires TIME`, then reload)"
        logger.warning(text, key.name, key_terms.shown_time(key.terms.expires or now), key.name)


def _presented(environ: Mapping[str, Any]) -> bytes | None:
    """The key that was sent, in either header; None without one. Two that differ are no key: nobody can say whose
    request it is. As bytes: WSGI's text is latin-1, and comparing text beyond ASCII would raise."""
    sent = {key for key in (_bearer(environ.get("HTTP_AUTHORIZATION", "")), _plain(environ)) if key is not None}
    if not sent:
        return None
    return sent.pop() if len(sent) == 1 else b""


def _bearer(header: str) -> bytes | None:
    """Of `Authorization`; another scheme brings a wrong key, an empty header or token none."""
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() not in ("", _SCHEME):
        return b""
    return token.strip().encode("latin-1", "replace") or None


def _plain(environ: Mapping[str, Any]) -> bytes | None:
    """Of `x-api-key`, as Anthropic's clients send it."""
    return str(environ.get("HTTP_X_API_KEY", "")).strip().encode("latin-1", "replace") or None


def _refusal(reason: Reason) -> AuthenticationFailed:
    if reason == "missing":
        return AuthenticationFailed("An API key is needed: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`.")
    return AuthenticationFailed("The API key is wrong or has expired.")
