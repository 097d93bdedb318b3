"""Keeps a Mac awake while the service runs (PREVENT_SLEEP): a desktop Mac sleeps after its first idle minutes.

The supervisor calls it. `caffeinate` holds the power assertion and ends with the pid it is given, however that ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Literal

from loguru import logger

_CAFFEINATE = "/usr/bin/caffeinate"
# -s prevents sleep on mains alone, -i idle sleep on a battery too
_FLAGS = {"ac": ("-s",), "always": ("-s", "-i")}
_STOP_S = 2.0

PreventSleep = Literal["off", "ac", "always"]
Spawn = Callable[[tuple[str, ...]], "subprocess.Popen[bytes]"]


def _spawn(argv: tuple[str, ...]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class SleepAssertion:
    """At most one `caffeinate`; nothing where the platform is no Mac."""

    def __init__(self, when: PreventSleep, *, platform: str = sys.platform, spawn: Spawn = _spawn) -> None:
        self._flags = _FLAGS.get(when, ()) if platform == "darwin" else ()
        self._spawn = spawn
        self._process: subprocess.Popen[bytes] | None = None

    def hold(self) -> None:
        """Start it, and start it again where somebody has ended it. Called periodically."""
        if not self._flags or (self._process is not None and self._process.poll() is None):
            return
        try:
            self._process = self._spawn((_CAFFEINATE, *self._flags, "-w", str(os.getpid())))
        except OSError as error:
            self._flags = ()
            logger.warning("{} cannot be started ({}): this Mac may sleep while it serves", _CAFFEINATE, error.strerror)

    def release(self) -> None:
        process, self._process, self._flags = self._process, None, ()
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
