"""Closing a listener without a reset for whoever has just connected. Web's worker, at its end.

A connection that waits in the queue of a listener is reset when that closes, with the request it has sent. So new ones
are kept out first: the kernel drops what asks for one, which is asked again a second later and then refused, and
a proxy takes another instance.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

_SO_ATTACH_FILTER = 26
_DROP_ALL = struct.pack("HBBI", 0x06, 0, 0, 0)  # one instruction of classic BPF: return 0 bytes of the packet


def refuse_new(listener: Any) -> None:
    """Let no more connections into this listener's queue; what is there can still be accepted. Linux alone."""
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    program = ctypes.create_string_buffer(_DROP_ALL, len(_DROP_ALL))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
