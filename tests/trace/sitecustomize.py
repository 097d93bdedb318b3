"""Loaded by every Python process of a traced service (PYTHONPATH): notes which functions of src/ are called.

SIGRTMIN begins and ends the noting; at the end `functions.PID` is written to STOKER_TRACE_DIR, a line `file:first line`
each. Test-only.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import CodeType, FrameType
from typing import Any

_FOLDER = os.environ.get("STOKER_TRACE_DIR", "")
_SOURCE = os.sep + "src" + os.sep
_called: set[CodeType] = set()
_on = False


def _note(frame: FrameType, event: str, argument: Any) -> None:
    if _on and event == "call":
        _called.add(frame.f_code)


def _switch(*_: Any) -> None:
    global _on  # noqa: PLW0603  # a hook has nowhere else to keep it
    _on = not _on
    if _on:
        _called.clear()
        return
    ours = sorted({f"{code.co_filename}:{code.co_firstlineno}" for code in _called if _SOURCE in code.co_filename})
    with open(os.path.join(_FOLDER, f"functions.{os.getpid()}"), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123  # pathlib is not imported for it
        file.write("\n".join(ours))


if _FOLDER:
    signal.signal(signal.SIGRTMIN, _switch)
    threading.setprofile(_note)
    sys.setprofile(_note)
