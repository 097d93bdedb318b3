"""The rendered service files."""

from __future__ import annotations

import plistlib
from argparse import Namespace
from pathlib import Path

import pytest

from src.commands import install
from src.errors import ExitCode
from src.settings import ROOT
from tests.conftest import MakeSettings


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("user", [False, True])
def test_no_place_is_left_open(make_settings: MakeSettings, tmp_path: Path, platform: str, *, user: bool) -> None:
    """Every at-sign name is filled in, paths are absolute, and each file has a command that enables it."""
    planned = install.plan(make_settings(), tmp_path, user=user, platform=platform, python="/opt/venv/bin/python")
    for path, text in planned.files.items():
        assert not install._PLACEHOLDER.search(text)
        assert any(str(path) in command for command in planned.commands)
    assert "/opt/venv/bin/python" in next(iter(planned.files.values()))
    assert any(("enable" in command or "bootstrap" in command) for command in planned.commands)


def test_the_launchd_job_says_what_launchd_must_know(make_settings: MakeSettings, tmp_path: Path) -> None:
    """It parses; drains are not cut, files are not limited to 256, nothing is throttled, odd paths are quoted."""
    planned = install.plan(
        make_settings(graceful_timeout=50, drain_notice=5),
        tmp_path,
        user=False,
        platform="darwin",
        python="/Users/a & b/python",
    )
    job = plistlib.loads(next(iter(planned.files.values())).encode())
    assert job["ProgramArguments"] == ["/Users/a & b/python", f"{ROOT}/run.py", "--mode", "prod"]
    assert job["ExitTimeOut"] == 5 + 50 + 2 * 10 + 15
    assert (job["ProcessType"], job["RunAtLoad"], job["KeepAlive"]) == ("Interactive", True, {"SuccessfulExit": False})
    assert job["SoftResourceLimits"]["NumberOfFiles"] >= 8192
    assert job["Umask"] == 0o027
    assert job["ThrottleInterval"] >= 10


def test_beyond_loopback_the_unit_lets_clients_in(make_settings: MakeSettings, tmp_path: Path) -> None:
    """The kernel's filter follows HOST; the key file comes as a credential, when there is one."""
    key_file = tmp_path / "keys"
    closed = install.plan(make_settings(), tmp_path, user=False, platform="linux").files[tmp_path / "stoker.service"]
    changed = make_settings(host="10.0.0.5", api_keys_file=key_file)
    opened = install.plan(changed, tmp_path, user=False, platform="linux")
    assert "IPAddressDeny=any\nIPAddressAllow=localhost" in closed
    assert "\nLoadCredential" not in closed
    assert "IPAddressDeny=any" not in opened.files[tmp_path / "stoker.service"]
    assert f"\nLoadCredential=api_keys:{key_file}" in opened.files[tmp_path / "stoker.service"]
    assert "ListenStream=10.0.0.5:8000" in opened.files[tmp_path / "stoker.socket"]


@pytest.mark.parametrize(
    ("changed", "closed"),
    [
        ({"image_url_hosts": ".example.com"}, False),
        ({"redis_url": "redis://10.0.0.9:6379/0"}, False),
        ({"upstream_url": "http://10.0.0.9:8000"}, False),
        ({"upstream_url": "http://localhost:8000"}, True),
        ({"otel_exporter_otlp_endpoint": "http://collector.example:4318"}, False),
        ({"otel_exporter_otlp_endpoint": "http://127.0.0.1:4318"}, True),
        ({"redis_url": "redis://127.0.0.1:6379/0"}, True),
        ({"redis_url": "unix:///run/redis.sock"}, True),
    ],
)
def test_the_kernel_refuses_what_the_service_does_not_need(
    changed: dict[str, object], closed: bool, make_settings: MakeSettings, tmp_path: Path
) -> None:
    """Images by URL, a Redis and an engine elsewhere need the network; nothing else does on loopback."""
    text = install.plan(make_settings(**changed), tmp_path, user=False, platform="linux").files[
        tmp_path / "stoker.service"
    ]
    assert ("IPAddressDeny=any" in text) == closed
    assert ("IPAddressDeny=link-local multicast" in text) != closed


def test_the_command_writes_and_tells(
    make_settings: MakeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`run.py install-service` writes the files and prints what to type."""
    assert install.run(Namespace(user=True), make_settings(), tmp_path / "units") == ExitCode.OK
    assert list((tmp_path / "units").iterdir())
    assert "To enable it:" in capsys.readouterr().out


def test_an_instance_has_folders_and_settings_of_its_own(make_settings: MakeSettings, tmp_path: Path) -> None:
    """`stoker@1`: it shares state and models with the others, nothing else; the hardening is the same."""
    files = install.plan(make_settings(), tmp_path, user=False, platform="linux").files
    one, many = (files[tmp_path / name].splitlines() for name in ("stoker.service", "stoker@.service"))
    changed = [line for line in many if line not in one]
    assert changed == [
        "Description=Stoker %i, an OpenAI-compatible chat and OCR server",
        "EnvironmentFile=-/etc/stoker/%i.env",
        "Environment=LOG_DIR=/var/log/stoker-%i RUNTIME_DIR=/run/stoker-%i STATE_DIR=/var/lib/stoker"
        " HF_HOME=/var/cache/stoker PYTHONUNBUFFERED=1",
        "StateDirectory=stoker stoker-%i",
        "LogsDirectory=stoker-%i",
        "RuntimeDirectory=stoker-%i",
    ]
    assert len(many) == len(one) + 1
