"""The errors: one code each, and the same class on both ends of the wire."""

from __future__ import annotations

from collections import Counter

import pytest

from src import errors
from src.errors import ExitCode, InsufficientQuota, InternalError, ServiceError, from_code
from src.ipc.messages.base import Failed


def tree(cls: type[ServiceError]) -> list[type[ServiceError]]:
    return [cls, *(leaf for sub in cls.__subclasses__() for leaf in tree(sub))]


KINDS = [cls for cls in tree(ServiceError) if cls is not ServiceError]
CROSSING = [cls for cls in KINDS if cls is not InternalError]


def test_every_code_means_one_error() -> None:
    """A client can tell errors apart by their code (ServiceError is abstract and shares InternalError's)."""
    counts = Counter(cls.code for cls in KINDS)
    assert [code for code, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("kind", CROSSING)
def test_an_error_survives_the_wire(kind: type[ServiceError]) -> None:
    """What one process raises is rebuilt in the other with all that the client will see."""
    failed = Failed.of(kind("what happened", param="messages", retry_after_s=2.5))
    error = from_code(failed.code, failed.message, param=failed.param, retry_after_s=failed.retry_after_s)
    assert type(error) is kind
    assert (error.message, error.param, error.retry_after_s) == ("what happened", "messages", 2.5)


@pytest.mark.parametrize("code", ["nonsense", "", "internal_error"])
def test_an_unknown_code_is_an_internal_error(code: str) -> None:
    """A text that came with an unknown code is not shown to a client."""
    error = from_code(code, "/secret/path: segfault", param="x")
    assert type(error) is InternalError
    assert "secret" not in error.message
    assert error.param is None


@pytest.mark.parametrize("kind", KINDS)
def test_status_and_type_fit_together(kind: type[ServiceError]) -> None:
    """4xx says that the request is to blame, 5xx that we are."""
    assert 400 <= kind.status < 600
    limited = "insufficient_quota" if kind is InsufficientQuota else "rate_limit_error"
    expected = limited if kind.status == 429 else "invalid_request_error"
    assert kind.type == (expected if kind.status < 500 else "server_error")


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_explained(kind: type[ServiceError]) -> None:
    """Each class says what it means, and the tree at the top of the file names it."""
    assert kind.__doc__
    assert kind.__name__ in (errors.__doc__ or "")


def test_exit_codes_are_distinct() -> None:
    """The supervisor decides by the exit code; two meanings for one would make it decide wrongly."""
    assert len({int(code) for code in ExitCode}) == len(ExitCode.__members__)
    assert int(ExitCode.CONFIG) == 2
