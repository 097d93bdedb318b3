"""Settings of web."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, field_validator


class WebSettings(BaseModel):
    """Web: HTTP only."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    debug: bool = Field(False, description="Log at DEBUG, whatever LOG_LEVEL says.")
    workers: int = Field(1, ge=1, le=1, description="Web processes. One gevent worker serves all connections.")
    worker_class: Literal["gevent"] = Field("gevent", description="Gunicorn worker class.")
    worker_connections: int = Field(
        1024, ge=16, le=16384, description="Open connections at most; beyond it the longest idle one is closed."
    )
    max_connections_per_address: int = Field(
        512,
        ge=0,
        le=16384,
        description="Open connections per address at most, TRUSTED_PROXIES exempt; 0 is no limit.",
    )
    max_concurrent_requests: int = Field(256, ge=1, le=8192, description="Chat and OCR requests in flight at most.")
    drain_notice: float = Field(
        5.0,
        ge=0,
        le=600,
        description="Seconds a service told to stop says so (/readyz 503, Connection: close) and still takes requests.",
    )
    graceful_timeout: float = Field(
        60.0, ge=1, le=3600, description="Seconds running requests get to finish at shutdown."
    )
    resume_max_wait: float = Field(
        60.0, ge=0, le=3600, description="Seconds a request waits for a crashed engine to come back."
    )
    resume_progress_tokens: int = Field(
        8, ge=1, le=4096, description="New tokens after which a request is no longer a crash suspect."
    )
    client_timeout: float = Field(60.0, gt=0, le=3600, description="Seconds a client may neither send nor read.")
    keep_alive_timeout: float = Field(75.0, ge=1, le=3600, description="Seconds an idle connection is kept.")
    max_body_mb: int = Field(32, ge=1, le=1024, description="Largest request body, MiB.")
    response_store_mb: int = Field(
        32, ge=0, le=4096, description="Stored responses (previous_response_id), MiB; with REDIS_URL of one key, there."
    )
    strict_fields: bool = Field(
        False, description="Refuse advisory and unknown fields instead of naming them in X-Ignored-Fields."
    )
    max_bodies_mb: int = Field(
        256,
        ge=1,
        le=65536,
        description="Memory the bodies of all requests may hold, MiB, or MAX_BODY_MB where that is more; beyond it 429."
        " A body's first 256 KiB are free.",
    )
    body_timeout: float = Field(60.0, gt=0, le=3600, description="Seconds a client may take to send its body.")
    sse_ping_seconds: float = Field(
        15.0, gt=0, le=600, description="Seconds of silence after which a stream sends a keep-alive."
    )
    otel_exporter_otlp_endpoint: str = Field(
        "",
        max_length=2048,
        description="OpenTelemetry collector that traces go to, by OTLP over HTTP (http://127.0.0.1:4318); empty: off.",
    )

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _collector(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("a collector's URL begins with http:// or https://")
        return value
