"""Claude Code, over /v1/messages."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field

from tests.agents.agent import MCP_SERVER, Place, Turn, npm, version_of

PACKAGE = "@anthropic-ai/claude-code@2.1.197"
_ALLOWED = "Read,Edit,Write,Bash,mcp__harbour__secret_word"


@dataclass
class ClaudeCode:
    name: str = "claude-code"
    wire: str = "messages"
    lacks: dict[str, str] = field(default_factory=dict)

    def install(self) -> None:
        npm(PACKAGE)

    def version(self) -> str:
        return version_of(npm(PACKAGE) / "claude")

    def configure(self, place: Place) -> None:
        server = {"type": "stdio", "command": sys.executable, "args": [str(MCP_SERVER)]}
        (place.home / "mcp.json").write_text(json.dumps({"mcpServers": {"harbour": server}}))

    def command(self, place: Place, turn: Turn) -> list[str]:
        output = ["--output-format", "stream-json", "--verbose", "--include-partial-messages"]
        tools = ["--mcp-config", str(place.home / "mcp.json"), "--strict-mcp-config", "--allowedTools", _ALLOWED]
        resumed = ["--continue"] if turn.resumed else []
        program = str(npm(PACKAGE) / "claude")
        return [program, "-p", "--model", place.model, *output, *tools, *resumed, "--", turn.prompt]

    def environment(self, place: Place) -> dict[str, str]:
        return {
            "ANTHROPIC_BASE_URL": place.url,
            "ANTHROPIC_AUTH_TOKEN": "none",
            "ANTHROPIC_SMALL_FAST_MODEL": place.model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "CLAUDE_CONFIG_DIR": str(place.home / ".claude"),
        }

    def said(self, printed: str) -> str:
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        blocks = [block for line in lines if line["type"] == "assistant" for block in line["message"]["content"]]
        return "\n".join(block["text"] for block in blocks if block["type"] == "text")
