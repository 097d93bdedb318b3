"""Whether web can listen on its port."""

from __future__ import annotations

import asyncio
import socket

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
