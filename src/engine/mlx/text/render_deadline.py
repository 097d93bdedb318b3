"""A bound for chat templates: one that loops is stopped. Used on the tokenizer thread.

transformers renders them in Jinja's sandbox, which bounds what a template may reach, not how long it may run.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_START_S = 60.0


class TemplateTooSlow(Exception):
    """The rendering was stopped."""


@contextmanager
def render_deadline(seconds: float) -> Iterator[None]:
    """Raise `TemplateTooSlow` in the block, in this thread, if it has not ended by then.

    One raised in the block's last instruction comes from `over.set`, the next call. It is not taken back: CPython 3.11
    and 3.12 then look for it at every call from there on, and under a profiler 3.11 never ends looking. None is raised
    before the block, in the start of the timer's own thread, which a busy machine may hold up.
    """
    thread, lock, over = ctypes.c_ulong(threading.get_ident()), threading.Lock(), threading.Event()
    begun = threading.Event()

    def stop() -> None:
        begun.wait(_START_S)
        with lock:
            if not over.is_set():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TemplateTooSlow))

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        begun.set()
        yield
    finally:
        with lock:
            over.set()
        timer.cancel()
