"""Settings of models: which there are, and where."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ModelSettings(BaseModel):
    """Models: which can be requested, and when they are loaded, offloaded and unloaded."""

    lazy_load: bool = Field(True, description="Load a model at its first request; false loads DEFAULT_MODEL at start.")
    pinned_models: str = Field("", description="Models loaded at start and never evicted, comma-separated.")
    allowed_models: str = Field(
        "", description="Hugging Face ids that requests may name besides local models, comma-separated."
    )
    model_aliases: str = Field(
        "",
        max_length=8192,
        description="Other names for models, as `claude-*=MODEL,gpt-*=MODEL`; `*` is any text; empty is none.",
    )
    max_concurrent_models: int = Field(2, ge=1, le=64, description="Models on the device at once.")
    max_warm_models: int = Field(
        2,
        ge=0,
        le=64,
        description="Offloaded models that stay warm in host memory; beyond it the longest idle is unloaded.",
    )
    models_memory_mb: int = Field(
        0, ge=0, le=1 << 24, description="Weights on the device together, MiB; 0 is MLX_MEMORY_FRACTION of the memory."
    )
    model_turn: float = Field(
        5.0, ge=0, le=3600, description="Seconds a busy model keeps the device while requests wait for another."
    )
    gpu_idle_timeout: float = Field(
        600.0,
        ge=0,
        le=31_536_000,
        description="Seconds without requests until a model is offloaded from the device; 0 is never.",
    )
    model_unload_timeout: float = Field(
        3600.0,
        ge=0,
        le=31_536_000,
        description="Seconds without requests until a model is unloaded and its process ends; 0 is never.",
    )
    offload_after_request: bool = Field(False, description="Offload the model after each request, for a shared device.")
    background_idle_seconds: float = Field(
        300.0, ge=0, le=86400, description="Seconds without other requests until background requests run."
    )
    background_max_seqs: int = Field(16, ge=1, le=1024, description="Background requests that run at once at most.")
    background_pause_seconds: float = Field(
        0.0, ge=0, le=86400, description="Seconds after a background request until the next one begins."
    )
    background_hours: str = Field(
        "",
        pattern=r"^((([01]\d|2[0-3]):[0-5]\d)-(([01]\d|2[0-3]):[0-5]\d))?$",
        description="Local time in which background requests begin, such as 22:00-07:00; empty is all day.",
    )
    background_on_battery: bool = Field(False, description="Begin background requests on a Mac's battery, too.")
    background_gpu_watermark: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Utilisation of the GPU by others from which no background request begins; 0 is any.",
    )
    background_timeout: float = Field(
        3600.0, gt=0, le=31_536_000, description="Seconds a background request may wait in the queue."
    )
