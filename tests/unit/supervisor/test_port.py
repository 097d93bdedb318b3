"""Whether web could listen."""

from __future__ import annotations

import asyncio
import socket

from src.supervisor import port


def test_a_taken_port_is_named_and_a_free_one_is_free() -> None:
    """The problem says address and reason; it goes with whoever listened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        why = port.problem("127.0.0.1", number)
        assert why is not None
        assert why.startswith(f"127.0.0.1:{number}: address already in use")
        assert asyncio.run(port.wait_until_free("127.0.0.1", number, 0.3)) == why
    assert port.problem("127.0.0.1", number) is None


def test_an_address_that_is_not_ours_is_a_problem() -> None:
    """A HOST nobody here has is found before web is started."""
    assert port.problem("192.0.2.1", 8000) is not None
