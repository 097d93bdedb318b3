"""`run.py key new NAME`: makes an API key."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from src import keys
from src.errors import ExitCode
from src.settings import ROOT, SecuritySettings, Settings, SettingsError

NAME, HELP = "key", "make an API key: `key new NAME` adds its digest to API_KEYS_FILE"


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=("new",))
    parser.add_argument("name", metavar="NAME", help="who will use it, for logs and metrics")
    parser.add_argument("--role", choices=keys.ROLES, default="user", help="what it may do (docs/security.md); user")


def run(options: Namespace, settings: Settings) -> ExitCode:
    return new_key(options.name, settings, options.role)


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
        print("A running service accepts it after SIGHUP to its supervisor, or a restart.", file=sys.stderr)
    return ExitCode.OK


def _names(path: Path, settings: Settings) -> list[str]:
    """Of the keys there are, in either setting: a name is one key's, or the next start is refused."""
    file = path if path.exists() else None
    return keys.load(SecuritySettings(api_keys=settings.api_keys, api_keys_file=file)).names
