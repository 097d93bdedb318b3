"""The models as /v1/models shows them, and where they stand; for every room that lists or moves them."""

from __future__ import annotations

import time

from msgspec import convert
from msgspec.structs import replace

from src import catalog
from src.api.edge import auth
from src.api.instances import Announced, AnnouncedModel, public_name
from src.api.openai.schemas import EmbeddingCard, InstanceModelCard, LoadOut, ModelCard
from src.api.service import service
from src.ipc.messages.status import ModelInfo, ModelStatus, SystemStatus

# how long an answer waits for a model that is ordered away; its requests may take longer
_MOVE_S = 10.0
_POLL_S = 0.05


def cards() -> tuple[ModelCard, ...]:
    """Every model that may be named, and where it stands."""
    backends = service().backends
    status = backends.status()
    return tuple(card(entry, status) for entry in backends.catalog().values())


def cards_of_all_instances() -> tuple[InstanceModelCard, ...]:
    """Those of `cards`, then what only other instances have."""
    known, shown_name = service().instances, str if auth.is_admin() else public_name
    here = [convert(one, InstanceModelCard, from_attributes=True) for one in cards()]
    found = {one.id: replace(one, instances=(shown_name(known.name),)) for one in here}
    for instance in known.others():
        for model in instance.models:
            shown = found.get(model.id) or _elsewhere(model, instance)
            found[model.id] = replace(shown, instances=(*shown.instances, shown_name(instance.name)))
    return tuple(found.values())


def _elsewhere(model: AnnouncedModel, instance: Announced) -> InstanceModelCard:
    status = instance.status.model(model.id) if instance.status is not None else None
    return InstanceModelCard(
        model.id,
        int(service().started),
        state=status.state if status is not None else "unknown",
        context_length=model.context_length,
        capabilities=model.capabilities,
    )


def seconds_left(name: str) -> float | None:
    """Until an idle model leaves the device; None if it stays."""
    status = service().backends.status()
    model = status.model(name) if status is not None else None
    if model is None or model.pinned or not model.idle_timeout_s:
        return None
    return max(0.0, model.idle_timeout_s - model.idle_s)


def settled(names: tuple[str, ...], states: set[str]) -> bool:
    """Wait a moment until these models are in one of the states; whether they are."""
    deadline = time.monotonic() + _MOVE_S
    while True:
        status = service().backends.status()
        found = [status.model(name) for name in names] if status is not None else []
        if found and all(model is None or model.state in states for model in found):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)


def card(entry: catalog.CatalogEntry, status: SystemStatus | None) -> ModelCard:
    created = int(service().started)
    aliases = tuple(name for name, model in catalog.aliases(service().settings.model_aliases) if model == entry.name)
    model = status.model(entry.name) if status is not None else None
    if status is None or model is None:
        return ModelCard(
            entry.name, created, context_length=entry.context_length, capabilities=entry.capabilities, aliases=aliases
        )
    child = status.child(model.child)
    health = child.health if child is not None else None
    loaded = health.model if health is not None else None
    vectors = _vectors(loaded)
    return ModelCard(
        entry.name,
        created,
        state=model.state,
        detail=model.detail if auth.is_admin() else None,  # it may name paths
        size_bytes=model.size_bytes or None,
        context_length=loaded.context_length if loaded is not None else entry.context_length,
        aliases=aliases,
        capabilities=_capabilities(entry, loaded, vectors),
        parameters=loaded.parameters if loaded is not None else None,
        engine=health.engine if health is not None else None,
        family=loaded.family if loaded is not None else None,
        reasoning=loaded.reasoning if loaded is not None else None,
        tools=loaded.tools if loaded is not None else None,
        batches=loaded.batches if loaded is not None else None,
        embeddings=vectors,
        pinned=model.pinned,
        running=model.running,
        waiting=model.waiting,
        idle_seconds=model.idle_s if model.state in ("gpu", "cpu") else None,
        progress=_progress(model),
    )


def _vectors(loaded: ModelInfo | None) -> EmbeddingCard | None:
    if loaded is None or not loaded.embedding_size or loaded.kind == "rerank":
        return None
    if loaded.kind == "chat":
        return EmbeddingCard(loaded.embedding_size)
    pooling = f"{loaded.pooling}{', normalised' if loaded.normalizes else ''}"
    return EmbeddingCard(loaded.embedding_size, pooling, "embedding model", loaded.prompts)


def _capabilities(
    entry: catalog.CatalogEntry, loaded: ModelInfo | None, vectors: EmbeddingCard | None
) -> tuple[str, ...]:
    """By its files, and what its engine says."""
    known: tuple[str, ...] = entry.capabilities
    if loaded is not None and loaded.reads_images is not None:
        known = tuple(one for one in known if one != "vision") + ("vision",) * loaded.reads_images
    return known if vectors is None or "embeddings" in known else (*known, "embeddings")


def _progress(model: ModelStatus) -> LoadOut | None:
    found = model.progress
    return None if found is None else LoadOut(found.done_bytes, found.total_bytes, found.seconds, found.eta_s)
