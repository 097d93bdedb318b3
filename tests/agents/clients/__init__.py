"""The agents that are driven, a file each."""

from __future__ import annotations

from tests.agents.agent import Agent
from tests.agents.clients.aider import Aider
from tests.agents.clients.claude_code import ClaudeCode
from tests.agents.clients.codex import Codex
from tests.agents.clients.llm import Llm
from tests.agents.clients.opencode import OpenCode
from tests.agents.clients.qwen_code import QwenCode

AGENTS: tuple[Agent, ...] = (Codex(), ClaudeCode(), OpenCode(), QwenCode(), Aider(), Llm())
