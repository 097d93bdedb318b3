"""Loaded by every Python process of a traced service (PYTHONPATH): counts the calls of each function of src/.

SIGRTMIN begins and ends the counting; at the end `functions.PID` is written to STOKER_TRACE_DIR, a line of count, file
and first line for each, tabs between. Test-only.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from types import CodeType, FrameType
from typing import Any

_FOLDER = os.environ.get("STOKER_TRACE_DIR", "")
_SOURCE = os.sep + "src" + os.sep
_called: Counter[CodeType] = Counter()
_on = False


def _note(frame: FrameType, event: str, argument: Any) -> None:
    if _on and event == "call":
        _called[frame.f_code] += 1


def _switch(*_: Any) -> None:
    global _on  # noqa: PLW0603  # a hook has nowhere else to keep it
    _on = not _on
    if _on:
        _called.clear()
        return
    counts = list(_called.items())  # other threads go on counting
    ours = sorted(
        f"{count}\t{code.co_filename}\t{code.co_firstlineno}" for code, count in counts if _SOURCE in code.co_filename
    )
    with open(os.path.join(_FOLDER, f".{os.getpid()}"), "w", encoding="utf-8") as file:  # noqa: PTH118, PTH123  # pathlib is not imported for it
        file.write("\n".join(ours))
    os.rename(file.name, os.path.join(_FOLDER, f"functions.{os.getpid()}"))  # noqa: PTH104, PTH118  # whole, or not there


if _FOLDER:
    signal.signal(signal.SIGRTMIN, _switch)
    threading.setprofile(_note)
    sys.setprofile(_note)
