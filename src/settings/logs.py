"""Settings of the logs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator


class LogSettings(BaseModel):
    """Logs: one JSON line per record."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level that is logged.")
    console_log_level: Literal["AUTO", "DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "AUTO",
        description="Lowest level on the console; AUTO is LOG_LEVEL, and WARNING where files are written and no"
        " terminal reads along (a journal would hold every line twice).",
    )
    enable_log_file: bool = Field(True, description="Write files under LOG_DIR, not only the console.")
    log_dir: Path = Field(Path("logs"), description="Folder of the log files.")
    log_retention_days: int = Field(30, ge=1, le=3650, description="Days after which rotated logs are deleted.")
    log_max_mb: int = Field(200, ge=1, le=10240, description="Size at which a log file is rotated, MiB.")
    log_total_mb: int = Field(
        4096, ge=1, le=1 << 24, description="All rotated logs together, MiB; beyond it the oldest are deleted."
    )

    @field_validator("log_level", "console_log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value
