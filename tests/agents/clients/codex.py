"""Codex CLI, over /v1/responses."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field

from tests.agents.agent import MCP_SERVER, Place, Turn, npm, version_of

PACKAGE = "@openai/codex@0.171.0"
_CONFIG = """model = {model}
model_provider = "stoker"
model_context_window = {context}
check_for_update_on_startup = false
[analytics]
enabled = false
[feedback]
enabled = false
[history]
persistence = "none"
[model_providers.stoker]
name = "Stoker"
base_url = "{url}/v1"
env_key = "STOKER_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
[mcp_servers.harbour]
command = {python}
args = [{server}]
default_tools_approval_mode = "approve"
"""


@dataclass
class Codex:
    name: str = "codex"
    wire: str = "responses"
    lacks: dict[str, str] = field(
        default_factory=lambda: {
            "pdf": "attaches pictures alone",
            "overflow_unknown": "ends the turn and says that the context is full",
        }
    )

    def install(self) -> None:
        npm(PACKAGE)

    def version(self) -> str:
        return version_of(npm(PACKAGE) / "codex")

    def configure(self, place: Place) -> None:
        folder = place.home / ".codex"
        folder.mkdir()
        values = {"model": place.model, "python": sys.executable, "server": str(MCP_SERVER)}
        quoted = {name: json.dumps(value) for name, value in values.items()}
        (folder / "config.toml").write_text(_CONFIG.format(context=place.context, url=place.url, **quoted))

    def command(self, place: Place, turn: Turn) -> list[str]:
        options = ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        pictures = [word for file in turn.files for word in ("-i", str(file))]
        resumed = ["resume", "--last"] if turn.resumed else []
        return [str(npm(PACKAGE) / "codex"), "exec", *resumed, *options, *pictures, "--", turn.prompt]

    def environment(self, place: Place) -> dict[str, str]:
        return {"STOKER_KEY": "none", "CODEX_HOME": str(place.home / ".codex")}

    def said(self, printed: str) -> str:
        lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        items = [line["item"] for line in lines if line["type"] == "item.completed"]
        return "\n".join(item["text"] for item in items if item["type"] == "agent_message")
