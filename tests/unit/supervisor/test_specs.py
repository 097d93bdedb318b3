"""The table of processes, and the address web is reached at."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.settings import Settings
from src.supervisor.specs import base_url, engine, service


def settings(**changes: object) -> Settings:
    return Settings.model_validate(changes)


def test_web_stops_before_ocr_and_both_before_the_engines() -> None:
    """Web stops before the back ends."""
    table = (engine(settings(), Path("/run/x"), "demo"), *service(settings(), Path("/run/x"), with_web=True))
    assert sorted(table, key=lambda spec: spec.stop_order) == [*reversed(table)]
    assert [spec.name for spec in table] == ["engine:demo", "ocr", "web"]


def test_disabled_processes_are_not_started() -> None:
    """No OCR with OCR_WORKERS=0, no web for a gunicorn that runs by itself."""
    assert [spec.name for spec in service(settings(ocr_workers=0), Path("/run/x"), with_web=False)] == []


def test_web_gets_the_graceful_timeout_plus_a_margin() -> None:
    """The supervisor's SIGKILL comes after gunicorn's own."""
    web = service(settings(graceful_timeout=33), Path("/run/x"), with_web=True)[-1]
    assert web.stop_grace_s > 33


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("fe80::1", "http://[fe80::1]:8000"),
        ("box.local", "http://box.local:8000"),
    ],
)
def test_the_base_url_of_web(host: str, url: str) -> None:
    """A wildcard address is reached over loopback."""
    assert base_url(settings(host=host, port=8000)) == url
