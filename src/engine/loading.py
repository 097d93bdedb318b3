"""Picks and loads the engine of a model. Owner thread; engines are imported only where they run."""

from __future__ import annotations

from src import catalog, logs, selection
from src.engine import checkpoint, revision
from src.engine.backend import Backend
from src.engine.calibration import CalibrationStore
from src.engine.progress import LoadMeter
from src.engine.ranks.hosts import RankHost, read_hosts
from src.engine.revision import Revision
from src.errors import ModelLoadFailed
from src.gpu import blas
from src.settings import Settings


def load(model: str, settings: Settings, progress: LoadMeter, store: CalibrationStore | None = None) -> Backend:
    """Load a model with the engine of the settings; `progress` follows its bytes, `store` has what it measured before.

    Raises:
        ModelLoadFailed: with a reason that can be shown.
    """
    if selection.select(model, settings).engine == "fake":
        from src.engine.fake import FakeBackend

        return FakeBackend(model, settings, revision=Revision.of(revision.places(model, settings.models_path)).digest)
    try:
        library = blas.preload(settings.blas_library)  # before MLX is imported: the first definition of a symbol wins
    except OSError as error:
        raise ModelLoadFailed(f"BLAS_LIBRARY cannot be loaded: {error}") from None
    if settings.engine_hosts and (what := _undivided(model, settings)) is not None:
        logs.model.warning("{}: {} are not divided over ENGINE_HOSTS; this machine serves it alone", model, what)
    if selection.model_kind(model, settings.models_path) != "chat":
        from src.engine.mlx.encoders.backend import load_encoder

        return load_encoder(model, settings, library, progress)
    if _reads_images(model, settings):
        from src.engine.mlx.vlm import load_vlm

        return load_vlm(model, settings, library, progress, store)
    if hosts := ranks_of(model, settings):
        from src.engine.ranks.leader import load as load_over

        return load_over(model, settings, hosts, library, progress)
    from src.engine.mlx.lm import load_lm

    return load_lm(model, settings, library, progress, store)


def rehearse(model: str, settings: Settings) -> None:
    """Import what the engine mlx needs for a model, and open it without reading its weights.

    Raises whatever a checkpoint makes a loader raise.
    """
    blas.preload(settings.blas_library)
    if selection.model_kind(model, settings.models_path) != "chat":
        from src.engine.mlx.encoders import backend  # noqa: F401  # the import is the point

        return
    if _reads_images(model, settings):
        from src.engine.mlx import vlm  # noqa: F401  # likewise
    from src.engine.mlx import lm  # noqa: F401  # likewise
    from src.engine.mlx.text.opening import open_tokenizer
    from src.engine.mlx.weights import load_text

    if selection.model_format(model, settings.models_path) != "gguf":
        folder = checkpoint.locate(model, settings.models_path)
        open_tokenizer(folder)
        load_text(folder)


def ranks_of(model: str, settings: Settings) -> tuple[RankHost, ...]:
    """The hosts that a model is divided over; none for what is not: only text models of the engine mlx are."""
    if not settings.engine_hosts or _undivided(model, settings) is not None:
        return ()
    return read_hosts(settings)


def _undivided(model: str, settings: Settings) -> str | None:
    """What a model is that runs on this machine alone."""
    if selection.model_format(model, settings.models_path) == "gguf":
        return "GGUF files"
    if selection.model_kind(model, settings.models_path) != "chat":
        return "embedding models and rerankers"
    return "vision models" if _reads_images(model, settings) else None


def _reads_images(model: str, settings: Settings) -> bool:
    """GGUF files are read as text models."""
    if selection.model_format(model, settings.models_path) == "gguf":
        return False
    return catalog.reads_images(checkpoint.read_config(checkpoint.locate(model, settings.models_path)))
