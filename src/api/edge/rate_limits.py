"""How much one key, or one address without a key, may ask: requests, tokens, work in flight, wrong keys.

Web process; counted with Flask-Limiter's storage, in memory or in Redis, where several instances share it. A storage
that fails costs the limits (they go on in memory), never the service.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Flask, Response, g, request
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.constants import HeaderNames
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.errors import StorageError
from loguru import logger

from src.api import access_facts, error_handlers, owner
from src.api.edge import auth, connection_limits
from src.api.edge.concurrency import Leases, MemoryLeases, RedisLeases
from src.api.edge.middleware import SCOPE_KEY
from src.api.state.usage import UsageCounts
from src.api.usage.budgets import Budgets, Unit
from src.api.usage.ledger import UsageLedger
from src.errors import InsufficientQuota, Overloaded, RateLimited, ServiceError
from src.metrics import Metrics
from src.settings import SecuritySettings

_STRATEGY = "sliding-window-counter"
_REDIS_WAIT_S = 1
_WINDOW_S = 60.0
_LEASE_RETRY_S = 1.0
_HEADERS = {
    HeaderNames.LIMIT: "x-ratelimit-limit-requests",
    HeaderNames.REMAINING: "x-ratelimit-remaining-requests",
    HeaderNames.RESET: "x-ratelimit-reset-requests",
}


class RateLimits:
    """One per web process; `install` hooks it up."""

    def __init__(self, settings: SecuritySettings, metrics: Metrics, ledger: UsageLedger, budgets: Budgets) -> None:
        self._metrics, self._ledger, self._budgets = metrics, ledger, budgets
        self._concurrent = settings.rate_limit_concurrent
        self._requests = settings.rate_limit_requests
        self._tokens = _per_minute(settings.rate_limit_tokens)
        self._failures = RateLimitItemPerMinute(settings.rate_limit_failed_logins, namespace="login")
        url = settings.redis_url
        self._leases: Leases = RedisLeases(url) if url else MemoryLeases()
        self._limiter = Limiter(
            _who,
            application_limits=[f"{self._requests}/minute"] if self._requests else [],
            application_limits_exempt_when=_is_probe,
            strategy=_STRATEGY,
            storage_uri=url or "memory://",
            storage_options=_redis_options() if url else {},
            in_memory_fallback_enabled=bool(url),
            headers_enabled=True,
            header_name_mapping=_HEADERS,
            key_prefix="stoker",
        )

    def install(self, app: Flask) -> None:
        """After authentication: it says whose requests these are."""
        self._limiter.init_app(app)
        app.register_error_handler(RateLimitExceeded, self._over_requests)
        app.before_request(self._check_connections)
        app.before_request(self._before)
        app.after_request(self._after)

    def count_failed_login(self) -> None:
        """A wrong key came. A right one always passes, so nobody locks out others behind the same address.

        Raises:
            RateLimited: too many from this address.
        """
        if not self._hit(self._failures, owner.address_of(request.environ)):
            raise self._refuse("failed_logins", "Too many wrong keys from this address.", _WINDOW_S)

    def spender(self, model: str) -> Callable[[UsageCounts], None]:
        """Charges what a model is used for to whoever makes this request, also when its context is gone."""
        whose, name = owner.limited(request.environ), request.environ.get(owner.KEY_NAME)
        facts = access_facts.current()

        def spend(counts: UsageCounts) -> None:
            facts.used(counts)
            self._ledger.add(name or "", model, counts)
            if name is not None:
                self._metrics.key_tokens.labels(name).inc(counts.tokens)
                self._metrics.key_pages.labels(name).inc(counts.pages)
            if self._tokens is not None and counts.tokens > 0:
                self._charge(self._tokens, whose, counts.tokens)

        return spend

    def check_budget(self, unit: Unit) -> None:
        """Before work that takes tokens or pages, whichever way it came: as a request, or left here for later.

        Raises:
            InsufficientQuota: the key has used up its budget of the day.
        """
        try:
            self._budgets.check(request.environ.get(owner.KEY_NAME, ""), unit)
        except InsufficientQuota:
            request.environ[SCOPE_KEY] = f"budget_{unit}"
            raise

    def _check_connections(self) -> None:
        """All connections that may be open are at work; only probes are answered beyond them."""
        which = connection_limits.over.get()
        if which is None or _is_probe():
            return
        setting = {"address": "MAX_CONNECTIONS_PER_ADDRESS", "total": "WORKER_CONNECTIONS"}[which]
        whose = " of this address" if which == "address" else ""
        text = f"All connections{whose} are at work ({setting})."
        request.environ[SCOPE_KEY] = "connections"
        raise (RateLimited if which == "address" else Overloaded)(text, retry_after_s=_LEASE_RETRY_S)

    def _before(self) -> None:
        rule = request.url_rule.rule if request.url_rule is not None else None
        if not auth.uses_back_end(request.method, rule):
            return
        if self._tokens is not None and not self._test(self._tokens, _who()):
            text = f"The limit of {self._tokens.amount} tokens per minute is reached."
            raise self._refuse("tokens", text, _WINDOW_S / 6)
        if self._concurrent:
            self._take_lease(_who())

    def _take_lease(self, whose: str) -> None:
        lease = self._leases.take(whose, self._concurrent)
        if lease is None:
            text = f"{self._concurrent} requests of this key or address are in flight: the limit."
            raise self._refuse("concurrent", text, _LEASE_RETRY_S)
        g.lease = (whose, lease)

    def _after(self, response: Response) -> Response:
        """What was taken is given back when the response ends, a stream's end included."""
        if name := request.environ.get(owner.KEY_NAME):
            response.headers.update(self._budgets.headers(name))
        if held := g.pop("lease", None):
            response.call_on_close(lambda: self._leases.give_back(*held))
        return response

    def _over_requests(self, _: RateLimitExceeded) -> Response:
        current = self._limiter.current_limit
        left_s = current.reset_at - time.time() if current is not None else _WINDOW_S
        text = f"The limit of {self._requests} requests per minute is reached."
        return error_handlers.respond(self._refuse("requests", text, max(1.0, left_s)))

    def _refuse(self, scope: str, text: str, retry_after_s: float) -> ServiceError:
        request.environ[SCOPE_KEY] = scope
        return RateLimited(text, retry_after_s=retry_after_s)

    # ---- the storage; when it fails, the answer is yes

    def _hit(self, item: RateLimitItem, whose: str) -> bool:
        return self._ask(lambda: self._limiter.limiter.hit(item, whose))

    def _test(self, item: RateLimitItem, whose: str) -> bool:
        return self._ask(lambda: self._limiter.limiter.test(item, whose))

    def _charge(self, item: RateLimitItem, whose: str, tokens: int) -> None:
        """An answer may cost more than is left: then all that is left is taken."""

        def charge() -> bool:
            left = self._limiter.limiter.get_window_stats(item, whose).remaining
            return left <= 0 or self._limiter.limiter.hit(item, whose, cost=min(tokens, left))

        self._ask(charge)

    def _ask(self, question: Callable[[], bool]) -> bool:
        try:
            return question()
        except StorageError as error:
            logger.warning("the limits' storage does not answer ({})", type(error).__name__)
            return True


def _who() -> str:
    return owner.limited(request.environ)


def _is_probe() -> bool:
    return request.path in ("/livez", "/readyz", "/health", "/metrics")


def _per_minute(amount: int) -> RateLimitItem | None:
    return RateLimitItemPerMinute(amount, namespace="tokens") if amount else None


def _redis_options() -> dict[str, str | int]:
    return {"socket_timeout": _REDIS_WAIT_S, "socket_connect_timeout": _REDIS_WAIT_S, "wrap_exceptions": True}
