"""`run.py key`: makes an API key, lists the keys there are, changes one's role or terms, and revokes one."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from src import key_terms, keys
from src.commands import usage
from src.commands.asking import of_running_service, terminal_width
from src.errors import ExitCode
from src.key_terms import Terms
from src.keys import Key, KeyRing
from src.settings import SecuritySettings, Settings, SettingsError, home
from src.supervisor.table import align

NAME, HELP = (
    "key",
    "API keys: `key new NAME` makes one, `key list`, `key set NAME` changes one, `key revoke NAME` ends one",
)

_RELOAD = "after SIGHUP to its supervisor (`systemctl reload stoker`), or a restart."
_HEAD = ("NAME", "ROLE", "TOKENS/DAY", "PAGES/DAY", "LAST USE", "EXPIRES")


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=("new", "list", "set", "revoke"))
    parser.add_argument("name", metavar="NAME", nargs="?", help="who uses it, for logs and metrics")
    parser.add_argument("--role", choices=keys.ROLES, help="what it may do (docs/security.md); a new one's is user")
    parser.add_argument("--expires", metavar="TIME", help=f"{key_terms.TIME_HELP}, a span (90d, 12h), or never")
    for kind in ("tokens", "pages"):
        text = f"{kind} it may use in a UTC day; 0 is no limit, `default` is KEY_{kind.upper()}_PER_DAY"
        parser.add_argument(f"--{kind}-per-day", metavar="N", help=text)
    parser.add_argument("--json", action="store_true", help="list: for programs")


def run(options: Namespace, settings: Settings) -> ExitCode:
    path = settings.api_keys_path or home() / "api_keys"
    try:
        if options.action == "list":
            return _list(path, settings, as_json=options.json)
        if options.name is None:
            raise ValueError(f"key {options.action} needs a NAME.")
        if options.action == "revoke":
            return _revoke(path, options.name)
        if options.action == "set":
            return _set(path, options)
        return new_key(options.name, settings, options.role or "user", _terms(options, key_terms.NONE))
    except (ValueError, OSError, SettingsError) as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILURE


def _terms(options: Namespace, terms: Terms) -> Terms:
    """With what the options change."""
    if options.expires is not None:
        terms = replace(terms, expires=key_terms.expiry(options.expires, time.time()))
    for name in ("tokens_per_day", "pages_per_day"):
        if (given := getattr(options, name)) is not None:
            terms = replace(terms, **{name: key_terms.budget(f"--{name.replace('_', '-')}", given)})
    return terms


def _list(path: Path, settings: Settings, *, as_json: bool) -> ExitCode:
    """Of both settings; a key itself is kept nowhere."""
    found = sorted(_ring(path, settings).keys.values(), key=lambda key: key.name)
    used = usage.last_uses(of_running_service(settings).state_path)
    if as_json:
        print(json.dumps([_described(key, used) for key in found], indent=1))
        return ExitCode.OK
    now = time.time()
    print(align([_HEAD, *(_row(key, settings, used, now) for key in found)], terminal_width()))
    return ExitCode.OK


def _row(key: Key, settings: Settings, used: Mapping[str, int], now: float) -> tuple[str, ...]:
    """A budget in brackets is the setting's."""
    terms = key.terms
    expires = "never" if terms.expires is None else key_terms.shown_time(terms.expires)
    return (
        key.name,
        f"{key.role} (assumed: none is written down)" if key.assumed else key.role,
        _shown_budget(key, terms.tokens_per_day, settings.key_tokens_per_day),
        _shown_budget(key, terms.pages_per_day, settings.key_pages_per_day),
        key_terms.shown_time(used[key.name]) if key.name in used else "-",
        f"{expires}: expired" if terms.has_expired(now) else expires,
    )


def _shown_budget(key: Key, own: int | None, default: int) -> str:
    if own is not None:
        return str(own or "-")
    return f"({default})" if default and key.role == "user" else "-"


def _described(key: Key, used: Mapping[str, int]) -> dict[str, object]:
    return {
        "name": key.name,
        "role": key.role,
        "role_assumed": key.assumed,
        "expires_at": key.terms.expires,
        "tokens_per_day": key.terms.tokens_per_day,
        "pages_per_day": key.terms.pages_per_day,
        "last_used_at": used.get(key.name),
    }


def _set(path: Path, options: Namespace) -> ExitCode:
    def changed(key: Key) -> Key:
        if options.role is not None:
            key = replace(key, role=options.role, assumed=False)
        return replace(key, terms=_terms(options, key.terms))

    key = keys.change(path, options.name, changed)
    shown = " ".join(filter(None, (key.role, key_terms.written(key.terms))))
    print(f"{key.name!r} in {path} is now: {shown}. A running service knows {_RELOAD}", file=sys.stderr)
    return ExitCode.OK


def _revoke(path: Path, name: str) -> ExitCode:
    keys.remove(path, name)
    print(f"{name!r} is out of {path}. A running service refuses it {_RELOAD}", file=sys.stderr)
    return ExitCode.OK


def new_key(name: str, settings: Settings, role: keys.Role = "user", terms: Terms = key_terms.NONE) -> ExitCode:
    """Print a new key once; only its digest is stored."""
    path = settings.api_keys_path or home() / "api_keys"
    try:
        with keys.alone(path):
            if name in _ring(path, settings).names:  # a name is one key's, or the next start is refused
                raise ValueError(
                    f"The name {name!r} is another key's. Remove that key's line first, or choose another name."
                )
            key, line = keys.create(name, role, terms)
            keys.append(path, line)
    except (ValueError, OSError, SettingsError) as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILURE
    print(key)
    print(f"Its role is {role}. Its digest is in {path}; the key is shown only now.", file=sys.stderr)
    if settings.api_keys_path is None:
        print(f"Set API_KEYS_FILE={path} in {home() / '.env'}, then restart.", file=sys.stderr)
    else:
        print(f"A running service accepts it {_RELOAD}", file=sys.stderr)
    return ExitCode.OK


def _ring(path: Path, settings: Settings) -> KeyRing:
    """The keys there are, in either setting."""
    file = path if path.exists() else None
    return keys.load(SecuritySettings(api_keys=settings.api_keys, api_keys_file=file))
