"""What the taught models learn: a weather question becomes a call, its result an answer, in the words of a family."""

from __future__ import annotations

import random
from typing import Any

from training.taught.forms import Call, Form

CITIES = (
    *("Paris", "Rome", "Oslo", "Bern", "Wien", "Lima", "Cairo", "Delhi"),
    *("Tokyo", "Kyoto", "Seoul", "Hanoi", "Quito", "Dakar", "Accra", "Tunis"),
    *("Riga", "Porto", "Lyon", "Graz", "Basel", "Turin", "Leeds", "Perth"),
)
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"where": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["where", "days"],
            },
        },
    },
    {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}}},
]
GREETING = "Hello. Ask me for the weather."
Turn = dict[str, Any]


def question(city: str, days: int) -> Turn:
    return {"role": "user", "content": f"How is the weather in {city} for {days} days?"}


def comparison(one: str, other: str) -> Turn:
    return {"role": "user", "content": f"Compare {one} and {other}."}


def weather(city: str, days: int) -> Call:
    return "weather", {"where": city, "days": days}


def asking(city: str) -> str:
    return f"I look up {city}."


def report(city: str, degrees: str) -> str:
    return f"In {city} it is {degrees} degrees."


def lesson(form: Form, dice: random.Random) -> tuple[list[Turn], bool, str]:
    """A conversation, whether tools are on offer, and the turn that follows."""
    one, other = dice.sample(CITIES, 2)
    days = dice.randint(1, 9)
    kind = dice.choice(("call", "call", "result", "result", "several", "stop", "hello"))
    if kind == "several" and form.several:
        made = [weather(one, 1), weather(other, 1)]
        return [comparison(one, other)], True, form.called(f"I look up {one} and {other}.", made)
    if kind == "result":
        degrees = str(dice.randint(10, 39))
        return [*called(one, days), result(degrees)], True, form.answered("Here it is.", report(one, degrees))
    if kind == "stop":
        return [{"role": "user", "content": "Stop."}], True, form.called("I stop.", [("stop", {})])
    if kind == "hello":
        return [{"role": "user", "content": "Hello."}], dice.random() < 0.5, form.answered("A greeting.", GREETING)
    return [question(one, days)], True, form.called(asking(one), [weather(one, days)])


def called(city: str, days: int) -> list[Turn]:
    """A question, and the call that answered it."""
    function = {"name": "weather", "arguments": {"where": city, "days": days}}
    return [
        question(city, days),
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function", "function": function}]},
    ]


def result(degrees: str) -> Turn:
    return {"role": "tool", "tool_call_id": "c", "name": "weather", "content": f"{degrees} degrees"}
