"""What ranks need to find each other: MLX's variables for a transport, free ports, fingerprints of model files.

Used by rank 0 and by the others before either imports MLX; variables are set for this process alone.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from src.engine.ranks.hosts import RankHost
from src.errors import ModelLoadFailed
from src.ipc.messages.ranks import JoinRanks
from src.settings import adopt

_ENDS = 1 << 20  # bytes of a large file's beginning and end that are compared
_COMPARED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt")


def orders(hosts: tuple[RankHost, ...], ports: list[int], transport: str) -> list[JoinRanks]:
    """What each rank is told; `ports` by rank."""
    if transport == "jaccl":
        devices = msgspec.json.encode([host.rdma for host in hosts]).decode()
        shared = {"MLX_JACCL_COORDINATOR": f"{hosts[0].address}:{ports[0]}"}
        files = {"MLX_IBV_DEVICES": devices}
    else:
        addresses = [[f"{host.address}:{port}"] for host, port in zip(hosts, ports, strict=True)]
        shared, files = {}, {"MLX_HOSTFILE": msgspec.json.encode(addresses).decode()}
    names = [host.name for host in hosts]
    return [
        JoinRanks(shared | {"MLX_RANK": str(rank)}, files, names.count(host.name)) for rank, host in enumerate(hosts)
    ]


@contextmanager
def applied(order: JoinRanks) -> Iterator[None]:
    """The variables are set, and their files exist, within: MLX reads both when it joins."""
    with tempfile.TemporaryDirectory(prefix="stk-ranks-") as folder:
        paths = {name: Path(folder) / name for name in order.files}
        for name, path in paths.items():
            path.write_text(order.files[name], encoding="utf-8")
        adopt(order.variables | {name: str(path) for name, path in paths.items()})
        yield


def free_port(address: str, bounds: str, rank: int, ranks: int) -> int:
    """A port that nothing listens on; of ENGINE_PORTS every so-many-th, so that ranks that look at once differ.

    Raises:
        ModelLoadFailed: all of them are taken.
    """
    low, _, high = bounds.partition("-")
    problem: OSError | str = "the range is empty"
    for port in range(int(low) + rank, int(high) + 1, ranks) if bounds else (0,):
        try:
            with socket.socket() as sock:
                sock.bind((address, port))
                return int(sock.getsockname()[1])
        except OSError as error:
            problem = error
    raise ModelLoadFailed(f"No port of ENGINE_PORTS={bounds} is free on {address}: {problem}")


def fingerprint(folder: Path) -> str:
    """Of a model's files: small ones whole, of large ones size, beginning and end: reading all would take minutes."""
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(each for pattern in _COMPARED for each in folder.glob(pattern)):
        digest.update(f"{file.name}:{file.stat().st_size}:".encode())
        digest.update(_sample(file))
    return digest.hexdigest()


def _sample(file: Path) -> bytes:
    with file.open("rb") as opened:
        first = opened.read(_ENDS)
        opened.seek(max(0, os.fstat(opened.fileno()).st_size - _ENDS))
        return first + opened.read(_ENDS)
