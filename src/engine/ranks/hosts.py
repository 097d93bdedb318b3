"""ENGINE_HOSTS as hosts: names in a list, or a hostfile of `mlx.launch`. Pure, but for the file and the resolver.

The first is this machine, and so is every other entry of the same name: several ranks may share it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from src.errors import ModelLoadFailed
from src.settings import EngineSettings, home

_LEAST = 2


@dataclass(frozen=True)
class RankHost:
    """Where a rank runs. `rdma`: of each rank, the device that reaches it (transport jaccl)."""

    name: str
    address: str
    rdma: tuple[str | None, ...] = ()


def read_hosts(settings: EngineSettings) -> tuple[RankHost, ...]:
    """The hosts by rank; none when ENGINE_HOSTS is empty.

    Raises:
        ModelLoadFailed: for a list or a hostfile that cannot be used; the text says what is wrong with it.
    """
    text = settings.engine_hosts.strip()
    if not text:
        return ()
    hosts = _from_file(home() / text) if text.endswith(".json") else tuple(map(_named, text.split(",")))
    if len(hosts) < _LEAST:
        raise ModelLoadFailed(f"ENGINE_HOSTS names {len(hosts)} rank(s); {_LEAST} or more are needed, or none.")
    if settings.engine_transport == "jaccl" and (why := _rdma_problem(hosts)) is not None:
        raise ModelLoadFailed(f"ENGINE_TRANSPORT=jaccl: {why}")
    return hosts


def is_here(host: RankHost, hosts: tuple[RankHost, ...]) -> bool:
    """Whether a rank runs on this machine, rank 0's."""
    return host.name == hosts[0].name


def _named(entry: str) -> RankHost:
    name = entry.strip()
    try:
        return RankHost(name, socket.gethostbyname(name))
    except (OSError, UnicodeError) as error:
        raise ModelLoadFailed(f"ENGINE_HOSTS: {name!r} has no address: {error}") from None


def _from_file(path: Path) -> tuple[RankHost, ...]:
    try:
        content: Any = msgspec.json.decode(path.read_bytes())
        entries = content["hosts"] if isinstance(content, dict) else content
        return tuple(RankHost(str(one["ssh"]), str(one["ips"][0]), tuple(one.get("rdma", ()))) for one in entries)
    except OSError as error:
        raise ModelLoadFailed(f"ENGINE_HOSTS: {path} cannot be read: {error}") from None
    except (msgspec.MsgspecError, LookupError, TypeError, AttributeError) as error:
        wanted = 'a list of {"ssh": name, "ips": [address], "rdma": [device, …]}'
        raise ModelLoadFailed(f"ENGINE_HOSTS: {path} is no hostfile ({wanted}): {error!r}") from None


def _rdma_problem(hosts: tuple[RankHost, ...]) -> str | None:
    for rank, host in enumerate(hosts):
        if len(host.rdma) != len(hosts):
            return f"{host.name} names {len(host.rdma)} RDMA devices for {len(hosts)} ranks in the hostfile."
        if any((device is None) != (rank == other) for other, device in enumerate(host.rdma)):
            return f"{host.name} must name a device for every rank but itself in the hostfile."
    return None
