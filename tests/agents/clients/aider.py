"""aider, over /v1/chat/completions: it has no tools, edits are blocks of text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tests.agents.agent import Place, Turn, pip, version_of

PACKAGES = ("aider-chat",)
# the model's own temperature: at aider's, 0, a model without sense repeats itself until the context is full
_SETTINGS = """- name: openai/{model}
  edit_format: diff
  use_temperature: false
"""


@dataclass
class Aider:
    name: str = "aider"
    wire: str = "chat"
    lacks: dict[str, str] = field(
        default_factory=lambda: {
            "mcp": "has no tools",
            "overflow": "shortens past turns alone, by its own count",
            "overflow_unknown": "shortens past turns alone, by its own count",
        }
    )

    def install(self) -> None:
        pip("aider", *PACKAGES)

    def version(self) -> str:
        return version_of(pip("aider", *PACKAGES) / "aider")

    def configure(self, place: Place) -> None:
        facts = {
            "max_input_tokens": place.context,
            "max_output_tokens": 4096,
            "litellm_provider": "openai",
            "mode": "chat",
            "supports_vision": True,
            "supports_pdf_input": True,
        }
        (place.home / "metadata.json").write_text(json.dumps({f"openai/{place.model}": facts}))
        (place.home / "settings.yml").write_text(_SETTINGS.format(model=place.model))

    def command(self, place: Place, turn: Turn) -> list[str]:
        quiet = ["--no-git", "--yes-always", "--no-check-update", "--analytics-disable", "--no-show-model-warnings"]
        quiet += ["--no-pretty", "--no-show-release-notes", "--edit-format", "diff", "--map-tokens", "0"]
        quiet += ["--chat-history-file", str(place.home / "chat.md"), "--input-history-file", str(place.home / "input")]
        resumed = ["--restore-chat-history"] if turn.resumed else []
        stream = "--stream" if turn.streamed else "--no-stream"
        program = str(pip("aider", *PACKAGES) / "aider")
        metadata = ["--model-metadata-file", str(place.home / "metadata.json"), "--model", f"openai/{place.model}"]
        metadata += ["--model-settings-file", str(place.home / "settings.yml")]
        files = [str(file) for file in turn.files] or [str(file) for file in place.work.glob("notes.txt")]
        return [program, *metadata, *quiet, *resumed, stream, "--message", turn.prompt, *files]

    def environment(self, place: Place) -> dict[str, str]:
        return {
            "OPENAI_API_KEY": "none",
            "OPENAI_API_BASE": f"{place.url}/v1",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "AIDER_ANALYTICS": "false",
        }

    def said(self, printed: str) -> str:
        return printed
