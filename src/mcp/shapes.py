"""Results of the tools: the relevant fields of the service's responses. Unknown fields are passed through, so that a
newer service works with older tools.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _ToolAnswer(BaseModel):
    model_config = ConfigDict(extra="allow")


class ProgressOut(_ToolAnswer):
    """Progress of a load; `eta_seconds` is null while unknown."""

    done_bytes: int | None = None
    total_bytes: int | None = None
    eta_seconds: float | None = None


class ModelOut(_ToolAnswer):
    """`state`: where it is, such as unloaded, loading, gpu, cpu, failed; `detail`: why, if something is wrong."""

    id: str
    state: str = "unknown"
    detail: str | None = None
    size_bytes: int | None = None
    context_length: int | None = None
    progress: ProgressOut | None = None


class ModelsOut(_ToolAnswer):
    """All models that can be requested."""

    data: list[ModelOut]


class Device(_ToolAnswer):
    """`device`: metal, cuda or cpu; null while no engine runs."""

    device: str | None = None
    device_name: str | None = None
    using_gpu: bool | None = None
    utilization_percent: float | None = None
    memory_bytes: dict[str, int | None] = Field(default_factory=dict)


class RecommendationsOut(_ToolAnswer):
    max_concurrent: int | None = None
    performance_warning: str | None = None


class Memory(_ToolAnswer):
    """Gigabytes on one device."""

    allocated_gb: float | None = None
    reserved_gb: float | None = None
    total_gb: float | None = None


class ResidenceOut(_ToolAnswer):
    """`location`: gpu, cpu or unloaded."""

    location: str
    idle_time_seconds: float | None = None
    idle_timeout_seconds: float | None = None
    gpu_memory: dict[str, Memory] = Field(default_factory=dict)


class GpuStatusOut(BaseModel):
    """The device, and where each model is."""

    gpu_status: Device
    recommendations: RecommendationsOut
    models: dict[str, ResidenceOut]


class MovedOut(_ToolAnswer):
    """`models`: where each is now. `pending`: models that are moved once their requests have finished."""

    success: bool
    models: dict[str, str] = Field(default_factory=dict)
    pending: list[str] = Field(default_factory=list)


class Timeout(_ToolAnswer):
    """Seconds without requests until models are offloaded."""

    success: bool
    timeout: float


class ProcessOut(_ToolAnswer):
    """One process of the service. `restarts` counts by reason."""

    name: str
    state: str
    pid: int | None = None
    uptime_s: float | None = None
    restarts: dict[str, int] = Field(default_factory=dict)
    detail: str | None = None


class System(_ToolAnswer):
    version: str
    uptime_s: float
    children: list[ProcessOut]


class PageOut(BaseModel):
    """`error` if this page failed."""

    index: int
    confidence: float | None = None
    source: str | None = None
    error: dict[str, object] | None = None


class DocumentOut(BaseModel):
    """The text in reading order, without polygons, which would fill a context."""

    text: str
    model: str
    pages: list[PageOut]
