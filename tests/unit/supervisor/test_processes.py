"""The supervisor over real processes: what it promises when they die, hang, or will not end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from src.errors import ExitCode
from src.ipc import client, runtime
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.control import Ping, StopRequest
from src.supervisor.processes import is_alive
from tests.unit.supervisor import harness
from tests.unit.supervisor.harness import Service, eventually

pytestmark = pytest.mark.e2e


@pytest.fixture
def service() -> Iterator[Service]:
    with harness.service() as running:
        yield running


def test_all_processes_become_ready_and_stop_in_order(service: Service) -> None:
    """Web, OCR and engine start at once; told to stop, they end in that order, and nothing is left behind."""
    supervisor = service.start()
    eventually(service.ready, 20, "ready")
    assert supervisor.poll() is None
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(10) == ExitCode.OK
    assert service.notes("SIGTERM") == ["web SIGTERM", "ocr SIGTERM", "engine SIGTERM"]
    assert service.all_gone()
    assert [path.name for path in service.directory.iterdir()] == ["supervisor.lock"]
    assert f"ready on http://127.0.0.1:{service.port} after" in service.output.read_text()


def test_a_killed_engine_is_replaced_and_the_others_are_not_touched(service: Service) -> None:
    """kill -9: another process is ready soon, its helper processes are gone, web and OCR keep running."""
    service.start("--grandchild")
    eventually(service.ready, 20, "ready")
    before = {name: service.pid(name) for name in ("engine", "ocr", "web")}
    grandchild = psutil.Process(int(service.notes("grandchild")[0].split()[-1]))
    os.kill(before["engine"], signal.SIGKILL)
    eventually(lambda: service.in_state("engine", "ready") and service.pid("engine") != before["engine"], 10, "back")
    engine = service.child("engine")
    assert engine is not None
    assert engine.restarts == {"signal": 1}
    assert not is_alive(grandchild)
    assert {name: service.pid(name) for name in ("ocr", "web")} == {name: before[name] for name in ("ocr", "web")}


def test_a_stopped_engine_is_found_by_its_heartbeat_and_replaced(service: Service) -> None:
    """SIGSTOP stands for a hang inside native code: the process lives, and answers nothing."""
    service.start()
    eventually(service.ready, 20, "ready")
    hung = psutil.Process(service.pid("engine"))
    hung.suspend()
    eventually(lambda: service.in_state("engine", "ready") and service.pid("engine") != hung.pid, 10, "replaced")
    engine = service.child("engine")
    assert engine is not None
    assert engine.restarts == {"heartbeat": 1}
    assert not is_alive(hung)


def test_a_killed_web_is_replaced(service: Service) -> None:
    """kill -9 of gunicorn's master: the port is served again, by another process."""
    service.start()
    eventually(service.ready, 20, "ready")
    before = service.pid("web")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: service.in_state("web", "ready") and service.pid("web") != before, 10, "back")


def test_an_engine_that_exits_at_start_backs_off_opens_the_breaker_and_heals(service: Service) -> None:
    """The others are ready meanwhile; when the cause goes, the engine comes back by itself."""
    cause = service.journal.with_name("cause")
    cause.write_text("1")
    service.start("--exit-code-file", str(cause))
    eventually(lambda: service.in_state("engine", "backoff"), 20, "backoff")
    eventually(lambda: service.in_state("engine", "failed"), 20, "failed")
    engine = service.child("engine")
    assert engine is not None
    assert engine.restarts["exit"] >= 4
    eventually(lambda: service.in_state("web", "ready") and service.in_state("ocr", "ready"), 10, "the others")
    cause.unlink()
    eventually(service.ready, 10, "healed")


def test_a_wrong_configuration_ends_the_service(service: Service) -> None:
    """A child that exits with CONFIG at start ends everything with CONFIG: no restart loop."""
    cause = service.journal.with_name("cause")
    cause.write_text(str(int(ExitCode.CONFIG)))
    assert service.start("--exit-code-file", str(cause)).wait(20) == ExitCode.CONFIG


def test_a_killed_supervisor_leaves_no_orphan_and_the_next_one_starts(service: Service) -> None:
    """kill -9 of the supervisor: its children end within 2 s, and its lock and sockets block nobody."""
    supervisor = service.start()
    eventually(service.ready, 20, "ready")
    supervisor.kill()
    supervisor.wait()
    eventually(service.all_gone, 2, "children gone")
    service.start()
    eventually(service.ready, 20, "ready again")


def test_a_second_instance_is_refused_with_the_first_ones_pid(service: Service) -> None:
    """Same checkout, second supervisor: exit ALREADY_RUNNING with the first one's pid; the first serves on."""
    first = service.start()
    eventually(service.ready, 20, "ready")
    assert service.start().wait(10) == ExitCode.ALREADY_RUNNING
    assert f"(pid {first.pid})" in service.output.read_text()
    assert service.ready()


def test_a_second_signal_kills(service: Service) -> None:
    """A second signal skips the grace period."""
    supervisor = service.start("--ignore-term")
    eventually(service.ready, 20, "ready")
    supervisor.send_signal(signal.SIGTERM)
    eventually(lambda: service.notes("SIGTERM")[-1:] == ["engine SIGTERM"], 10, "engine asked")
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(3) == ExitCode.OK
    assert service.all_gone()


def test_sighup_reaches_web_alone(service: Service) -> None:
    """Web is reloaded; engine and OCR keep running."""
    supervisor = service.start()
    eventually(service.ready, 20, "ready")
    supervisor.send_signal(signal.SIGHUP)
    eventually(lambda: service.notes("SIGHUP") == ["web SIGHUP"], 5, "web told")
    assert service.ready()


def test_the_service_stops_with_its_parent_process(service: Service) -> None:
    """`--lifeline PID`: when gunicorn's master exits, the back ends exit."""
    with subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL) as owner:
        supervisor = service.start("--lifeline", str(owner.pid))
        eventually(service.ready, 20, "ready")
        owner.kill()
    assert supervisor.wait(10) == ExitCode.OK
    assert service.all_gone()


def test_the_control_socket_answers_and_stops(service: Service) -> None:
    """StopRequest is accepted, then carried out; an unknown request gets an error."""
    supervisor = service.start()
    eventually(service.ready, 20, "ready")
    control = runtime.control_socket(service.directory)
    assert isinstance(client.ask(control, Ping(), 2), Failed)
    assert isinstance(client.ask(control, StopRequest(), 2), Accepted)
    assert supervisor.wait(10) == ExitCode.OK


def test_systemd_is_notified_by_the_supervisor_alone(service: Service) -> None:
    """READY=1 comes once all is ready, STOPPING=1 at the end; NOTIFY_SOCKET is not passed on."""
    address = service.journal.with_name("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(20)
        supervisor = service.start(NOTIFY_SOCKET=str(address))
        while (said := systemd.recv(1000).decode()) == "WATCHDOG=1":
            pass
        assert said.startswith("READY=1\nSTATUS=ready on http://")
        assert service.ready()
        supervisor.terminate()
        while (said := systemd.recv(1000).decode()) == "WATCHDOG=1":
            pass
        assert said == "STOPPING=1"
        assert supervisor.wait(10) == ExitCode.OK
    assert all("NOTIFY_SOCKET" not in line for line in service.notes("up"))


def test_systemd_is_notified_of_a_degraded_start(service: Service) -> None:
    """Web reports why over HTTP, and the engine is retried: restarting the service would not help."""
    address, cause = service.journal.with_name("notify"), service.journal.with_name("cause")
    cause.write_text(str(int(ExitCode.MODEL)))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(20)
        service.start("--exit-code-file", str(cause), NOTIFY_SOCKET=str(address), BREAKER_RETRY="600")
        assert systemd.recv(1000).decode().startswith("READY=1")
    assert service.in_state("engine", "failed")
    assert service.in_state("web", "ready")


def test_the_supervisor_stays_small(service: Service) -> None:
    """Under 80 MB: it imports neither MLX nor Flask nor gevent."""
    supervisor = service.start()
    eventually(service.ready, 20, "ready")
    assert psutil.Process(supervisor.pid).memory_info().rss < 80e6


def test_a_hung_engine_of_a_killed_supervisor_is_killed_by_the_next_one(service: Service) -> None:
    """SIGSTOP, and no signal at a parent's death (the stand-in asks for none, as on macOS): it cannot end by itself."""
    supervisor = service.start()
    eventually(service.ready, 20, "ready")
    hung = psutil.Process(service.pid("engine"))
    hung.suspend()
    supervisor.kill()
    supervisor.wait()
    assert is_alive(hung)
    service.start()
    eventually(lambda: not is_alive(hung), 10, "killed")
    eventually(service.ready, 20, "ready again")
