"""Keys that expire: refused as wrong ones are, named to the operator alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger

from src.api.edge.key_checker import KeyChecker
from src.errors import AuthenticationFailed
from src.key_terms import Terms
from src.keys import KeyRing, create, load
from src.metrics import Metrics, Readings
from src.settings import SecuritySettings
from tests.unit.clock import Clock

_KEY = "sk-alice-0123456789"


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    found: list[str] = []
    sink = logger.add(lambda message: found.append(message.record["message"]), level="WARNING")
    yield found
    logger.remove(sink)


def ring(expires: float) -> KeyRing:
    found = load(SecuritySettings(api_keys=f"alice:user:{_KEY}"))
    return KeyRing({digest: type(key)(key.name, key.role, terms=Terms(expires)) for digest, key in found.keys.items()})


def refusal(checker: KeyChecker, key: str) -> str:
    with pytest.raises(AuthenticationFailed) as caught:
        checker.authenticate({"HTTP_AUTHORIZATION": f"Bearer {key}"})
    return caught.value.message


def test_an_expired_key_is_refused_as_a_wrong_one(warnings: list[str]) -> None:
    """Its holder is told no more than a stranger; the log names it, its end and what to do, once a minute."""
    clock, used, failed, metrics = Clock(1000.0), list[str](), list[int](), Metrics(Readings)
    checker = KeyChecker(ring(1060.0), metrics, lambda: failed.append(1), used.append, clock)
    assert checker.authenticate({"HTTP_X_API_KEY": _KEY}).name == "alice"
    assert (used, failed, checker.is_valid("alice")) == (["alice"], [], True)
    clock.now = 1060.0
    assert not checker.is_valid("alice")
    told = [refusal(checker, _KEY) for _ in range(2)] + [refusal(checker, "sk-nobody-0123456789")]
    assert len(set(told)) == 1
    assert (used, len(failed)) == (["alice"], 3)
    assert metrics.registry.get_sample_value("stoker_auth_failures_total", {"reason": "expired"}) == 2
    (line,) = warnings
    assert "'alice'" in line
    assert "1970-01-01T00:17:40Z" in line
    assert "key set alice" in line
    assert _KEY not in line


def test_a_key_without_an_end_stays_valid() -> None:
    _, line = create("bob")
    assert "expires" not in line
    checker = KeyChecker(
        load(SecuritySettings(api_keys=f"bob:user:{_KEY}")), Metrics(Readings), lambda: None, lambda _: None, Clock(9e9)
    )
    assert checker.is_valid("bob")
    assert not checker.is_valid("carol")
