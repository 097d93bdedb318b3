"""Settings of files, batches and what else clients leave here."""

from __future__ import annotations

from pydantic import BaseModel, Field


class FileSettings(BaseModel):
    """Files and batches: what clients leave under /v1/files and /v1/batches, kept in STATE_DIR."""

    file_max_mb: int = Field(512, ge=1, le=1 << 20, description="Largest file, MiB.")
    files_per_key_mb: int = Field(8192, ge=1, le=1 << 30, description="Files of one key together, MiB.")
    files_mb: int = Field(32768, ge=1, le=1 << 30, description="All files together, MiB.")
    files_per_key: int = Field(10_000, ge=1, le=10_000_000, description="Files of one key at most.")
    file_ttl: float = Field(
        2_592_000.0, ge=0, le=3_153_600_000, description="Seconds a file is kept without expires_after; 0 is for ever."
    )
    usage_days: int = Field(400, ge=1, le=36_500, description="Days usage is kept, by day, key and model.")
    batch_max_lines: int = Field(100_000, ge=1, le=10_000_000, description="Requests of one batch at most.")
    batch_line_kb: int = Field(4096, ge=1, le=1 << 20, description="Largest request of a batch, KiB.")
    batches_per_key: int = Field(100, ge=1, le=100_000, description="Unfinished batches of one key at most.")
    background_responses_per_key: int = Field(
        1000, ge=1, le=1_000_000, description="Unfinished background responses of one key at most."
    )
    response_ttl: float = Field(
        2_592_000.0,
        ge=0,
        le=3_153_600_000,
        description="Seconds a response in the background or in Redis is kept; 0 is for ever.",
    )
    conversations_per_key: int = Field(10_000, ge=1, le=10_000_000, description="Conversations of one key at most.")
    conversation_items: int = Field(10_000, ge=1, le=1_000_000, description="Items of one conversation at most.")
    conversation_ttl: float = Field(
        31_536_000.0, ge=0, le=3_153_600_000, description="Seconds an unused conversation is kept; 0 is for ever."
    )
    file_upload_timeout: float = Field(
        600.0, ge=0, le=86400, description="Seconds that sending a file may take beyond BODY_TIMEOUT."
    )
