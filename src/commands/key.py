"""`run.py key`: makes an API key, lists the names and roles there are, and revokes one."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from src import keys
from src.errors import ExitCode
from src.settings import ROOT, SecuritySettings, Settings, SettingsError
from src.supervisor.table import align

NAME, HELP = "key", "API keys: `key new NAME` makes one, `key list` shows names and roles, `key revoke NAME` ends one"

_RELOAD = "after SIGHUP to its supervisor (`systemctl reload stoker`), or a restart."


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=("new", "list", "revoke"))
    parser.add_argument("name", metavar="NAME", nargs="?", help="who uses it, for logs and metrics")
    parser.add_argument("--role", choices=keys.ROLES, default="user", help="what it may do (docs/security.md); user")


def run(options: Namespace, settings: Settings) -> ExitCode:
    path = settings.api_keys_path or ROOT / "api_keys"
    try:
        if options.action == "list":
            return _list(path, settings)
        if options.name is None:
            raise ValueError(f"key {options.action} needs a NAME.")
        if options.action == "revoke":
            return _revoke(path, options.name)
    except (ValueError, OSError, SettingsError) as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILURE
    return new_key(options.name, settings, options.role)


def _list(path: Path, settings: Settings) -> ExitCode:
    """Of both settings; a key itself is kept nowhere."""
    found = sorted(_ring(path, settings).keys.values(), key=lambda key: key.name)
    rows = [(key.name, f"{key.role} (assumed: none is written down)" if key.assumed else key.role) for key in found]
    print(align([("NAME", "ROLE"), *rows]))
    return ExitCode.OK


def _revoke(path: Path, name: str) -> ExitCode:
    keys.remove(path, name)
    print(f"{name!r} is out of {path}. A running service refuses it {_RELOAD}", file=sys.stderr)
    return ExitCode.OK


def new_key(name: str, settings: Settings, role: keys.Role = "user") -> ExitCode:
    """Print a new key once; only its digest is stored."""
    path = settings.api_keys_path or ROOT / "api_keys"
    try:
        if name in _names(path, settings):
            raise ValueError(
                f"The name {name!r} is another key's. Remove that key's line first, or choose another name."
            )
        key, line = keys.create(name, role)
        keys.append(path, line)
    except (ValueError, OSError, SettingsError) as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILURE
    print(key)
    print(f"Its role is {role}. Its digest is in {path}; the key is shown only now.", file=sys.stderr)
    if settings.api_keys_path is None:
        print(f"Set API_KEYS_FILE={path} in .env, then restart.", file=sys.stderr)
    else:
        print(f"A running service accepts it {_RELOAD}", file=sys.stderr)
    return ExitCode.OK


def _names(path: Path, settings: Settings) -> list[str]:
    """Of the keys there are, in either setting: a name is one key's, or the next start is refused."""
    return _ring(path, settings).names


def _ring(path: Path, settings: Settings) -> keys.KeyRing:
    file = path if path.exists() else None
    return keys.load(SecuritySettings(api_keys=settings.api_keys, api_keys_file=file))
