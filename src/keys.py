"""API keys: read, made, compared. Web asks it who calls; the command line makes keys; the supervisor checks them.

Only SHA-256 digests are kept (a fast hash is right for keys of 256 random bits). A file holds `name digest role` lines,
with the key's terms behind (`key_terms`); the API_KEYS setting holds the keys themselves, each as `name:role:key`; one
without a name is named after its digest. A name is one key's. Whatever has no role is an admin's until the next
version: so were all keys before there were roles.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from src import key_terms
from src.installation import command
from src.key_terms import Terms
from src.settings import SecuritySettings, SettingsError

# inference and what it made; everything; `/metrics` alone
Role = Literal["user", "admin", "metrics"]
ROLES: tuple[Role, ...] = get_args(Role)
_ROLE_NAMES = "user, admin or metrics"

PREFIX = "sk-stoker-"
SECRET_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
# a key shorter than this can be guessed; `run.py key new` makes 53 characters
_LEAST_LENGTH = 16
_MOST_LENGTH = 512
_ALONE_S, _LOOK_AGAIN_S = 10.0, 0.02
# hexadecimal digits of its digest in the name of a key that was given none
_DIGITS_IN_NAME = 8


@dataclass(frozen=True)
class Key:
    """What is known of a key. `assumed`: its role is not written down; it is `admin`, but sees no other keys' work."""

    name: str
    role: Role
    assumed: bool = False
    terms: Terms = key_terms.NONE


@dataclass(frozen=True)
class KeyRing:
    """Who may ask: digest → key. Empty means that nobody needs a key."""

    keys: dict[bytes, Key]

    def __bool__(self) -> bool:
        return bool(self.keys)

    def find(self, presented: bytes) -> Key | None:
        """Whose key this is. Every digest is compared, so that the time taken tells nothing."""
        found, given = None, hashlib.sha256(presented[:_MOST_LENGTH]).digest()
        for digest, key in self.keys.items():
            if hmac.compare_digest(digest, given):
                found = key
        return found

    @property
    def names(self) -> list[str]:
        return sorted({key.name for key in self.keys.values()})

    @property
    def without_role(self) -> list[str]:
        return sorted({key.name for key in self.keys.values() if key.assumed})


def load(settings: SecuritySettings) -> KeyRing:
    """The keys of both settings.

    Raises:
        SettingsError: with every problem; no key is repeated in it.
    """
    ring: dict[bytes, Key] = {}
    problems: list[str] = []
    for at, entry in enumerate(filter(None, map(str.strip, settings.api_keys.split(","))), 1):
        problems += _add_setting(ring, f"API_KEYS: key {at}", entry)
    if settings.api_keys_path is not None:
        problems += _read(settings.api_keys_path, ring)
    if problems:
        raise SettingsError(problems)
    return KeyRing(ring)


def _add_setting(ring: dict[bytes, Key], where: str, entry: str) -> list[str]:
    label, _, key = entry.rpartition(":")
    name, _, role = label.partition(":")
    digest = hashlib.sha256(key.encode()).digest()
    name = (
        name or f"key-{digest.hex()[:_DIGITS_IN_NAME]}"
    )  # a position would be the next key's once this one is removed
    return [*_problems(where, name, role, key), *_add(ring, where, digest, _with_role(name, role))]


def _add(ring: dict[bytes, Key], where: str, digest: bytes, key: Key) -> list[str]:
    """A name owns what was made under it, so that it is one key's; and a key has one name and role."""
    if ring.get(digest, key) != key:
        return [f"{where}: the key is listed before, with another name or role; keep one of them"]
    if any(other.name == key.name for known, other in ring.items() if known != digest):
        return [
            f"{where}: the name {key.name!r} is another key's; a name owns its jobs and responses, so give it another"
        ]
    ring[digest] = key
    return []


def _with_role(name: str, role: str) -> Key:
    known = next((one for one in ROLES if one == role), None)
    return Key(name, "admin", assumed=True) if known is None else Key(name, known)


def create(name: str, role: Role = "user", terms: Terms = key_terms.NONE) -> tuple[str, str]:
    """A new key, and the line that stands for it in the file.

    Raises:
        ValueError: the name would not do.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a key's name is 1 to 32 letters, digits, '.', '_' or '-'")
    key = PREFIX + secrets.token_urlsafe(32)
    return key, _line(name, hashlib.sha256(key.encode()).hexdigest(), role, terms)


def _line(name: str, digest: str, role: str, terms: Terms) -> str:
    return " ".join(filter(None, (name, digest, role, key_terms.written(terms)))) + "\n"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody else who asks so changes the file. What is locked lies beside it: an empty file of keys would be one that
    asks nobody for a key.

    Raises:
        OSError: it cannot be locked, or another command has held it for long.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + _ALONE_S
    with os.fdopen(os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600), "r+b") as lock:
        while not _locked(lock):
            if time.monotonic() >= until:
                raise OSError(f"{path} is being changed by another command")
            time.sleep(_LOOK_AGAIN_S)
        yield


def _locked(lock: BinaryIO) -> bool:
    """Whether it is held by nobody else."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def append(path: Path, line: str) -> None:
    """Add a key's line to the file."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        whole = not size or os.pread(file.fileno(), 1, size - 1) == b"\n"  # an editor may leave a last line open
        file.write((line if whole else f"\n{line}").encode("ascii"))


def remove(path: Path, name: str) -> None:
    """Take a name's line out of the file, which is replaced whole.

    Raises:
        ValueError: the file has no such name.
        OSError: it cannot be read or written.
    """
    _rewrite(path, name, lambda _: "")


def change(path: Path, name: str, make: Callable[[Key], Key]) -> Key:
    """Give a name's line another role or terms; returns what is known of the key now.

    Raises:
        ValueError: the file has no such name, or its line is wrong.
        OSError: it cannot be read or written.
    """
    made: list[Key] = []

    def changed(line: str) -> str:
        text, mark, comment = line.rstrip("\n").partition("#")
        entry = text.split()
        made.append(make(_key_of(entry)))
        new = _line(name, entry[1], "" if made[0].assumed else made[0].role, made[0].terms)
        return f"{new.rstrip()} {mark}{comment}\n" if mark else new

    _rewrite(path, name, changed)
    return made[0]


def _rewrite(path: Path, name: str, change: Callable[[str], str]) -> None:
    with alone(path):
        _replace(path, name, change)


def _replace(path: Path, name: str, change: Callable[[str], str]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    found = [line.split()[:1] == [name] for line in lines]
    if not any(found):
        raise ValueError(f"{path} has no key named {name!r}; one in API_KEYS is changed there.")
    kept = [change(line) if is_it else line for line, is_it in zip(lines, found, strict=True)]
    info, partial = path.stat(), path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.writelines(kept)
    os.chown(partial, info.st_uid, info.st_gid)
    partial.chmod(stat.S_IMODE(info.st_mode))
    partial.rename(path)


def lasting_secret(path: Path) -> bytes:
    """Random bytes that are the same for every process and after every restart, in a file of its owner's alone.

    Raises:
        OSError: it can be neither read nor made, or is not what was made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, made = tempfile.mkstemp(dir=path.parent)  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
        with suppress(FileExistsError):
            os.link(made, path)  # whole or not at all, and never over another's
    finally:
        Path(made).unlink()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        info, found = os.fstat(file.fileno()), file.read(SECRET_BYTES + 1)
    if info.st_uid != os.getuid() or info.st_mode & 0o077 or len(found) != SECRET_BYTES:
        raise OSError(f"{path} is damaged, or others could read or change it; delete it")
    return found


def exposure(host: str, settings: SecuritySettings) -> str | None:
    """Why nobody may listen on this host: it reaches beyond this machine, and anyone could ask.

    Raises:
        SettingsError: the keys cannot be read.
    """
    if load(settings) or settings.allow_unauthenticated or is_loopback(host):
        return None
    return f"HOST: {host or '*'} is open to other machines, and no API key is set (API_KEYS or API_KEYS_FILE; \
`{command('key new NAME')}` makes one); ALLOW_UNAUTHENTICATED=true serves everyone"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _problems(where: str, name: str, role: str, key: str) -> list[str]:
    problems = []
    if not _NAME.fullmatch(name):
        problems.append(f"{where}: its name is 1 to 32 letters, digits, '.', '_' or '-'")
    if role and role not in ROLES:
        problems.append(f"{where}: its role is {_ROLE_NAMES} (`name:role:key`)")
    if not _LEAST_LENGTH <= len(key) <= _MOST_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
        problems.append(
            f"{where}: a key is {_LEAST_LENGTH} to {_MOST_LENGTH} printable ASCII characters without spaces"
        )
    return problems


def _read(path: Path, ring: dict[bytes, Key]) -> list[str]:
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        return [f"API_KEYS_FILE: {path} cannot be read: {getattr(error, 'strerror', None) or 'no text'}"]
    problems = []
    if stat.S_IMODE(mode) & 0o027:
        problems.append(f"API_KEYS_FILE: {path} is open to others; chmod 600 {path}")
    for at, line in enumerate(lines, 1):
        entry = line.partition("#")[0].split()
        if not entry:
            continue
        try:
            key = _key_of(entry)
        except ValueError as error:
            problems.append(f"API_KEYS_FILE: line {at}: {error}")
        else:
            problems += _add(ring, f"API_KEYS_FILE: line {at}", bytes.fromhex(entry[1]), key)
    return problems


def _key_of(entry: list[str]) -> Key:
    """A line of the file.

    Raises:
        ValueError: with what is wrong with it.
    """
    form = (
        f"it is not `name sha256-digest role` (the role is {_ROLE_NAMES}); "
        f"`{command('key new NAME --role ROLE')}` writes such lines"
    )
    if len(entry) < 2 or not _NAME.fullmatch(entry[0]) or not _DIGEST.fullmatch(entry[1]):
        raise ValueError(form)
    role, words = ("", entry[2:]) if len(entry) < 3 or "=" in entry[2] else (entry[2], entry[3:])
    if (role and role not in ROLES) or any("=" not in word for word in words):
        raise ValueError(form)
    return replace(_with_role(entry[0], role), terms=key_terms.parse(words))
