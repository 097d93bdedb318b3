"""llm, over /v1/chat/completions; its tools are functions in a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.agents.agent import Place, Turn, pip, version_of

PACKAGES = ("llm",)
_MODELS = """- model_id: {model}
  model_name: {model}
  api_base: {url}/v1
  vision: true
  supports_tools: true
"""
_FUNCTIONS = '''from pathlib import Path


def read_file(file_path: str) -> str:
    """What a file says."""
    return Path(file_path).read_text()


def edit_file(file_path: str, old_string: str, new_string: str) -> str:
    """Replace text in a file."""
    path = Path(file_path)
    path.write_text(path.read_text().replace(old_string, new_string))
    return "edited"
'''


@dataclass
class Llm:
    name: str = "llm"
    wire: str = "chat"
    lacks: dict[str, str] = field(
        default_factory=lambda: (
            {"mcp": "has no MCP", "overflow": "never shortens its history"}
            | {"overflow_unknown": "never shortens its history"}
        )
    )

    def install(self) -> None:
        pip("llm", *PACKAGES)

    def version(self) -> str:
        return version_of(pip("llm", *PACKAGES) / "llm")

    def configure(self, place: Place) -> None:
        (place.home / "extra-openai-models.yaml").write_text(_MODELS.format(model=place.model, url=place.url))
        (place.home / "functions.py").write_text(_FUNCTIONS)

    def command(self, place: Place, turn: Turn) -> list[str]:
        options = ["-m", place.model] + ["-c"] * turn.resumed + ["--no-stream"] * (not turn.streamed)
        files = [word for file in turn.files for word in ("-a", str(file))]
        tools = ["--functions", str(place.home / "functions.py")] if "[[tools]]" in turn.prompt else []
        return [str(pip("llm", *PACKAGES) / "llm"), "prompt", turn.prompt, *options, *files, *tools]

    def environment(self, place: Place) -> dict[str, str]:
        return {"LLM_USER_PATH": str(place.home), "OPENAI_API_KEY": "none"}

    def said(self, printed: str) -> str:
        return printed
