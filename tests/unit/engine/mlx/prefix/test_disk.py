"""The prefix cache's files: named by what they depend on, whole or not there, the longest unused gone first."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from src.engine.mlx.prefix import disk as module
from src.engine.mlx.prefix.blockfile import BLOCK, Array, Buffer, Damaged, names, pack, unpack
from src.engine.mlx.prefix.disk import Disk, Kept, fingerprint, victims
from src.settings import ROOT

LIMIT = 1 << 20
WAIT_S = 10.0
MODEL, OTHER = "0" * 32, "1" * 32
ARRAYS = {
    "0.0": Array("BF16", (1, 2, BLOCK, 4), bytes(range(256)) * 4),
    "0.1.0": Array("U32", (1, 2, BLOCK, 1), bytes(8 * BLOCK)),
}
PROMPT = [n * 37 % 1000 for n in range(3 * BLOCK + 5)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with closing(Disk(tmp_path / "kept", MODEL, LIMIT)) as opened:
        yield opened


def write(into: Disk, *blocks: str) -> None:
    for name in blocks:
        assert into.write(name, lambda: ARRAYS)
    assert into.flush(WAIT_S)


def files(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "kept").rglob("*") if path.is_file())


# ---- names


def test_a_block_is_named_by_all_tokens_before_its_end() -> None:
    """Two prompts share the names of what they share, whole blocks alone; what follows a difference differs."""
    other = [*PROMPT[:BLOCK], 5, *PROMPT[BLOCK + 1 :]]
    mine, theirs = list(names("", PROMPT)), list(names("", other))
    assert len(mine) == len(theirs) == 3
    assert mine[0] == theirs[0]
    assert not set(mine[1:]) & set(theirs[1:])
    assert list(names("", PROMPT[: 2 * BLOCK - 1])) == mine[:1]


def test_salts_share_no_name() -> None:
    assert not set(names("alice", PROMPT)) & set(names("bob", PROMPT))


# ---- the file


def test_a_file_is_what_was_written() -> None:
    found = unpack("name", b"".join(pack("name", ARRAYS)))
    assert {key: (each.dtype, each.shape, bytes(each.data)) for key, each in found.items()} == {
        key: (each.dtype, each.shape, each.data) for key, each in ARRAYS.items()
    }


def test_any_library_of_the_format_reads_it(tmp_path: Path) -> None:
    """It is safetensors, as its name would say if it had one."""
    from safetensors import safe_open

    (tmp_path / "file").write_bytes(b"".join(pack("name", {"0.0": Array("F32", (2,), bytes(8))})))
    with safe_open(tmp_path / "file", framework="np") as opened:
        assert opened.get_tensor("0.0").tolist() == [0.0, 0.0]
        assert opened.metadata()["block"] == "name"


def test_every_damaged_byte_is_noticed() -> None:
    """Each byte of the file turned, one after another, and the file cut at every length."""
    whole = b"".join(pack("name", {"0.0": Array("F32", (2, 3), bytes(range(24)))}))
    for at in range(len(whole)):
        turned = whole[:at] + bytes((whole[at] ^ 0xFF,)) + whole[at + 1 :]
        with pytest.raises(Damaged):
            unpack("name", turned)
        with pytest.raises(Damaged):
            unpack("name", whole[:at])


@pytest.mark.parametrize("change", [{"format": "0"}, {"block": "other"}])
def test_another_version_or_block_is_refused(change: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    if "format" in change:
        monkeypatch.setattr("src.engine.mlx.prefix.blockfile.FORMAT", 0)
    whole = b"".join(pack(change.get("block", "name"), ARRAYS))
    monkeypatch.undo()
    with pytest.raises(Damaged):
        unpack("name", whole)


# ---- the folder


def test_what_is_written_is_there_for_the_next(disk: Disk, tmp_path: Path) -> None:
    """Another engine over the same folder, whenever it started, sees a block as soon as it is whole."""
    with closing(Disk(tmp_path / "kept", MODEL, LIMIT)) as successor:
        assert not successor.has("a")
        write(disk, "a")
        assert successor.has("a")
        (found,) = successor.read(iter(["a", "b"]))
        assert bytes(found["0.0"].data) == ARRAYS["0.0"].data
        write(successor, "a", "b")
    assert disk.has("b")


def test_models_share_nothing_but_the_limit(disk: Disk, tmp_path: Path) -> None:
    write(disk, "a")
    with closing(Disk(tmp_path / "kept", OTHER, LIMIT)) as other:
        assert (other.has("a"), list(other.read(iter("a")))) == (False, [])


def test_nobody_else_can_read_it(disk: Disk, tmp_path: Path) -> None:
    """Folders 0700, files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        write(disk, "a")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "kept", tmp_path / "kept" / MODEL)}
    assert modes == {0o700}
    assert [stat.S_IMODE(path.stat().st_mode) for path in files(tmp_path)] == [0o600]


def test_a_link_is_not_taken_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="not a directory"):
        Disk(tmp_path / "link", MODEL, LIMIT)


def test_what_is_damaged_is_deleted_with_what_is_behind_it(disk: Disk, tmp_path: Path) -> None:
    """The blocks before it are used; a file in another block's place is damaged, too."""
    folder = tmp_path / "kept" / MODEL
    write(disk, *"abcd")
    (folder / "c").write_bytes(b"nonsense")
    assert len(list(disk.read(iter("abcd")))) == 2
    assert [path.name for path in files(tmp_path)] == ["a", "b"]
    (folder / "b").replace(folder / "x")
    assert list(disk.read(iter("x"))) == []
    assert [path.name for path in files(tmp_path)] == ["a"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
def test_a_disk_that_is_full_costs_nothing_but_time(
    error: Exception, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that cannot be written is not there, leaves nothing, and the next is tried again."""

    def full(*_: object) -> list[bytes]:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(module, "pack", full)
        write(disk, "a")
    assert (disk.has("a"), files(tmp_path)) == (False, [])
    write(disk, "a")
    assert disk.has("a")


def test_a_folder_that_was_emptied_is_made_again(disk: Disk, tmp_path: Path) -> None:
    """An operator may delete the whole at any time."""
    write(disk, "a")
    for path in files(tmp_path):
        path.unlink()
    (tmp_path / "kept" / MODEL).rmdir()
    assert (disk.has("a"), list(disk.read(iter("a")))) == (False, [])
    write(disk, "a")
    assert disk.has("a")


def test_a_disk_that_is_behind_takes_no_more(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits to be written is bounded, and nothing is copied for what is refused."""
    goes_on = threading.Event()

    def slow(name: str, arrays: dict[str, Array]) -> list[Buffer]:
        assert goes_on.wait(WAIT_S)
        return pack(name, arrays)

    def refused() -> dict[str, Array]:
        raise AssertionError("it was copied")

    monkeypatch.setattr(module, "pack", slow)
    monkeypatch.setattr(module, "_BACKLOG_BYTES", 1000)
    assert disk.write("a", lambda: ARRAYS)
    assert disk.has("a")  # it is on its way: nobody need offer it again
    assert not disk.write("b", refused)
    goes_on.set()
    assert disk.flush(WAIT_S)
    write(disk, "b")
    assert disk.has("b")


# ---- what goes


def kept(path: str, size: int, used_s: float) -> Kept:
    return Kept(path, size, int(used_s * 1e9))


def gone(*found: Kept, limit: int) -> list[str]:
    return [each.path for each in victims(found, limit, now_ns=int(10_000e9))]


def test_the_longest_unused_goes_first() -> None:
    """As many as it takes, and no more, whichever model they are of."""
    three = [kept("b/new", 10, 9999), kept("a/old", 10, 1), kept("a/middle", 10, 50)]
    assert gone(*three, limit=30) == []
    assert gone(*three, limit=29) == ["a/old"]
    assert gone(*three, limit=10) == ["a/old", "a/middle"]
    assert gone(*three, limit=0) == ["a/old", "a/middle", "b/new"]


def test_what_a_killed_engine_left_goes() -> None:
    """But not what one is just writing, however full the disk is."""
    assert gone(kept("a/x.1.part", 10, 9990), kept("a/y.1.part", 10, 9), kept("a/z", 1, 10), limit=11) == ["a/y.1.part"]


def test_the_limit_holds(tmp_path: Path) -> None:
    """Far more is written than may stay; what was used meanwhile stays, its beginning before its end."""
    size = sum(map(len, pack("a", ARRAYS)))
    blocks = [f"{n:032x}" for n in range(64)]
    with closing(Disk(tmp_path / "kept", MODEL, limit_bytes=24 * size)) as small:
        for name in blocks:
            write(small, name)
            small.used(blocks[:3])
        assert small.flush(WAIT_S)
        stay = {path.name for path in files(tmp_path)}
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 24 * size
        assert small.nbytes <= 24 * size
    assert {*blocks[:3], blocks[-1]} <= stay
    assert blocks[3] not in stay


def test_the_beginning_of_a_sequence_goes_last(disk: Disk, tmp_path: Path) -> None:
    """A block without those before it is of no use."""
    write(disk, "c", "a", "b")
    disk.used(["a", "b", "c"])
    assert disk.flush(WAIT_S)
    by_use = sorted(files(tmp_path), key=lambda path: path.stat().st_mtime_ns)
    assert [path.name for path in by_use] == ["c", "b", "a"]


def test_a_new_engine_clears_what_is_too_much(tmp_path: Path) -> None:
    """A limit that was lowered holds from the start, also for what other models left."""
    with closing(Disk(tmp_path / "kept", OTHER, LIMIT)) as former:
        write(former, *[f"{n:032x}" for n in range(6)])
    size = files(tmp_path)[0].stat().st_size
    with closing(Disk(tmp_path / "kept", MODEL, 4 * size)) as fresh:
        assert fresh.flush(WAIT_S)
        assert (len(files(tmp_path)), fresh.nbytes) == (3, 3 * size)


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """A folder that was not meant for it alone keeps its mode and all else that is in it, however full it is."""
    folder = tmp_path / "kept"
    (folder / "letters").mkdir(parents=True)
    (folder / MODEL).mkdir()
    folder.chmod(0o755)
    theirs = [folder / "letters" / ("a" * 32), folder / "notes", folder / MODEL / "README"]
    for path in theirs:
        path.write_bytes(bytes(1000))
        os.utime(path, (1, 1))
    with closing(Disk(folder, MODEL, limit_bytes=1600)) as small:
        write(small, *[f"{n:032x}" for n in range(6)])
        assert small.nbytes <= 1600
    assert all(path.exists() for path in theirs)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / MODEL).stat().st_mode) == 0o700


def test_a_writer_that_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    """kill -9 while it writes as fast as it can: each file that has a block's name is a block."""
    code = f"""
import itertools, pathlib
from src.engine.mlx.prefix.blockfile import Array
from src.engine.mlx.prefix.disk import Disk
disk = Disk(pathlib.Path({str(tmp_path / "kept")!r}), {MODEL!r}, 1 << 40)
for n in itertools.count():
    disk.write(f"{{n:032x}}", lambda: {{"0.0": Array("U8", (1 << 20,), bytes(1 << 20))}})
    disk.flush({WAIT_S})
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        deadline = time.monotonic() + 3 * WAIT_S
        while len(found := files(tmp_path)) < 12 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(WAIT_S)
    found = [path for path in files(tmp_path) if path.suffix != ".part"]
    assert len(found) >= 10
    for path in found:
        assert unpack(path.name, path.read_bytes())["0.0"].shape == (1 << 20,)


# ---- whose they are


def test_another_checkpoint_has_another_fingerprint() -> None:
    """Its revision, and what the engine makes of it."""
    first = fingerprint("a", "float32")
    assert fingerprint("a", "float32") == first
    assert len({first, fingerprint("a", "float16"), fingerprint("b", "float32")}) == 3
