"""Whether web can listen on its port."""

from __future__ import annotations

import asyncio
import socket

import pytest

from src.supervisor import port


def test_a_port_in_use_is_a_problem_and_a_free_one_is_not() -> None:
    """The problem includes address and reason; it ends with the listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        why = port.problem("127.0.0.1", number)
        assert why is not None
        assert why.startswith(f"127.0.0.1:{number}: address already in use")
        assert asyncio.run(port.wait_until_free("127.0.0.1", number, 0.3)) == why
    assert port.problem("127.0.0.1", number) is None


def test_an_address_of_another_host_is_a_problem() -> None:
    """A HOST of another machine is found before web is started."""
    assert port.problem("192.0.2.1", 8000) is not None


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_listener_beside_which_one_can_bind_is_a_problem(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS binds 127.0.0.1 with SO_REUSEADDR beside a listener on all addresses."""
    monkeypatch.setattr(port, "_bind", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        assert "address already in use" in str(port.problem(host, number))
    assert port.problem(host, number) is None
