"""`python -m tests.agents.scrub`: recordings of the last run as contract tests (tests/contract/recorded/sessions).

Of each session that is named here the last request is kept, for it holds the whole history: without paths, ids,
keys and addresses, its long texts cut, its tools and the shapes of its parts as they were sent.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from src.settings import ROOT

RECORDINGS = ROOT / ".agents"
SESSIONS = ROOT / "tests" / "contract" / "recorded" / "sessions"
_SCENARIOS = ("tool_loop", "MCP_tool", "resume", "PDF", "context_overflow")
_HEADERS = ("content-type", "accept", "user-agent", "anthropic-version", "anthropic-beta", "originator", "x-app")
_LONGEST = 60
_PAYLOADS = ("data", "file_data", "url")
_PATTERNS = (
    (
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
        "00000000-0000-7000-8000-000000000001",
    ),
    (re.compile(r"\b[0-9a-f]{40,64}\b"), "0" * 40),
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+"), "someone@example.org"),
    (re.compile(r"/[\w/.-]*\.agents/[\w-]+/\w+/(home|work)"), r"/\1"),
    (re.compile(re.escape(str(ROOT))), "/checkout"),
)


def scrub(value: Any, key: str = "") -> Any:
    """The same without what is of this machine, and with short texts."""
    if isinstance(value, dict):
        return {name: scrub(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [scrub(each, key) for each in value]
    if not isinstance(value, str) or key in _PAYLOADS:
        return value
    return _text(value, key)


def _text(value: str, key: str) -> str:
    for pattern, instead in _PATTERNS:
        value = pattern.sub(instead, value)
    if key == "x-codex-turn-metadata":
        return "{}"
    whole = key in ("arguments", "input", "partial_json", "pattern", *_HEADERS) or len(value) <= _LONGEST
    return value if whole else value[:_LONGEST] + "…"


def case(line: str) -> dict[str, Any]:
    """A recorded exchange as a contract test has it."""
    exchange = json.loads(line)
    headers = {name: exchange["headers"][name] for name in _HEADERS if name in exchange["headers"]}
    kept = {"request": exchange["request"], "headers": headers, "body": exchange["body"]}
    scrubbed: dict[str, Any] = scrub(kept)
    return scrubbed | {"status": exchange["status"], "ignored": exchange["ignored"]}


def _last_turn(folder: Path) -> dict[str, Any] | None:
    """The last request with tools, if there is one: others are for titles."""
    lines = (folder / "exchanges.jsonl").read_text(encoding="utf-8").splitlines()
    cases = [case(line) for line in lines]
    turns = [one for one in cases if isinstance(one["body"], dict) and one["status"] == 200 and _is_turn(one)]
    with_tools = [one for one in turns if one["body"].get("tools")]
    return next(iter(reversed(with_tools or turns)), None)


def _is_turn(one: dict[str, Any]) -> bool:
    path = str(one["request"]).partition("?")[0]
    return path.endswith(("/completions", "/messages", "/responses"))


def main() -> None:
    SESSIONS.mkdir(parents=True, exist_ok=True)
    for folder in sorted(RECORDINGS.glob("*/*/exchanges.jsonl")):
        if folder.parent.name in _SCENARIOS and (kept := _last_turn(folder.parent)) is not None:
            name = f"{folder.parent.parent.name}_{folder.parent.name.lower()}".replace("-", "_")
            (SESSIONS / f"{name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
