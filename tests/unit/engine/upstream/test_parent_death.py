"""Real processes: a started server ends with its engine, however that ends, and with all it started."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time

import psutil
import pytest

from src.engine.upstream.process import UpstreamProcess
from src.settings import ROOT

PATIENCE_S = 15.0
# a server with a worker of its own; the second does not listen to SIGTERM
_MEEK = "import subprocess,sys,time; subprocess.Popen([sys.executable,'-c','import time; time.sleep(60)']); "
_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
_WAIT = "print('up', flush=True); time.sleep(60)"


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them is left, after waiting a while for it."""
    _, left = psutil.wait_procs(processes, PATIENCE_S)
    return not [process for process in left if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("code", [_MEEK + _WAIT, _MEEK + _STUBBORN + _WAIT])
def test_who_lets_go_ends_it_all(code: str) -> None:
    """The end of the leash's standard input is the end of the server and of its workers."""
    leash = subprocess.Popen(
        [sys.executable, "-m", "src.engine.upstream.parent_death", str(ROOT), sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert leash.stdout is not None
    assert leash.stdin is not None
    assert leash.stdout.readline() == b"up\n"
    below = psutil.Process(leash.pid).children(recursive=True)
    assert len(below) == 2
    began = time.monotonic()
    leash.stdin.close()
    assert gone(below)
    assert leash.wait(PATIENCE_S) == 0
    assert time.monotonic() - began < PATIENCE_S
    leash.stdout.close()


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_its_end_is_told(code: str, status: int) -> None:
    """The server's exit status is the leash's; a signal as a shell tells it. What it said is kept for the reason."""

    async def case() -> None:
        child = UpstreamProcess((sys.executable, "-c", f"print('first'); print('no such model', flush=True); {code}"))
        await child.start()
        assert await asyncio.wait_for(child.ended(), PATIENCE_S) == status
        assert child.exit_output == "first / no such model"
        await child.stop()

    asyncio.run(case())


def test_a_child_is_ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets a key of this start through its environment, none of our settings, and its memory is counted as ours."""
    monkeypatch.setenv("PORT", "8000")  # llama_cpp.server would listen there, whatever its command line says

    async def case() -> None:
        code = "import os; print(os.environ['VLLM_API_KEY'], os.environ.get('PORT'), flush=True); "
        child = UpstreamProcess((sys.executable, "-c", code + _MEEK + _WAIT))
        others = set(psutil.Process().children(recursive=True))  # of other tests
        await child.start()
        ended = asyncio.ensure_future(child.ended())
        deadline = time.monotonic() + PATIENCE_S
        while "up" not in child.exit_output and time.monotonic() < deadline:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.02)
        assert child.exit_output == f"{child.key} None / up"
        assert child.memory() > 10 << 20
        processes = set(psutil.Process().children(recursive=True)) - others
        assert processes
        await child.stop()
        assert gone([process for process in processes if process.is_running()])
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(ended, PATIENCE_S)

    asyncio.run(case())
