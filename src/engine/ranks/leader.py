"""Loads a model over the ranks of ENGINE_HOSTS, in the engine process, which is rank 0. Owner thread.

First every rank says what it has; only where all have the same files and the same MLX do they join and load.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any, NoReturn

from loguru import logger

from src import logs
from src.engine import checkpoint
from src.engine.progress import LoadMeter
from src.engine.ranks import link
from src.engine.ranks.backend import RankedBackend
from src.engine.ranks.followers import Followers
from src.engine.ranks.hosts import RankHost
from src.errors import ExitCode, ModelLoadFailed
from src.ipc.messages.ranks import JoinRanks, RankPrepared
from src.settings import Settings


def load(
    model: str, settings: Settings, hosts: tuple[RankHost, ...], blas: str | None, progress: LoadMeter
) -> RankedBackend:
    """Load a model over these hosts. Raises as `lm.load_lm`, and ModelLoadFailed for a host that cannot take part."""
    followers = Followers.start(hosts, settings.engine_launcher)
    try:
        order, *others = _prepare(model, settings, hosts, followers)
        followers.join(others, _end_engine)
        progress.step()
        from src.engine.mlx.ranked import load_ranked

        with link.applied(order):
            own = load_ranked(model, settings, blas, progress, order.ranks_here)
    except BaseException:
        followers.close()
        raise
    followers.loading = False
    logs.model.info("{}: {} ranks on {}", model, len(hosts), ", ".join(host.name for host in hosts))
    return RankedBackend(own, followers, len(hosts))


def check(model: str, settings: Settings, hosts: tuple[RankHost, ...]) -> str:
    """What `run.py check` says of the hosts, of which each has answered. Raises ModelLoadFailed for one that cannot."""
    followers = Followers.start(hosts, settings.engine_launcher, quiet=True)
    try:
        _prepare(model, settings, hosts, followers)
    finally:
        followers.close()
    names = ", ".join(host.name for host in hosts)
    return f"{len(hosts)} on {names} ({settings.engine_parallel}, {settings.engine_transport}): same MLX, same files"


def _prepare(model: str, settings: Settings, hosts: tuple[RankHost, ...], followers: Followers) -> list[JoinRanks]:
    """What each rank is told, rank 0 first."""
    folder = checkpoint.locate(model, settings.models_path)
    if (why := why_indivisible(checkpoint.read_config(folder), settings.engine_parallel, len(hosts))) is not None:
        raise ModelLoadFailed(f"The model {model!r} cannot be divided over {len(hosts)} ranks (ENGINE_HOSTS): {why}")
    port = link.free_port(hosts[0].address, settings.engine_ports, 0, len(hosts))
    own = RankPrepared(version("mlx"), link.fingerprint(folder), port)
    others = followers.prepare(model, settings)
    for host, each in zip(hosts[1:], others, strict=True):
        if (problem := difference(model, own, each)) is not None:
            raise ModelLoadFailed(f"{host.name} of ENGINE_HOSTS cannot take part: {problem}")
    return link.orders(hosts, [own.port, *(each.port for each in others)], settings.engine_transport)


def why_indivisible(config: dict[str, Any], parallel: str, ranks: int) -> str | None:
    """What of a configuration does not come out even; a missing number tells nothing."""
    if parallel == "pipeline":
        layers = config.get("num_hidden_layers")
        return f"it has {layers} layers." if isinstance(layers, int) and layers < ranks else None
    for name in ("num_attention_heads", "num_key_value_heads"):
        count = config.get(name)
        if isinstance(count, int) and count % ranks:
            return f"{name} is {count}, which {ranks} does not divide."
    return None


def difference(model: str, own: RankPrepared, other: RankPrepared) -> str | None:
    """Why a rank cannot compute beside this one, in an operator's words."""
    if other.problem is not None:
        return other.problem
    if other.mlx_version != own.mlx_version:
        return f"it has MLX {other.mlx_version}, this machine {own.mlx_version}. Install the same version on both."
    if other.files != own.files:
        return f"its files of {model!r} are others. Copy the model's folder from this machine."
    return None


def _end_engine(why: str) -> NoReturn:
    """What is computed without a rank is never finished: the engine is replaced, and requests go on there."""
    logs.model.error("{}: exiting for a restart", why)
    logger.complete()
    os._exit(ExitCode.ENGINE_FAULT)
