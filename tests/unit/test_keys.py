"""API keys on disk and in settings: made, read, refused."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from src import cli, key_terms, keys
from src.commands import start
from src.commands.key import new_key
from src.errors import ExitCode
from src.key_terms import Terms
from src.keys import Key, Role
from src.settings import SecuritySettings, SettingsError, load
from tests.conftest import MakeSettings


def test_a_new_key_opens_and_only_its_digest_is_kept(tmp_path: Path) -> None:
    """What `create` gives is found by `owner`; the file, readable by its owner alone, does not hold it."""
    path = tmp_path / "deep" / "keys"
    made = {name: keys.create(name) for name in ("alice", "bob")}
    for _, line in made.values():
        with keys.alone(path):
            keys.append(path, line)
    ring = keys.load(SecuritySettings(api_keys_file=path, api_keys="carol:metrics:sk-0123456789abcdef"))
    assert {name: ring.find(key.encode()) for name, (key, _) in made.items()} == {
        name: Key(name, "user") for name in ("alice", "bob")
    }
    assert ring.find(b"sk-0123456789abcdef") == Key("carol", "metrics")
    assert ring.find(b"") is None
    assert ring.find("ключ".encode()) is None
    assert path.stat().st_mode & 0o777 == 0o600
    assert not [key for key, _ in made.values() if key in path.read_text()]
    assert len(made["alice"][0]) > 50


@pytest.mark.parametrize(
    ("text", "mode", "problem"),
    [
        ("alice sk-plain-key\n", 0o600, "line 1: it is not"),
        ("alice " + "0" * 64 + " root\n", 0o600, "line 1: it is not"),
        ("alice " + "0" * 64 + " user admin\n", 0o600, "line 1: it is not"),
        ("alice " + "0" * 64 + " user expires=soon\n", 0o600, "line 1: `expires` is a UTC time"),
        ("alice " + "0" * 64 + " user expire=2027-01-31\n", 0o600, "line 1: behind the role stand"),
        (
            "alice " + "0" * 64 + " user pages_per_day=1 pages_per_day=2\n",
            0o600,
            "line 1: `pages_per_day=` is there twice",
        ),
        ("alice " + "0" * 64 + " user tokens_per_day=-5\n", 0o600, "line 1: `tokens_per_day` is a whole number"),
        ("# me\n\nalice " + "0" * 63 + "\n", 0o600, "line 3: it is not"),
        (f"alice {hashlib.sha256(b'x').hexdigest()}\n", 0o644, "chmod 600"),
    ],
)
def test_a_bad_file_of_keys_says_where(tmp_path: Path, text: str, mode: int, problem: str) -> None:
    """Plain keys, broken digests and files open to others stop the start; the text of a line is not repeated."""
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(mode)
    with pytest.raises(SettingsError, match=problem) as caught:
        keys.load(SecuritySettings(api_keys_file=path))
    assert "sk-plain" not in str(caught.value)


def test_what_has_no_role_is_an_admins_for_one_version(tmp_path: Path) -> None:
    """Old files and settings go on as they did, are named as such, and written roles are not assumed."""
    path = tmp_path / "keys"
    keys.append(path, f"alice {hashlib.sha256(b'a' * 20).hexdigest()}\n")
    keys.append(path, f"bob {hashlib.sha256(b'b' * 20).hexdigest()} admin\n")
    ring = keys.load(SecuritySettings(api_keys_file=path, api_keys=f"{'c' * 20},dora:{'d' * 20}"))
    found = {text: ring.find(text.encode() * 20) for text in "abcd"}
    assert found == {
        "a": Key("alice", "admin", assumed=True),
        "b": Key("bob", "admin"),
        "c": Key(_named_by_digest("c" * 20), "admin", assumed=True),
        "d": Key("dora", "admin", assumed=True),
    }
    assert ring.without_role == ["alice", "dora", _named_by_digest("c" * 20)]


def _named_by_digest(key: str) -> str:
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def test_a_key_without_a_name_keeps_its_owner_when_another_is_removed() -> None:
    """A position would hand the first key's jobs and salt to the second."""
    first, second = "a" * 20, "b" * 20
    both = keys.load(SecuritySettings(api_keys=f"{first},{second}"))
    one = keys.load(SecuritySettings(api_keys=second))
    assert both.find(second.encode()) == one.find(second.encode())
    assert both.names == sorted(map(_named_by_digest, (first, second)))


def test_a_name_is_one_keys(tmp_path: Path) -> None:
    """Two keys of one name would be one owner; the same in both places is one key. The text of a key is not told."""
    path, digest = tmp_path / "keys", hashlib.sha256(b"a" * 20).hexdigest()
    keys.append(path, f"alice {digest} user\n")
    same = keys.load(SecuritySettings(api_keys_file=path, api_keys=f"alice:user:{'a' * 20}"))
    assert same.names == ["alice"]
    for entry, problem in [(f"alice:user:{'b' * 20}", "'alice' is another key's"), ("bob:user:" + "a" * 20, "before")]:
        with pytest.raises(SettingsError, match=problem) as caught:
            keys.load(SecuritySettings(api_keys_file=path, api_keys=entry))
        assert entry.rpartition(":")[2] not in str(caught.value)
        assert "API_KEYS_FILE: line 1" in str(caught.value)


def test_key_new_refuses_a_name_there_is(
    make_settings: MakeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would stop the next start."""
    settings = make_settings(api_keys_file=tmp_path / "keys", api_keys=f"carol:user:{'c' * 20}")
    assert new_key("laptop", settings) == ExitCode.OK
    for taken in ("laptop", "carol"):
        assert new_key(taken, settings) == ExitCode.FAILURE
        assert f"{taken!r} is another key's" in capsys.readouterr().err
    assert keys.load(settings).names == ["carol", "laptop"]


@pytest.mark.parametrize(
    "text",
    [
        "alice:root:sk-0123456789abcdef",
        "alice:admin:x:sk-0123456789abcdef",
        "short",
        "a b:sk-0123456789abcdef",
        "alice:sk-0123456789é234567",
        "alice:" + "x" * 600,
    ],
)
def test_bad_keys_in_the_settings_are_refused_unseen(text: str) -> None:
    """A key that could be guessed or not be sent is a problem, told without the key."""
    with pytest.raises(SettingsError, match="API_KEYS: key 1") as caught:
        keys.load(SecuritySettings(api_keys=text))
    assert text.rpartition(":")[2] not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "settings", "exposed"),
    [
        ("127.0.0.1", {}, False),
        ("::1", {}, False),
        ("localhost", {}, False),
        ("unix:/run/stoker/web.sock", {}, False),
        ("0.0.0.0", {}, True),
        ("::", {}, True),
        ("", {}, True),
        ("192.168.1.4", {}, True),
        ("mac.local", {}, True),
        ("0.0.0.0", {"api_keys": "sk-0123456789abcdef"}, False),
        ("0.0.0.0", {"allow_unauthenticated": True}, False),
    ],
)
def test_nobody_listens_beyond_this_machine_without_a_key(
    host: str, settings: dict[str, object], exposed: bool
) -> None:
    """Outside loopback the service wants a key, or to be told that everyone may ask."""
    assert (keys.exposure(host, SecuritySettings(**settings)) is not None) == exposed


def test_the_start_is_refused_beyond_loopback(make_settings: MakeSettings, capsys: pytest.CaptureFixture[str]) -> None:
    """`run.py --mode prod` on 0.0.0.0 without a key exits with CONFIG and says what to do."""
    assert start.start("prod", make_settings(host="0.0.0.0")) == ExitCode.CONFIG
    assert "run.py key new" in capsys.readouterr().err


def test_key_new_prints_the_key_once(
    make_settings: MakeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key alone goes to standard output, so that a script can take it; a bad name is refused."""
    settings = make_settings(api_keys_file=tmp_path / "keys")
    assert new_key("laptop", settings) == ExitCode.OK
    key = capsys.readouterr().out.strip()
    assert keys.load(settings).find(key.encode()) == Key("laptop", "user")
    assert new_key("no spaces", settings) == ExitCode.FAILURE


@pytest.mark.parametrize("role", keys.ROLES)
def test_key_new_writes_the_role(
    role: Role, make_settings: MakeSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--role` is in the line of the file, and is what the key may do; without it a key is a user's."""
    settings = make_settings(api_keys_file=tmp_path / "keys")
    options = cli.make_parser().parse_args(["key", "new", "laptop", "--role", role])
    assert new_key(options.name, settings, options.role) == ExitCode.OK
    assert keys.load(settings).find(capsys.readouterr().out.strip().encode()) == Key("laptop", role)
    assert new_key("other", settings) == ExitCode.OK
    assert keys.load(settings).find(capsys.readouterr().out.strip().encode()) == Key("other", "user")


def test_systemd_credentials_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without API_KEYS_FILE, the credential `api_keys` that systemd hands over is the file."""
    key, line = keys.create("vault")
    keys.append(tmp_path / "api_keys", line)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert keys.load(load()).find(key.encode()) == Key("vault", "user")


def test_a_lasting_secret_is_everyones_and_nobody_elses(tmp_path: Path) -> None:
    """Made once, whoever comes first; readable by its owner alone, as is a folder made for it; nothing is left over."""
    path = tmp_path / "folder" / "secret"
    with ThreadPoolExecutor(8) as crowd:
        found = set(crowd.map(lambda _: keys.lasting_secret(path), range(32)))
    assert found == {path.read_bytes()}
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [each.name for each in path.parent.iterdir()] == ["secret"]
    path.write_bytes(b"")
    with pytest.raises(OSError, match="damaged"):
        keys.lasting_secret(path)


def test_a_secret_that_others_know_is_none(tmp_path: Path) -> None:
    """One that was open to others, or lies where somebody's link leads, is not taken."""
    made, link = tmp_path / "secret", tmp_path / "link"
    secret = keys.lasting_secret(made)
    link.symlink_to(made)
    with pytest.raises(OSError, match="link"):
        keys.lasting_secret(link)
    made.chmod(0o640)
    with pytest.raises(OSError, match="others"):
        keys.lasting_secret(made)
    made.chmod(0o600)
    assert keys.lasting_secret(made) == secret


def test_a_secret_is_in_no_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that are wrong are listed with their values, keys and URLs without."""
    monkeypatch.setenv("PORT", "99999")
    monkeypatch.setenv("API_KEYS", "sk-secret-0123456789")
    with pytest.raises(SettingsError, match="PORT") as caught:
        load()
    assert "sk-secret" not in str(caught.value)


def test_keys_are_listed_and_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names and roles of both settings; the file keeps its other lines and its mode; a name that is none is said."""
    path = tmp_path / "keys"
    monkeypatch.setenv("API_KEYS_FILE", str(path))
    monkeypatch.setenv("API_KEYS", "carol:metrics:sk-0123456789abcdef")
    for name in ("alice", "bob"):
        assert cli.main(["key", "new", name]) == ExitCode.OK
    capsys.readouterr()
    assert cli.main(["key", "list"]) == ExitCode.OK
    shown = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert shown == [
        [name, role, "-", "-", "-", "never"]
        for name, role in (("alice", "user"), ("bob", "user"), ("carol", "metrics"))
    ]
    assert cli.main(["key", "revoke", "alice"]) == ExitCode.OK
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["bob"]
    assert path.stat().st_mode & 0o777 == 0o600
    for arguments in (["revoke", "alice"], ["revoke", "carol"], ["revoke"], ["new"]):
        assert cli.main(["key", *arguments]) == ExitCode.FAILURE


def test_a_key_gets_terms_and_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`key new` writes expiry and budgets, `key set` changes what it is told and nothing else, comments included."""
    path = tmp_path / "keys"
    monkeypatch.setenv("API_KEYS_FILE", str(path))
    assert cli.main(["key", "new", "app", "--expires", "2099-01-31", "--tokens-per-day", "5000"]) == ExitCode.OK
    key = capsys.readouterr().out.strip().encode()
    path.write_text(path.read_text().replace("\n", "  # the shop\n"))
    terms = Terms(4073500800.0, 5000)
    assert keys.load(SecuritySettings(api_keys_file=path)).find(key) == Key("app", "user", terms=terms)
    assert cli.main(["key", "set", "app", "--pages-per-day", "7", "--role", "admin"]) == ExitCode.OK
    assert cli.main(["key", "set", "app", "--expires", "never", "--tokens-per-day", "default"]) == ExitCode.OK
    assert keys.load(SecuritySettings(api_keys_file=path)).find(key) == Key("app", "admin", terms=Terms(None, None, 7))
    assert path.read_text().endswith(" admin pages_per_day=7 # the shop\n")
    assert path.stat().st_mode & 0o777 == 0o600
    for wrong in (["--expires", "2001-01-01"], ["--expires", "soon"], ["--tokens-per-day", "many"]):
        assert cli.main(["key", "set", "app", *wrong]) == ExitCode.FAILURE
    assert cli.main(["key", "set", "nobody", "--role", "user"]) == ExitCode.FAILURE


@pytest.mark.parametrize(
    ("text", "at"), [("12h", 43_200.0), ("90d", 7_776_000.0), ("1970-01-02", 86_400.0), ("never", None)]
)
def test_an_expiry_is_a_time_or_a_span(text: str, at: float | None) -> None:
    assert key_terms.expiry(text, 0.0) == at


def test_a_key_behind_a_line_that_was_left_open(tmp_path: Path) -> None:
    """An editor may leave the last line without its end: two keys on one line would be none."""
    path = tmp_path / "keys"
    made = [keys.create(name) for name in ("alice", "bob")]
    keys.append(path, made[0][1].rstrip())
    keys.append(path, made[1][1])
    assert keys.load(SecuritySettings(api_keys_file=path)).names == ["alice", "bob"]


def test_commands_at_once_lose_no_line(tmp_path: Path, make_settings: MakeSettings) -> None:
    """Some add a key, some take one out, which replaces the file."""
    path = tmp_path / "api_keys"
    settings = make_settings(api_keys_file=path)
    for at in range(8):
        keys.append(path, keys.create(f"old{at}")[1])
    with ThreadPoolExecutor(16) as pool:
        made = [pool.submit(new_key, f"new{at}", settings) for at in range(8)]
        gone = [pool.submit(keys.remove, path, f"old{at}") for at in range(8)]
        twice = [pool.submit(new_key, "one", settings) for _ in range(4)]
        for each in gone:
            each.result()
    assert [each.result() for each in made] == [ExitCode.OK] * 8
    assert sorted(each.result() for each in twice) == [ExitCode.OK] + [ExitCode.FAILURE] * 3
    names = sorted(line.split()[0] for line in path.read_text().splitlines())
    assert names == [*(f"new{at}" for at in range(8)), "one"]


def test_a_file_that_another_command_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_ALONE_S", 0.1)
    path = tmp_path / "api_keys"
    with keys.alone(path), pytest.raises(OSError, match="is being changed by another command"):
        keys.remove(path, "any")


@pytest.mark.parametrize("name", ["bad name", "taken"])
def test_a_refused_key_leaves_no_file(name: str, tmp_path: Path, make_settings: MakeSettings) -> None:
    """An empty one would ask nobody for a key."""
    path = tmp_path / "api_keys"
    settings = make_settings(api_keys="taken:user:sk-0123456789abcdef", api_keys_file=path)
    assert new_key(name, settings) == ExitCode.FAILURE
    assert not path.exists()
