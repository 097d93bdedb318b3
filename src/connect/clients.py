"""What each client is told to reach this service: pure functions from an `Endpoint`, for `run.py connect`.

No key is ever in them: each refers to the environment variable KEY in the client's own way. A value of None removes a
setting, such as the reference to a key that nobody needs any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

KEY = "STOKER_API_KEY"
NO_KEY = "unused"  # what a client that insists on a key sends while the service has none
PROVIDER = "stoker"
_TITLE = "Stoker"

ConfigFormat = Literal["toml", "json", "yaml", "text"]
Config = dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """The service, as a client sees it. `url` has no /v1; `context` in tokens, None while nobody knows it."""

    url: str
    model: str
    context: int | None = None
    keyed: bool = False

    @property
    def v1(self) -> str:
        return f"{self.url}/v1"


@dataclass(frozen=True)
class ConnectedClient:
    """One client: its file, and what stands in it (`config` as data, or `text` as it is).

    `head` begins a new file. `heals`: it shortens its history by the context that it is told. `exports`: environment
    variables it needs beside the file, by name, in the shell's words.
    """

    name: str
    title: str
    format: ConfigFormat
    file: str | None
    config: Callable[[Endpoint], Config] | None = None
    text: Callable[[Endpoint], str] | None = None
    head: Config = field(default_factory=dict)
    heals: bool = False
    exports: Callable[[Endpoint], dict[str, str]] = lambda _: {}
    start: str = ""


def _without_none(config: Config) -> Config:
    return {name: value for name, value in config.items() if value is not None}


def _codex(at: Endpoint) -> Config:
    provider = {"name": _TITLE, "base_url": at.v1, "env_key": KEY if at.keyed else None, "wire_api": "responses"}
    return {
        "model": at.model,
        "model_provider": PROVIDER,
        "model_context_window": at.context,
        "model_providers": {PROVIDER: provider},
    }


def _claude_code(at: Endpoint) -> Config:
    kinds = ("ANTHROPIC_MODEL", *(f"ANTHROPIC_DEFAULT_{kind}_MODEL" for kind in ("OPUS", "SONNET", "HAIKU")))
    return {
        "apiKeyHelper": f"printenv {KEY}" if at.keyed else None,
        "env": {
            "ANTHROPIC_BASE_URL": at.url,  # it appends /v1/messages itself
            "ANTHROPIC_AUTH_TOKEN": None if at.keyed else NO_KEY,
            **dict.fromkeys(kinds, at.model),
        },
    }


def _opencode(at: Endpoint) -> Config:
    # it shortens its history where less than the output is left
    limit = None if at.context is None else {"context": at.context, "output": at.context // 4}
    return {
        "model": f"{PROVIDER}/{at.model}",
        "provider": {
            PROVIDER: {
                "npm": "@ai-sdk/openai-compatible",
                "name": _TITLE,
                "options": {"baseURL": at.v1, "apiKey": f"{{env:{KEY}}}" if at.keyed else NO_KEY},
                "models": {at.model: {"name": at.model, "limit": limit}},
            }
        },
    }


def _qwen_code(at: Endpoint) -> Config:
    generation = None if at.context is None else {"contextWindowSize": at.context}
    model = {"id": at.model, "name": at.model, "baseUrl": at.v1, "envKey": KEY, "generationConfig": generation}
    return {
        "env": None if at.keyed else {KEY: NO_KEY},
        "modelProviders": {"openai": [_without_none(model)]},
        "security": {"auth": {"selectedType": "openai"}},
        "model": {"name": at.model},
    }


def _aider(at: Endpoint) -> Config:
    return {
        "model": f"openai/{at.model}",
        "openai-api-base": at.v1,
        "openai-api-key": None if at.keyed else NO_KEY,
        "show-model-warnings": False,
    }


def _continue(at: Endpoint) -> Config:
    model = {
        "name": f"{_TITLE}: {at.model}",
        "provider": "openai",
        "model": at.model,
        "apiBase": at.v1,
        "apiKey": f"${{{{ secrets.{KEY} }}}}" if at.keyed else NO_KEY,
        "roles": ["chat", "edit", "apply"],
        "defaultCompletionOptions": None if at.context is None else {"contextLength": at.context},
    }
    return {"models": [_without_none(model)]}


def _zed(at: Endpoint) -> Config:
    can = {"tools": True, "images": False, "parallel_tool_calls": True, "prompt_cache_key": False}
    model = {"name": at.model, "display_name": at.model, "max_tokens": at.context or 32_768, "capabilities": can}
    provider = {"api_url": at.v1, "available_models": [model]}
    return {
        "language_models": {"openai_compatible": {_TITLE: provider}},
        "agent": {"default_model": {"provider": _TITLE, "model": at.model}},
    }


def _litellm(at: Endpoint) -> Config:
    key = f"os.environ/{KEY}" if at.keyed else NO_KEY
    params = {"model": f"openai/{at.model}", "api_base": at.v1, "api_key": key}
    return {"model_list": [{"model_name": f"{PROVIDER}/{at.model}", "litellm_params": params}]}


def _open_webui(at: Endpoint) -> str:
    key = f"${{{KEY}}}" if at.keyed else NO_KEY
    lines = (f"OPENAI_API_BASE_URL={at.v1}", f"OPENAI_API_KEY={key}", f"DEFAULT_MODELS={at.model}")
    return "\n".join((*lines, "ENABLE_OLLAMA_API=False", ""))


def _langchain(at: Endpoint) -> str:
    key = f'os.environ["{KEY}"]' if at.keyed else f'"{NO_KEY}"'
    head = "import os\n\n" if at.keyed else ""
    return (
        f"{head}from langchain_openai import ChatOpenAI\n\n"
        f"model = ChatOpenAI(model={json.dumps(at.model)}, base_url={json.dumps(at.v1)}, api_key={key})\n"
    )


def _key_as(name: str) -> Callable[[Endpoint], dict[str, str]]:
    """A client that reads its key under a name of its own."""
    return lambda at: {name: f'"${KEY}"'} if at.keyed else {}


def _own_key(at: Endpoint) -> dict[str, str]:
    return {KEY: "…"} if at.keyed else {}


def _proxy_keys(at: Endpoint) -> dict[str, str]:
    """The proxy does not start without a key for its own clients."""
    return {**_own_key(at), "LITELLM_MASTER_KEY": "sk-…"}


def _zed_key(at: Endpoint) -> dict[str, str]:
    """Zed reads the variable named after the provider, which is KEY, and wants one in any case."""
    return {KEY: "…" if at.keyed else NO_KEY}


# in the order in which `run.py connect` lists them
CLIENTS: tuple[ConnectedClient, ...] = (
    ConnectedClient(
        *("codex", "Codex CLI", "toml", "~/.codex/config.toml", _codex), heals=True, exports=_own_key, start="codex"
    ),
    ConnectedClient(
        "claude-code", "Claude Code", "json", "~/.claude/settings.json", _claude_code, exports=_own_key, start="claude"
    ),
    ConnectedClient(
        *("opencode", "OpenCode", "json", "~/.config/opencode/opencode.json", _opencode),
        head={"$schema": "https://opencode.ai/config.json"},
        heals=True,
        exports=_own_key,
        start="opencode",
    ),
    ConnectedClient(
        *("qwen-code", "Qwen Code", "json", "~/.qwen/settings.json", _qwen_code),
        heals=True,
        exports=_own_key,
        start="qwen",
    ),
    ConnectedClient(
        "aider", "aider", "yaml", "~/.aider.conf.yml", _aider, exports=_key_as("OPENAI_API_KEY"), start="aider"
    ),
    ConnectedClient("open-webui", "Open WebUI", "text", None, text=_open_webui, exports=_own_key),
    ConnectedClient(
        *("continue", "Continue", "yaml", "~/.continue/config.yaml", _continue),
        head={"name": _TITLE, "version": "0.0.1", "schema": "v1"},
        heals=True,
    ),
    ConnectedClient("zed", "Zed", "json", "~/.config/zed/settings.json", _zed, heals=True, exports=_zed_key),
    ConnectedClient("langchain", "LangChain (Python)", "text", None, text=_langchain, exports=_own_key),
    ConnectedClient(
        *("litellm", "LiteLLM proxy", "yaml", "litellm.yaml", _litellm),
        exports=_proxy_keys,
        start="litellm --config litellm.yaml",
    ),
)


def named(name: str) -> ConnectedClient | None:
    return next((client for client in CLIENTS if client.name == name), None)
