"""Settings of who may ask, and for how much."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path

from pydantic import BaseModel, Field, field_validator

from src.settings.places import home

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# two labels at least, the last of which no address ends with
_HOST_ENTRY = re.compile(r"(http://)?\.?([a-z0-9-]+\.)+[a-z][a-z0-9-]+")


def _networks(text: str) -> tuple[Network, ...]:
    """A list of addresses and networks; raises ValueError for an entry that is neither."""
    return tuple(ipaddress.ip_network(entry) for entry in map(str.strip, text.split(",")) if entry)


class SecuritySettings(BaseModel):
    """Security: authentication, limits and the response cache."""

    api_keys: str = Field(
        "",
        description="API keys, comma-separated, each `name:role:key` (docs/security.md); once set, requests need one.",
    )
    api_keys_file: Path | None = Field(
        None, description="File of `name digest role` lines, each with its key's expiry and budgets; `run.py key new`."
    )
    stoker_api_key: str = Field(
        "", description="Key that run.py mcp sends to the service over stdio, once keys are set."
    )
    bench_api_keys: str = Field(
        "",
        description="Keys that run.py bench sends to the servers it measures, in the order of --url, comma-separated.",
    )
    allow_unauthenticated: bool = Field(False, description="Listen beyond this machine although no key is set.")
    console: bool = Field(
        True, description="Serve the page at / to browsers: on this machine, or beyond it where keys are set."
    )
    trusted_proxies: str = Field(
        "",
        max_length=4096,
        description="Addresses and networks (10.0.0.0/8) whose X-Forwarded-For is trusted, comma-separated.",
    )
    cors_origins: str = Field(
        "", description="Origins of web pages allowed to call the API (CORS), comma-separated; empty is none."
    )
    rate_limit_requests: int = Field(
        0, ge=0, le=1_000_000, description="Requests per minute and key (or address); 0 is no limit."
    )
    rate_limit_tokens: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="Tokens, prompt and answer, per minute and key (or address); 0: no limit.",
    )
    rate_limit_concurrent: int = Field(
        0, ge=0, le=8192, description="Requests to engines and OCR in flight per key (or address); 0 is no limit."
    )
    key_tokens_per_day: int = Field(
        0,
        ge=0,
        le=1_000_000_000_000,
        description="Tokens, prompt and answer, of one user's key in a UTC day, unless its line in API_KEYS_FILE has"
        " its own budget; 0 is no limit.",
    )
    key_pages_per_day: int = Field(
        0, ge=0, le=1_000_000_000, description="OCR pages of one user's key in a UTC day, likewise; 0 is no limit."
    )
    rate_limit_failed_logins: int = Field(
        20, ge=1, le=1_000_000, description="Wrong keys per minute and address that are answered 401; beyond it 429."
    )
    enable_caching: bool = Field(
        False, description="Response cache for repeated requests at temperature 0 or with a seed."
    )
    cache_size: int = Field(1000, ge=1, le=1_000_000, description="Cached responses at most.")
    cache_mb: int = Field(64, ge=1, le=65536, description="Memory for cached responses, MiB.")
    cache_ttl: float = Field(3600.0, gt=0, le=31_536_000, description="Seconds a response is cached.")
    redis_url: str = Field(
        "", description="Redis in which several instances share limits, response cache, responses; empty: memory."
    )
    max_messages: int = Field(2048, ge=1, le=65536, description="Messages of one request at most.")
    max_content_parts: int = Field(256, ge=1, le=65536, description="Content parts of one message at most.")
    max_images: int = Field(16, ge=0, le=1024, description="Images of one chat request at most.")
    chat_pdf_pages: int = Field(
        100, ge=0, le=10_000, description="PDF pages of one chat request at most; 0 refuses PDFs in chat."
    )
    chat_pdf_pictures: int = Field(
        20,
        ge=0,
        le=1024,
        description="PDF pages of one chat request that a vision model is shown as pictures; longer PDFs are text.",
    )
    chat_pdf_structure: bool = Field(
        False,
        description="Find tables, headings and lists in PDFs of chats; pages with text are ten times slower.",
    )
    chat_pdf_cache_mb: int = Field(
        64, ge=1, le=65536, description="Memory for texts and pages of PDFs that were read for chat, MiB."
    )
    max_tools: int = Field(128, ge=1, le=4096, description="Tools of one request at most.")
    max_schema_kb: int = Field(64, ge=1, le=4096, description="Largest JSON schema or tool definition, KiB.")
    image_url_hosts: str = Field(
        "",
        max_length=4096,
        description="Hosts whose https:// images are fetched for chat, `name` or `.suffix`, comma-separated;"
        " `http://name` for plain HTTP; empty is none.",
    )
    image_url_timeout: float = Field(
        10.0, gt=0, le=600, description="Seconds fetching the images of a request may take."
    )

    @field_validator("image_url_hosts")
    @classmethod
    def _hosts(cls, value: str) -> str:
        for entry in filter(None, map(str.strip, value.split(","))):
            if not _HOST_ENTRY.fullmatch(entry.lower()):
                raise ValueError(f"{entry!r} is no host (images.example.com, .example.com, http://example.com)")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: str) -> str:
        _networks(value)
        return value

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        return _networks(self.trusted_proxies)

    @property
    def api_keys_path(self) -> Path | None:
        """The file of keys; systemd's credential `api_keys` when none is set."""
        if self.api_keys_file is not None:
            return home() / self.api_keys_file
        credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / "api_keys"
        return credential if credential.is_file() else None
