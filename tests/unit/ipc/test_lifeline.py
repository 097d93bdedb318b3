"""The lifeline: a child notices its parent's end, and nothing else."""

from __future__ import annotations

import os
import threading

from src.ipc import lifeline

PATIENCE_S = 5.0


def test_the_parents_end_is_noticed() -> None:
    """When the write end closes, `on_gone` is called once."""
    read, write = os.pipe()
    gone = threading.Event()
    lifeline.watch(gone.set, read)
    assert not gone.is_set()
    os.close(write)
    assert gone.wait(PATIENCE_S)
    os.close(read)


def test_bytes_are_not_the_end() -> None:
    """What is written into the pipe means nothing: only its end does."""
    read, write = os.pipe()
    gone = threading.Event()
    lifeline.watch(gone.set, read)
    os.write(write, b"x" * 10_000)
    assert not gone.wait(0.05)
    os.close(write)
    assert gone.wait(PATIENCE_S)
    os.close(read)


def test_a_broken_descriptor_is_the_end() -> None:
    """A descriptor that cannot be read means the same as a parent that is gone."""
    read, write = os.pipe()
    gone = threading.Event()
    lifeline.watch(gone.set, write)  # the write end cannot be read
    assert gone.wait(PATIENCE_S)
    os.close(read)
    os.close(write)


def test_it_holds_up_no_exit() -> None:
    """The waiting thread is a daemon: a process that ends by itself is not kept."""
    read, write = os.pipe()
    gone = threading.Event()
    lifeline.watch(gone.set, read)
    waiting = [thread for thread in threading.enumerate() if thread.name == "lifeline"]
    assert waiting
    assert all(thread.daemon for thread in waiting)
    os.close(write)
    assert gone.wait(PATIENCE_S)
    os.close(read)
