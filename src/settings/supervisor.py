"""Settings of the supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field


class SupervisorSettings(BaseModel):
    """Supervisor: keeps the others alive."""

    runtime_dir: Path | None = Field(None, description="Private folder for sockets; empty is one under /tmp.")
    state_dir: Path | None = Field(
        None,
        description="Private folder for OCR jobs and files; on a disk. Empty: state/, or RUNTIME_DIR if that is set.",
    )
    start_timeout: float = Field(600.0, gt=0, le=86400, description="Seconds a process may take until it is ready.")
    start_stall_timeout: float = Field(
        180.0, ge=0, le=86400, description="Seconds a start may make no progress, such as bytes read; 0: START_TIMEOUT."
    )
    prevent_sleep: Literal["off", "ac", "always"] = Field(
        "ac", description="Keep a Mac awake while the service runs: on mains, on a battery too, or not."
    )
    heartbeat_interval: float = Field(1.0, ge=0.05, le=60, description="Seconds between two heartbeats.")
    heartbeat_timeout: float = Field(
        10.0, ge=0.1, le=600, description="Seconds without a heartbeat after which a process counts as hung."
    )
    engine_stall_timeout: float = Field(
        60.0,
        ge=0.1,
        le=3600,
        description="Seconds one engine step may take at most, and while nothing is known of what it should take.",
    )
    engine_stall_min: float = Field(
        3.0,
        ge=0.1,
        le=3600,
        description="Seconds an engine step gets at least; beyond it and 20 times what it should take, it is a hang.",
    )
    health_probe_interval: float = Field(
        60.0,
        ge=0,
        le=86400,
        description="Seconds between health probes (test generations) of an idle engine; 0 turns them off.",
    )
    health_probe_timeout: float = Field(30.0, gt=0, le=3600, description="Seconds a health probe may take.")
    memory_recycle_after: float = Field(
        30.0, gt=0, le=86400, description="Seconds above MEMORY_HIGH_WATERMARK until an engine is replaced."
    )
    gpu_fallback: Literal["off", "cpu"] = Field(
        "off", description="Where an engine runs after repeated GPU errors; off waits for the GPU."
    )
    engine_max_tokens: int = Field(
        0, ge=0, le=1 << 50, description="Tokens after which an engine is recycled; 0 is never."
    )
    engine_max_requests: int = Field(
        0, ge=0, le=1 << 50, description="Requests after which an engine is recycled; 0 is never."
    )
    engine_max_growth_mb: int = Field(
        0, ge=0, le=1 << 24, description="Lasting memory growth after which an engine is recycled, MiB; 0 is never."
    )
    engine_drain_timeout: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="Seconds the requests of a recycled engine get before they move to the new one.",
    )
    engine_standby: Literal["auto", "true", "false"] = Field(
        "auto",
        description="Keep a process that has imported the engine's libraries for the next start; auto does so for the"
        " engine mlx while memory allows.",
    )
    restart_backoff_max: float = Field(60.0, gt=0, le=3600, description="Longest back-off before a restart, seconds.")
    restart_free: int = Field(3, ge=0, le=100, description="Restarts per minute without back-off.")
    crash_limit: int = Field(8, ge=1, le=1000, description="Crashes within CRASH_WINDOW that open the circuit breaker.")
    crash_window: float = Field(300.0, gt=0, le=86400, description="Seconds over which crashes are counted.")
    breaker_retry: float = Field(
        300.0, gt=0, le=86400, description="Seconds until an open circuit breaker allows another start."
    )
    stop_timeout: float = Field(10.0, gt=0, le=3600, description="Seconds a back end gets to stop before it is killed.")
