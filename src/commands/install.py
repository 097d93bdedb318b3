"""`run.py install-service`: renders the systemd units or the launchd job for this machine's paths.

Nothing is installed: the files are written below `deploy/local/`, and the commands that enable them are returned.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from src import installation, keys
from src.errors import ExitCode
from src.settings import ROOT, Settings, home

NAME, HELP = "install-service", "write systemd units or a launchd job for this machine"
LABEL = "io.stoker"
_PLACEHOLDER = re.compile(r"@([A-Z_]+)@")
_MARGIN_S = 15
_HOMES = ("/home", "/root", "/run/user")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("--user", action="store_true", help="for this user alone, without root")


def run(options: Namespace, settings: Settings, folder: Path | None = None) -> ExitCode:
    planned = plan(settings, folder or home() / "deploy" / "local", user=options.user)
    write(planned)
    print("Written:", *planned.files, sep="\n  ")
    print("\nTo enable it:", *planned.commands, sep="\n  ")
    return ExitCode.OK


@dataclass(frozen=True)
class Plan:
    """Files to write, folders that must exist before the service starts, and commands for the operator."""

    files: dict[Path, str]
    commands: tuple[str, ...]
    folders: tuple[Path, ...] = ()


def plan(
    settings: Settings, folder: Path, *, user: bool, platform: str = sys.platform, python: str = sys.executable
) -> Plan:
    """Render for this machine. `user`: a user service without root."""
    if platform == "darwin":
        return _launchd(settings, folder, python, user=user)
    return _systemd_user(settings, folder, python) if user else _systemd(settings, folder, python)


def write(planned: Plan) -> None:
    for folder in planned.folders:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    for path, text in planned.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _systemd(settings: Settings, folder: Path, python: str) -> Plan:
    values = _values(settings, python) | {
        "USER": "stoker",
        "GROUP": "stoker",
        "CREDENTIAL": _credential(settings),
        "PROTECT_HOME": "read-only" if any(map(_in_a_home, (ROOT, home()))) else "yes",
        "NETWORK": _network(settings),
        "ADDRESS": _address(settings),
    }
    files = {folder / name: _render(f"systemd/{name}", values) for name in ("stoker.service", "stoker.socket")}
    files[folder / "stoker@.service"] = _of_instance(files[folder / "stoker.service"])
    target = "/etc/systemd/system"
    return Plan(
        files,
        (
            "id stoker || sudo useradd --system --home-dir /var/lib/stoker --shell /usr/sbin/nologin stoker",
            f"sudo cp {folder}/stoker.service {target}/",
            "sudo systemctl daemon-reload",
            "sudo systemctl enable --now stoker.service",
            f"# several instances, each with PORT=800N in /etc/stoker/N.env: sudo cp {folder}/stoker@.service {target}/"
            " && sudo systemctl enable --now stoker@1 stoker@2",
            f"# optional, connections wait through a restart: sudo cp {folder}/stoker.socket {target}/"
            " && sudo systemctl enable --now stoker.socket",
        ),
    )


def _of_instance(unit: str) -> str:
    """The template unit `stoker@N`: the same, with folders and an environment file of its own. Models and state are
    shared; it may write to a state of its own too, for who names that in STATE_DIR."""
    for folder in ("/var/log/stoker", "/run/stoker"):
        unit = unit.replace(f"_DIR={folder}", f"_DIR={folder}-%i")
    for kind in ("LogsDirectory", "RuntimeDirectory"):
        unit = unit.replace(f"\n{kind}=stoker\n", f"\n{kind}=stoker-%i\n")
    unit = unit.replace("\nStateDirectory=stoker\n", "\nStateDirectory=stoker stoker-%i\n")
    own = "EnvironmentFile=-/etc/stoker/env\n"
    return unit.replace(own, f"{own}EnvironmentFile=-/etc/stoker/%i.env\n").replace("=Stoker,", "=Stoker %i,")


def _systemd_user(settings: Settings, folder: Path, python: str) -> Plan:
    text = _render("systemd/stoker-user.service", _values(settings, python))
    return Plan(
        {folder / "stoker.service": text},
        (
            f"mkdir -p ~/.config/systemd/user && cp {folder}/stoker.service ~/.config/systemd/user/",
            "systemctl --user daemon-reload",
            "systemctl --user enable --now stoker.service",
            "# to run without a login: sudo loginctl enable-linger $USER",
        ),
    )


def _launchd_state(settings: Settings) -> str:
    beside = Path.home() / "Library/Application Support/stoker"
    return str(settings.state_path if settings.state_dir or installation.is_package() else beside)


def _launchd(settings: Settings, folder: Path, python: str, *, user: bool) -> Plan:
    name = f"{LABEL}.plist"
    values = _values(settings, python) | {
        # an agent runs as whoever is logged in; launchd takes the key for daemons alone
        "USER": "" if user else f"<key>UserName</key><string>{escape(getpass.getuser())}</string>",
        "LOGS": str(settings.log_path),
        "STATE": _launchd_state(settings),
    }
    markup = values.pop("USER")
    text = _render(f"launchd/{name}", {key: escape(value) for key, value in values.items()} | {"USER": markup})
    path = folder / name
    if user:
        agents = f"{Path.home()}/Library/LaunchAgents"
        commands = (
            f"mkdir -p {agents} && cp {path} {agents}/",
            f"launchctl bootstrap gui/{os.getuid()} {agents}/{name}",
        )
    else:
        daemons = "/Library/LaunchDaemons"
        commands = (
            f"sudo cp {path} {daemons}/ && sudo chown root:wheel {daemons}/{name}",
            f"sudo launchctl bootstrap system {daemons}/{name}",
        )
    # launchd starts no job whose StandardErrorPath has no folder
    return Plan({path: text}, commands, (settings.log_path,))


def _values(settings: Settings, python: str) -> dict[str, str]:
    return {
        "ROOT": str(ROOT),
        "HOME": str(home()),
        "PYTHON": python,
        "PROGRAM": _program(python),
        "STOP_SECONDS": str(int(settings.stop_seconds + _MARGIN_S)),
    }


def _program(python: str) -> str:
    """What Python runs. Of a package its own command: that path stays when the environment's Python becomes another."""
    return str(Path(python).with_name("stoker") if installation.is_package() else ROOT / "run.py")


def _in_a_home(folder: Path) -> bool:
    return f"{folder}/".startswith(tuple(f"{place}/" for place in _HOMES))


def _credential(settings: Settings) -> str:
    """systemd does not start a unit with a missing credential, so it is loaded only if the file is set."""
    path = settings.api_keys_path
    return f"LoadCredential=api_keys:{path}" if path else "# LoadCredential=api_keys:/etc/stoker/api_keys"


def _network(settings: Settings) -> str:
    """Deny every address beyond loopback if the service needs none."""
    if _is_loopback_only(settings):
        beside = f"# models are fetched beside the service ({installation.command('pull')})"
        return f"{beside}\nIPAddressDeny=any\nIPAddressAllow=localhost"
    return "IPAddressDeny=link-local multicast"


def _is_loopback_only(settings: Settings) -> bool:
    urls = (settings.redis_url, settings.upstream_url, settings.otel_exporter_otlp_endpoint)
    called = (urlsplit(url).hostname for url in urls)
    hosts = [settings.host, *filter(None, called)]
    return not settings.image_url_hosts and all(map(keys.is_loopback, hosts))


def _address(settings: Settings) -> str:
    host = settings.host or "0.0.0.0"  # noqa: S104  # what an empty HOST means
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"


def _render(template: str, values: dict[str, str]) -> str:
    text = (ROOT / "deploy" / template).read_text(encoding="utf-8")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
