"""One service behind nginx for all tests of this folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.deploy import tools
from tests.running import Running, service


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, readable by nginx's worker."""
    path = Path(tempfile.mkdtemp(prefix="dep-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Site(NamedTuple):
    """A service behind nginx."""

    running: Running
    tls: int
    folder: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.tls}"


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """deploy/nginx/one.conf before the service on fake engines."""
    path = Path(tempfile.mkdtemp(prefix="dep-", dir="/tmp"))
    with (
        service(inference_engine="fake", ocr_engine="fake", ocr_workers=1, trusted_proxies="127.0.0.1") as running,
        tools.nginx("one.conf", path, [running.port]) as tls,
    ):
        yield Site(running, tls, path)
    shutil.rmtree(path, ignore_errors=True)
