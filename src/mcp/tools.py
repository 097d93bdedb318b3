"""The MCP tools. Each calls one route of the service (`get_gpu_status` two) and returns its typed response."""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field, RootModel

from src.mcp.service import ServiceClient
from src.mcp.shapes import (
    Device,
    DocumentOut,
    GpuStatusOut,
    ModelOut,
    ModelsOut,
    MovedOut,
    RecommendationsOut,
    ResidenceOut,
    System,
    Timeout,
)
from src.settings import VERSION, Settings

_REPLY_TIMEOUT_S = 15.0
_MARGIN_S = 15.0  # beyond the service's own deadline, so that its error is returned
_INSTRUCTIONS = """Operate a Stoker server: chat models on one machine's GPU, and OCR. A model is on the GPU, offloaded
to host memory (back within seconds) or unloaded. `release_gpu` and `unload_model` wait for running requests."""
_READ_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_MUTATING = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

ModelName = Annotated[str, Field(min_length=1, max_length=512, description="As list_models names it.")]
OneModel = Annotated[ModelName | None, Field(description="One model; all that are not pinned when left out.")]
FilePath = Annotated[str | None, Field(description="A file on the machine of this MCP server, over stdio only.")]
Picture = Annotated[str | None, Field(description="The file's bytes in base64, or a data URL.")]
Pages = Annotated[str | None, Field(description="Of a PDF, such as 1-3,5.")]
Seconds = Annotated[float, Field(ge=0, le=31_536_000, description="Seconds without requests; 0 is never.")]


class _GpuReport(BaseModel):
    gpu_status: Device
    recommendations: RecommendationsOut


class _Residences(RootModel[dict[str, ResidenceOut]]):
    pass


def build(service: ServiceClient, settings: Settings, *, local: bool) -> MCPServer[Any]:
    """Build the server. `local`: its client is a program of this user on this machine."""
    server: MCPServer[Any] = MCPServer("stoker", version=VERSION, instructions=_INSTRUCTIONS, log_level="WARNING")
    _add_read_tools(server, service)
    _add_model_tools(server, service, settings)
    _add_ocr(server, service, settings, local=local)
    return server


def _add_read_tools(server: MCPServer[Any], service: ServiceClient) -> None:
    @server.tool(annotations=_READ_ONLY)
    async def get_gpu_status(ctx: Context) -> GpuStatusOut:
        """The device, its memory and load, how many requests are recommended, and where each model is."""
        report = await service.get("/api/gpu-status", _GpuReport, _caller(ctx), _REPLY_TIMEOUT_S)
        models = await service.get("/api/gpu/status", _Residences, _caller(ctx), _REPLY_TIMEOUT_S)
        return GpuStatusOut(gpu_status=report.gpu_status, recommendations=report.recommendations, models=models.root)

    @server.tool(annotations=_READ_ONLY)
    async def list_models(ctx: Context) -> ModelsOut:
        """The available models, with state, size and context length."""
        return await service.get("/v1/models", ModelsOut, _caller(ctx), _REPLY_TIMEOUT_S)

    @server.tool(annotations=_READ_ONLY)
    async def system_status(ctx: Context) -> System:
        """Every process of the service: state, restarts, load, memory."""
        return await service.get("/v1/system/status", System, _caller(ctx), _REPLY_TIMEOUT_S)


def _add_model_tools(server: MCPServer[Any], service: ServiceClient, settings: Settings) -> None:
    load_s = settings.start_timeout + _MARGIN_S

    @server.tool(annotations=_MUTATING)
    async def load_model(ctx: Context, model_name: ModelName) -> ModelOut:
        """Load a model to the GPU; returns when it is ready."""
        return await service.post("/v1/models/load", ModelOut, _caller(ctx), load_s, json={"model_name": model_name})

    @server.tool(annotations=_MUTATING)
    async def unload_model(ctx: Context, model_name: ModelName) -> ModelOut:
        """Unload a model and stop its process, which frees all of its memory."""
        return await service.post(
            "/v1/models/unload", ModelOut, _caller(ctx), _REPLY_TIMEOUT_S, json={"model_name": model_name}
        )

    @server.tool(annotations=_MUTATING)
    async def offload_gpu(ctx: Context, model_name: OneModel = None) -> MovedOut:
        """Move models from the GPU to host memory, from where they are restored fast."""
        return await service.post("/api/gpu/offload", MovedOut, _caller(ctx), _REPLY_TIMEOUT_S, json=_named(model_name))

    @server.tool(annotations=_MUTATING)
    async def release_gpu(ctx: Context, model_name: OneModel = None) -> MovedOut:
        """Unload models, from the GPU and from host memory."""
        return await service.post("/api/gpu/release", MovedOut, _caller(ctx), _REPLY_TIMEOUT_S, json=_named(model_name))

    @server.tool(annotations=_MUTATING)
    async def update_gpu_timeout(ctx: Context, timeout: Seconds) -> Timeout:  # noqa: ASYNC109  # an argument, no deadline
        """Change how long models stay on the GPU without requests, until the service restarts."""
        return await service.post(
            "/api/gpu/timeout", Timeout, _caller(ctx), _REPLY_TIMEOUT_S, json={"timeout": timeout}
        )


def _add_ocr(server: MCPServer[Any], service: ServiceClient, settings: Settings, *, local: bool) -> None:
    deadline_s = settings.ocr_queue_timeout + settings.ocr_sync_pages * settings.ocr_page_timeout + _MARGIN_S
    limit = settings.max_body_mb << 20

    @server.tool(annotations=_READ_ONLY)
    async def ocr_image(
        ctx: Context, path: FilePath = None, image_base64: Picture = None, pages: Pages = None
    ) -> DocumentOut:
        """Read the text of an image or a PDF: give its path or its content."""
        name, data = await _content(path, image_base64, limit, local=local)
        fields = {} if pages is None else {"pages": pages}
        files = {"file": (name, data)}
        return await service.post("/v1/ocr", DocumentOut, _caller(ctx), deadline_s, files=files, data=fields)


async def _content(path: str | None, image_base64: str | None, limit: int, *, local: bool) -> tuple[str, bytes]:
    if (path is None) == (image_base64 is None):
        raise ToolError("Give either path or image_base64.")
    if path is not None and not local:
        raise ToolError("Over HTTP, files of the server's machine cannot be read: send image_base64.")
    if path is not None:
        name, data = await asyncio.to_thread(_file, Path(path), limit)
    else:
        name, data = "image", _decoded(image_base64 or "")
    if len(data) > limit:
        raise ToolError(f"The file exceeds MAX_BODY_MB ({limit >> 20} MiB).")
    return name, data


def _file(path: Path, limit: int) -> tuple[str, bytes]:
    """Its name and content, read to one byte over the limit."""
    try:
        if not path.is_file():
            raise ToolError(f"{path} is not a file.")
        with path.open("rb") as content:
            return path.name, content.read(limit + 1)
    except OSError as error:
        raise ToolError(f"{path}: {error.strerror}") from None


def _decoded(image_base64: str) -> bytes:
    """Bare base64, or a data URL."""
    try:
        return base64.b64decode(image_base64.rpartition(",")[2], validate=True)
    except binascii.Error:
        raise ToolError("image_base64 is not valid base64.") from None


def _named(model_name: str | None) -> dict[str, str]:
    return {} if model_name is None else {"model_name": model_name}


def _caller(ctx: Context) -> str | None:
    """The caller's Authorization header over HTTP; the service authenticates it."""
    return (ctx.headers or {}).get("authorization")
