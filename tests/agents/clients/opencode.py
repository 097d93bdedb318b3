"""OpenCode, over /v1/chat/completions."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any

from tests.agents.agent import MCP_SERVER, Place, Turn, npm, version_of

PACKAGE = "opencode-ai@1.18.33"


@dataclass
class OpenCode:
    name: str = "opencode"
    wire: str = "chat"
    lacks: dict[str, str] = field(default_factory=dict)

    def install(self) -> None:
        npm(PACKAGE)

    def version(self) -> str:
        return version_of(npm(PACKAGE) / "opencode")

    def configure(self, place: Place) -> None:
        folder = place.home / ".config" / "opencode"
        folder.mkdir(parents=True)
        (folder / "opencode.json").write_text(json.dumps(self._config(place)))

    def _config(self, place: Place) -> dict[str, Any]:
        model = {
            "name": place.model,
            "tool_call": True,
            "attachment": True,
            "limit": {"context": place.context, "output": 4096},
            "modalities": {"input": ["text", "image", "pdf"], "output": ["text"]},
        }
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Stoker",
            "options": {"baseURL": f"{place.url}/v1", "apiKey": "none"},
            "models": {place.model: model},
        }
        server = {"type": "local", "command": [sys.executable, str(MCP_SERVER)], "enabled": True}
        return {
            "provider": {"stoker": provider},
            "model": f"stoker/{place.model}",
            "mcp": {"harbour": server},
            "permission": {"edit": "allow", "bash": "allow", "read": "allow"},
            "autoupdate": False,
            "share": "disabled",
        }

    def command(self, place: Place, turn: Turn) -> list[str]:
        files = [word for file in turn.files for word in ("-f", str(file))]
        resumed = ["--continue"] if turn.resumed else []
        program = str(npm(PACKAGE) / "opencode")
        return [program, "run", "--format", "json", "--auto", *resumed, *files, "--", turn.prompt]

    def environment(self, place: Place) -> dict[str, str]:
        return {
            "XDG_CONFIG_HOME": str(place.home / ".config"),
            "XDG_DATA_HOME": str(place.home / ".data"),
            "XDG_STATE_HOME": str(place.home / ".state"),
            "XDG_CACHE_HOME": str(place.home / ".cache"),
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        }

    def said(self, printed: str) -> str:
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        return "\n".join(line["part"]["text"] for line in lines if line.get("type") == "text")
