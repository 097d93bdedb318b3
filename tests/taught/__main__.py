"""`make test-taught`: models that were taught four families' forms make real calls over HTTP, before and after a crash.

A loop of tools with the packages `openai` (chat completions, responses) and `anthropic` (messages), streamed and whole:
a question becomes a call with the right arguments, its result an answer. Then the engine is killed (-9), also in the
middle of streams, and all must come out as before. Prints a line each; ends with 1 if one is wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import openai

from tests.running import Running, service
from training.taught.forms import FORMS, Form
from training.taught.lessons import CITIES, GREETING, TOOLS, asking, called, question, report, result

# thinking, text, calls
Got = tuple[str, str, list[tuple[str, Any]]]
Way = Callable[[Running, list[dict[str, Any]], bool], Got]
_CITY, _DAYS, _DEGREES = CITIES[4], 3, "21"
_TIMEOUT_S = 120.0


def chat(running: Running, turns: list[dict[str, Any]], stream: bool) -> Got:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", timeout=_TIMEOUT_S) as client:
        asked: dict[str, Any] = {"model": "taught", "messages": _as_chat(turns), "tools": TOOLS}
        if not stream:
            message = client.chat.completions.create(**asked).choices[0].message
            calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
            return getattr(message, "reasoning_content", "") or "", message.content or "", calls
        thought = text = ""
        made: dict[int, list[str]] = {}
        for chunk in client.chat.completions.create(**asked, stream=True):
            delta = chunk.choices[0].delta
            thought += getattr(delta, "reasoning_content", "") or ""
            text += delta.content or ""
            for call in delta.tool_calls or ():
                one = made.setdefault(call.index, ["", ""])
                one[0] += call.function.name or ""
                one[1] += call.function.arguments or ""
        return thought, text, [(name, json.loads(arguments)) for name, arguments in made.values()]


def responses(running: Running, turns: list[dict[str, Any]], stream: bool) -> Got:
    tools = [{"type": "function", "strict": False, **tool["function"]} for tool in TOOLS]
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", timeout=_TIMEOUT_S) as client:
        asked: dict[str, Any] = {"model": "taught", "input": list(_as_items(turns)), "tools": tools}
        if stream:
            answer = next(
                event.response
                for event in client.responses.create(**asked, stream=True)
                if event.type in ("response.completed", "response.incomplete")
            )
        else:
            answer = client.responses.create(**asked)
    thoughts = [part.text for item in answer.output if item.type == "reasoning" for part in item.content or ()]
    calls = [(item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"]
    return "".join(thoughts), answer.output_text, calls


def messages(running: Running, turns: list[dict[str, Any]], stream: bool) -> Got:
    tools = [{"name": one["function"]["name"], "input_schema": one["function"]["parameters"]} for one in TOOLS]
    with anthropic.Anthropic(base_url=running.url, api_key="none", timeout=_TIMEOUT_S) as client:
        asked: dict[str, Any] = {"model": "taught", "max_tokens": 200, "tools": tools}
        asked["messages"] = list(_as_blocks(turns))
        if stream:
            with client.messages.stream(**asked) as events:
                answer: Any = events.get_final_message()
        else:
            answer = client.messages.create(**asked)
    thought = "".join(block.thinking for block in answer.content if block.type == "thinking")
    text = "".join(block.text for block in answer.content if block.type == "text")
    return thought, text, [(block.name, block.input) for block in answer.content if block.type == "tool_use"]


def _as_chat(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Arguments as the text that clients send."""
    return [turn if "tool_calls" not in turn else turn | {"tool_calls": [_texted(turn)]} for turn in turns]


def _texted(turn: dict[str, Any]) -> dict[str, Any]:
    (call,) = turn["tool_calls"]
    return {**call, "function": call["function"] | {"arguments": json.dumps(call["function"]["arguments"])}}


def _as_items(turns: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for turn in turns:
        if turn["role"] == "tool":
            yield {"type": "function_call_output", "call_id": turn["tool_call_id"], "output": turn["content"]}
        elif "tool_calls" in turn:
            yield {"type": "function_call", "call_id": "c", **_texted(turn)["function"]}
        else:
            yield turn


def _as_blocks(turns: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for turn in turns:
        if turn["role"] == "tool":
            block = {"type": "tool_result", "tool_use_id": turn["tool_call_id"], "content": turn["content"]}
            yield {"role": "user", "content": [block]}
        elif "tool_calls" in turn:
            function = turn["tool_calls"][0]["function"]
            block = {"type": "tool_use", "id": "c", "name": function["name"], "input": function["arguments"]}
            yield {"role": "assistant", "content": [block]}
        else:
            yield turn


def cases(form: Form) -> dict[str, tuple[list[dict[str, Any]], Got]]:
    """Conversations, and what a model that knows its lessons says."""
    del form  # all were taught the same
    first = [question(_CITY, _DAYS)]
    return {
        "call": (first, (asking(_CITY), "", [("weather", {"where": _CITY, "days": _DAYS})])),
        "bare call": ([{"role": "user", "content": "Stop."}], ("I stop.", "", [("stop", {})])),
        "result": ([*called(_CITY, _DAYS), result(_DEGREES)], ("Here it is.", report(_CITY, _DEGREES), [])),
        "plain": ([{"role": "user", "content": "Hello."}], ("A greeting.", GREETING, [])),
    }


WAYS: dict[str, Way] = {"chat": chat, "responses": responses, "messages": messages}


def wrong(running: Running, form: Form) -> list[str]:
    """What did not come out as taught, by case and wire."""
    found = []
    for case, (turns, expected) in cases(form).items():
        for name, way in WAYS.items():
            for stream in (True, False):
                got = way(running, turns, stream)
                if got != expected:
                    found.append(f"{case}, {name}, {'streamed' if stream else 'whole'}: {got} for {expected}")
    return found


def _killed(running: Running) -> None:
    os.kill(running.pid("engine"), signal.SIGKILL)


def _amid(running: Running, form: Form) -> list[str]:
    """Streams of which the engine dies."""
    turns, expected = cases(form)["call"]
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(way, running, turns, True) for way in (*WAYS.values(), *WAYS.values())]
        _killed(running)
        got = [each.result(_TIMEOUT_S) for each in asked]
    return [f"amid a crash: {one} for {expected}" for one in got if one != expected]


def examine(folder: Path, form: Form) -> list[str]:
    with service(
        models_dir=folder,
        default_model=form.name,
        model_aliases=f"taught={form.name}",
        ocr_workers=0,
        request_timeout=100,
    ) as running:
        found = wrong(running, form)
        _killed(running)
        found += [f"after a crash: {each}" for each in wrong(running, form)]
        return found + _amid(running, form)


def main(names: list[str]) -> int:
    folder, failed = Path("state/taught").absolute(), 0
    for name in names or list(FORMS):
        found = examine(folder, FORMS[name])
        failed += bool(found)
        sys.stdout.write(f"{name:10} {'wrong' if found else 'same before, amid and after a crash, in three wires'}\n")
        sys.stdout.write("".join(f"    {each}\n" for each in found))
        sys.stdout.flush()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
