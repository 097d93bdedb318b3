"""The MCP tools on the real service, by the package's own client over stdio."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult

from mcp import Client, StdioServerParameters
from src.settings import ROOT
from tests.e2e import pictures
from tests.running import Running, service

pytestmark = pytest.mark.e2e
_DEADLINE_S = 90.0


def call(demo: Running, *calls: tuple[str, dict[str, Any]]) -> list[CallToolResult]:
    """Tools one after the other, as an assistant on this machine would call them from anywhere."""
    environment = {"PORT": str(demo.port), "LOG_DIR": str(demo.logs)}
    server = StdioServerParameters(command=sys.executable, args=[str(ROOT / "run.py"), "mcp"], env=environment, cwd="/")

    async def run() -> list[CallToolResult]:
        with anyio.fail_after(_DEADLINE_S):
            async with Client(server) as client:
                return [await client.call_tool(name, arguments) for name, arguments in calls]

    return anyio.run(run)


def test_an_assistant_sees_what_runs(demo: Running) -> None:
    """The model with its state, and every process."""
    models, system = call(demo, ("list_models", {}), ("system_status", {}))
    assert "demo" in {model["id"] for model in models.structured_content["data"]}
    assert {"web", "ocr"} <= {child["name"] for child in system.structured_content["children"]}


def test_an_assistant_reads_a_page_of_this_machine(demo: Running, tmp_path: Path) -> None:
    """By its path; a file that is no image is refused in the service's words."""
    (tmp_path / "page.jpg").write_bytes(pictures.scanned_page())
    (tmp_path / "no.jpg").write_bytes(b"not a picture")
    read, refused = call(demo, *(("ocr_image", {"path": str(tmp_path / name)}) for name in ("page.jpg", "no.jpg")))
    assert "HARBOUR OFFICE" in read.structured_content["text"]
    assert len(read.structured_content["pages"]) == 1
    assert refused.is_error


def test_an_assistant_moves_a_model() -> None:
    """Loaded, offloaded, brought back, unloaded; what is unknown is refused with what there is."""
    demo = {"model_name": "demo"}
    with service(ocr_workers=0) as running:
        loaded, offloaded, seen, back, released, unloaded, timeout, unknown = call(
            running,
            ("load_model", demo),
            ("offload_gpu", demo),
            ("get_gpu_status", {}),
            ("load_model", demo),
            ("release_gpu", {}),
            ("unload_model", demo),
            ("update_gpu_timeout", {"timeout": 300}),
            ("load_model", {"model_name": "gpt-4"}),
        )
    assert loaded.structured_content["state"] == back.structured_content["state"] == "gpu"
    assert offloaded.structured_content == {"success": True, "models": {"demo": "cpu"}, "pending": []}
    assert seen.structured_content["models"]["demo"]["location"] == "cpu"
    assert seen.structured_content["gpu_status"]["device"] == "cpu"
    assert released.structured_content["models"]["demo"] == "unloaded"
    assert unloaded.structured_content["state"] == "unloaded"
    assert timeout.structured_content == {"success": True, "timeout": 300.0}
    assert unknown.is_error
    assert "demo" in str(unknown.content)
