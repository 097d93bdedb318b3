"""Qwen Code, over /v1/chat/completions."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field

from tests.agents.agent import MCP_SERVER, Place, Turn, npm, version_of

PACKAGE = "@qwen-code/qwen-code@0.15.10"


@dataclass
class QwenCode:
    name: str = "qwen-code"
    wire: str = "chat"
    lacks: dict[str, str] = field(default_factory=dict)

    def install(self) -> None:
        npm(PACKAGE)

    def version(self) -> str:
        return version_of(npm(PACKAGE) / "qwen")

    def configure(self, place: Place) -> None:
        folder = place.home / ".qwen"
        folder.mkdir()
        generation = {
            "contextWindowSize": place.context,
            "modalities": {"image": True, "pdf": True},
            "maxRetries": 0,
        }
        settings = {
            "mcpServers": {"harbour": {"command": sys.executable, "args": [str(MCP_SERVER)], "trust": True}},
            "security": {"auth": {"selectedType": "openai"}},
            "privacy": {"usageStatisticsEnabled": False},
            "telemetry": {"enabled": False},
            "general": {"disableAutoUpdate": True, "disableUpdateNag": True},
            "model": {"name": place.model, "generationConfig": generation},
        }
        (folder / "settings.json").write_text(json.dumps(settings))

    def command(self, place: Place, turn: Turn) -> list[str]:
        resumed = ["--continue"] if turn.resumed else []
        program = str(npm(PACKAGE) / "qwen")
        named = "".join(f" @{file}" for file in turn.files)
        return [program, "--yolo", "--output-format", "stream-json", *resumed, "-p", turn.prompt + named]

    def environment(self, place: Place) -> dict[str, str]:
        return {
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": f"{place.url}/v1",
            "OPENAI_MODEL": place.model,
            "HTTP_PROXY": "",  # it asks a proxy for loopback, too
            "HTTPS_PROXY": "",
        }

    def said(self, printed: str) -> str:
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        blocks = [block for line in lines if line["type"] == "assistant" for block in line["message"]["content"]]
        return "\n".join(block["text"] for block in blocks if block["type"] == "text")
