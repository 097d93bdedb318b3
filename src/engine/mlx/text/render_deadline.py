"""A bound for chat templates: one that loops is stopped. Used on the tokenizer thread.

transformers renders them in Jinja's sandbox, which bounds what a template may reach, not how long it may run.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TemplateTooSlow(Exception):
    """The rendering was stopped."""


@contextmanager
def render_deadline(seconds: float) -> Iterator[None]:
    """Raise `TemplateTooSlow` in the block, in this thread, if it has not ended by then."""
    thread, lock, over = threading.get_ident(), threading.Lock(), threading.Event()

    def stop() -> None:
        with lock:
            if not over.is_set():
                _raise_in(thread, TemplateTooSlow)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over.set()
            _raise_in(thread, None)  # one that came with the last instruction is taken back
        timer.cancel()


def _raise_in(thread: int, error: type[Exception] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)
