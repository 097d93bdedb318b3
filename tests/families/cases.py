"""Each format's way of writing the same conversations, after what the models' makers publish (docs/families.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Arguments = dict[str, Any]
Call = tuple[str, Arguments]

PARAMETERS = {
    "type": "object",
    "properties": {
        "days": {"type": "integer"},
        "where": {"type": "string"},
        "deep": {"type": "object"},
        "many": {"type": "array"},
        "on": {"type": "boolean"},
        "maybe": {"type": ["string", "null"]},
    },
}
ONE: Call = ("weather", {"days": 3, "where": "Brünn"})
TWO: Call = ("stop", {})
NESTED: Call = ("weather", {"deep": {"a": [1, {"b": "c"}], "d": None}, "many": [1, "x", {"y": 2.5}], "on": True})
# what breaks readers: quotes, brackets, marks of other families, line ends, scripts
QUOTES: Call = ("weather", {"where": 'a } " ] b \\ {"x": [', "days": -1})
UNICODE: Call = ("weather", {"where": "Zürich 東京 🌦\nsecond line\n\ttabbed", "days": 0})


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Written:
    """How a format writes: `calls` some calls, `thought` a thought before an answer, `answer` an answer."""

    family: str
    calls: Callable[[list[Call]], str]
    thought: Callable[[str], str] | None = None
    answer: Callable[[str], str] = lambda text: text
    template: str = ""  # what a template of the family says; found by its marks
    vocabulary: tuple[str, ...] = ()
    library: bool = False
    nested: bool = True  # it can write values that hold others
    null: str = ""  # a call of `stop` whose arguments are null
    broken: str = ""  # a call that cannot be read


def joined(start: str, each: Callable[[Call], str], end: str, between: str = "") -> Callable[[list[Call]], str]:
    return lambda calls: start + between.join(map(each, calls)) + end


def around(start: str, end: str) -> Callable[[str], str]:
    return lambda text: f"{start}{text}{end}"


def as_object(call: Call, name: str = "name", arguments: str = "arguments") -> str:
    return compact({name: call[0], arguments: call[1]})


def plain(value: Any) -> str:
    """A value between marks: text as it is, all else as JSON."""
    return value if isinstance(value, str) else compact(value)


def function(call: Call, gap: str = "\n") -> str:
    inner = "".join(f"<parameter={key}>{gap}{plain(value)}{gap}</parameter>\n" for key, value in call[1].items())
    return f"<function={call[0]}>\n{inner}</function>"


def invoke(call: Call, prefix: str = "") -> str:
    inner = "".join(
        f'<{prefix}parameter name="{key}">{plain(value)}</{prefix}parameter>\n' for key, value in call[1].items()
    )
    return f'<{prefix}invoke name="{call[0]}">\n{inner}</{prefix}invoke>\n'


def step(call: Call) -> str:
    return invoke(call, "steptml:").replace("\n<", "<").strip()


def dsml(call: Call) -> str:
    inner = "".join(
        f'<｜DSML｜parameter name="{key}" string="{"true" if isinstance(value, str) else "false"}">{plain(value)}'
        "</｜DSML｜parameter>\n"
        for key, value in call[1].items()
    )
    return f'<｜DSML｜invoke name="{call[0]}">\n{inner}</｜DSML｜invoke>\n'


def arg_keys(call: Call, prefix: str = "", gap: str = "\n") -> str:
    return (
        call[0]
        + gap
        + "".join(
            f"<{prefix}arg_key>{key}</{prefix}arg_key>{gap}<{prefix}arg_value>{plain(value)}</{prefix}arg_value>{gap}"
            for key, value in call[1].items()
        )
    )


def python(call: Call) -> str:
    return f"{call[0]}({', '.join(f'{key}={value!r}' for key, value in call[1].items())})"


def gemma(call: Call, mark: str = '<|"|>') -> str:
    def value(one: Any) -> str:
        if isinstance(one, str):
            return f"{mark}{one}{mark}"
        if isinstance(one, dict):
            return "{" + ",".join(f"{key}:{value(inner)}" for key, inner in one.items()) + "}"
        return "[" + ",".join(map(value, one)) + "]" if isinstance(one, list) else compact(one)

    return f"call:{call[0]}{value(call[1])}"


def numbered(calls: list[Call]) -> str:
    return "".join(
        f"<|tool_call_begin|>functions.{name}:{at}<|tool_call_argument_begin|>{compact(arguments)}<|tool_call_end|>"
        for at, (name, arguments) in enumerate(calls)
    )


def harmony(calls: list[Call]) -> str:
    return (
        "<|call|><|start|>assistant".join(
            f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{compact(arguments)}"
            for name, arguments in calls
        )
        + "<|call|>"
    )


def xtml(calls: list[Call]) -> str:
    def one(call: Call) -> str:
        inner = "".join(
            f'<|open|>argument key="{key}" type="{"string" if isinstance(value, str) else "object"}"<|sep|>'
            f"{plain(value)}<|close|>argument<|sep|>"
            for key, value in call[1].items()
        )
        return f'<|open|>call tool="{call[0]}" index="1"<|sep|>{inner}<|close|>call<|sep|>'

    return f"<|open|>tools<|sep|>{''.join(map(one, calls))}<|close|>tools<|sep|>"


def muse(calls: list[Call]) -> str:
    inner = "".join(invoke(call, "atem:") for call in calls)
    return f"<|start|>assistant to=weather<|message|><atem:function_calls>\n{inner}</atem:function_calls><|eom|>"


def listed(start: str, end: str) -> Callable[[list[Call]], str]:
    """A JSON list."""
    return joined(start + "[", as_object, "]" + end, ", ")


THINK = around("<think>\n", "\n</think>\n\n")
HERMES = joined("", lambda call: f"<tool_call>\n{as_object(call)}\n</tool_call>", "", "\n")
WRITTEN = (
    Written(
        "hermes",
        HERMES,
        THINK,
        null='<tool_call>\n{"name": "stop", "arguments": null}\n</tool_call>',
        broken='<tool_call>\n{"name": "weather", "argu\n</tool_call>',
    ),
    Written(
        "harmony",
        harmony,
        around("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
        around("<|channel|>final<|message|>", ""),
        template="<|channel|>commentary",
    ),
    Written(
        "qwen3-coder",
        joined("", lambda call: f"<tool_call>\n{function(call)}\n</tool_call>", "", "\n"),
        THINK,
        template="<tool_call>\n<function=name>\n<parameter=p>",
        broken="<tool_call>\nweather with days 3\n</tool_call>",
    ),
    Written(
        "deepseek",
        joined(
            "<｜tool▁calls▁begin｜>",
            lambda call: f"<｜tool▁call▁begin｜>{call[0]}<｜tool▁sep｜>{compact(call[1])}<｜tool▁call▁end｜>",
            "<｜tool▁calls▁end｜>",
        ),
        THINK,
        null="<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>stop<｜tool▁sep｜>null<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        broken="<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    ),
    Written(
        "deepseek-v3",
        joined(
            "<｜tool▁calls▁begin｜>",
            lambda call: (
                f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{call[0]}\n```json\n{compact(call[1])}\n```<｜tool▁call▁end｜>"
            ),
            "<｜tool▁calls▁end｜>",
            "\n",
        ),
        THINK,
    ),
    Written("deepseek-v3.2", joined("<｜DSML｜function_calls>\n", dsml, "</｜DSML｜function_calls>"), THINK),
    Written("deepseek-v4", joined("<｜DSML｜tool_calls>\n", dsml, "</｜DSML｜tool_calls>"), THINK),
    Written(
        "llama-3",
        lambda calls: "; ".join(as_object(call, arguments="parameters") for call in calls),
        template="<|python_tag|>",
    ),
    Written(
        "llama-3",
        lambda calls: "<|python_tag|>" + "; ".join(as_object(call, arguments="parameters") for call in calls),
        template="<|python_tag|>",
    ),
    Written("llama-4", joined("[", python, "]", ", "), template="<|python_start|>"),
    Written("llama-4", joined("<|python_start|>[", python, "]<|python_end|>", ", "), template="<|python_start|>"),
    Written("phi-4", listed("<|tool_call|>", "<|/tool_call|>"), THINK),
    Written(
        "granite",
        listed("<|tool_call|>", ""),
        around("Here is my thought process:\n", "\nHere is my response:\n"),
        template="<|tool_call|> Here is my thought process: Here is my response:",
    ),
    Written(
        "command",
        joined(
            "<|START_ACTION|>[\n",
            lambda call: compact({"tool_call_id": "0", "tool_name": call[0], "parameters": call[1]}),
            "\n]<|END_ACTION|>",
            ",\n",
        ),
        around("<|START_THINKING|>", "<|END_THINKING|>"),
        around("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
        template="<|START_ACTION|><|START_RESPONSE|><|END_RESPONSE|>",
    ),
    Written(
        "hunyuan",
        listed("<tool_calls>", "</tool_calls>"),
        around("<think>\n", "\n</think>\n"),
        around("<answer>\n", "\n</answer>"),
        template="<tool_calls><answer></answer>",
    ),
    Written(
        "hunyuan-3",
        joined(
            "<tool_calls>",
            lambda call: f"\n<tool_call>{call[0]}<tool_sep>{arg_keys(('', call[1]))}</tool_call>",
            "\n</tool_calls>",
        ),
        THINK,
        template="<tool_calls><tool_call><tool_sep><arg_key>",
    ),
    Written(
        "seed-oss",
        joined("", lambda call: f"<seed:tool_call>\n{function(call, '')}\n</seed:tool_call>", "", "\n"),
        around("<seed:think>", "</seed:think>"),
    ),
    Written(
        "step-3",
        joined(
            "<｜tool_calls_begin｜>",
            lambda call: f"<｜tool_call_begin｜>function<｜tool_sep｜>{step(call)}<｜tool_call_end｜>",
            "<｜tool_calls_end｜>",
            "\n",
        ),
        THINK,
    ),
    Written(
        "glm",
        joined("", lambda call: f"<tool_call>{arg_keys(call)}</tool_call>", "", "\n"),
        THINK,
        template="<tool_call><arg_key>",
    ),
    Written(
        "glm",
        joined("", lambda call: f"<tool_call>{arg_keys(call, gap='')}</tool_call>", ""),
        THINK,
        template="<tool_call><arg_key>",
    ),
    Written(
        "glm-4-0414",
        joined("", lambda call: f"{call[0]}\n{compact(call[1])}", "", "\n"),
        template="<|user|><|observation|>",
    ),
    Written(
        "kimi-k2",
        lambda calls: f"<|tool_calls_section_begin|>{numbered(calls)}<|tool_calls_section_end|>",
        THINK,
        null="<|tool_calls_section_begin|><|tool_call_begin|>functions.stop:0<|tool_call_argument_begin|>null"
        "<|tool_call_end|><|tool_calls_section_end|>",
    ),
    Written(
        "kimi-k3",
        xtml,
        around("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
        around("<|open|>response<|sep|>", "<|close|>response<|sep|><|close|>message<|sep|>"),
        vocabulary=("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"),
    ),
    Written("minimax-m2", joined("<minimax:tool_call>\n", invoke, "</minimax:tool_call>"), THINK),
    Written(
        "mistral",
        joined("[TOOL_CALLS]", lambda call: f"{call[0]}[ARGS]{compact(call[1])}", "", "[TOOL_CALLS]"),
        around("[THINK]", "[/THINK]"),
        template="[TOOL_CALLS][ARGS]",
    ),
    Written(
        "mistral",
        joined("[TOOL_CALLS]", lambda call: f"{call[0]}[CALL_ID]abcDEF123[ARGS]{compact(call[1])}", "", "[TOOL_CALLS]"),
        around("[THINK]", "[/THINK]"),
        template="[TOOL_CALLS][ARGS]",
    ),
    Written(
        "mistral-v3",
        joined(
            "[TOOL_CALLS] [",
            lambda call: compact({"name": call[0], "arguments": call[1], "id": "abcDEF123"}),
            "]",
            ", ",
        ),
        template="[TOOL_CALLS]",
    ),
    Written(
        "gemma-4",
        joined("", lambda call: f"<|tool_call>{gemma(call)}<tool_call|>", ""),
        around("<|channel>thought\n", "<channel|>"),
        template="<|tool_call><tool_call|>",
    ),
    Written(
        "function-gemma",
        joined("", lambda call: f"<start_function_call>{gemma(call, '<escape>')}<end_function_call>", ""),
    ),
    Written("lfm2", joined("<|tool_call_start|>[", python, "]<|tool_call_end|>", ", "), THINK),
    Written(
        "longcat",
        joined("", lambda call: f"<longcat_tool_call>{arg_keys(call, 'longcat_')}</longcat_tool_call>", "", "\n"),
        around("<longcat_think>\n", "\n</longcat_think>\n"),
    ),
    Written(
        "minicpm",
        joined(
            "",
            lambda call: (
                f'<function name="{call[0]}">'
                + "".join(f'<param name="{key}">{plain(value)}</param>' for key, value in call[1].items())
                + "</function>"
            ),
            "",
            "\n",
        ),
        THINK,
        template='<function name="x"><param name="y">',
    ),
    Written(
        "muse",
        muse,
        around("to=self<|message|>", "<|eom|>"),
        around("<|start|>assistant to=user<|message|>", "<|eot|>"),
        template="<atem:function_calls>",
    ),
    Written(
        "apertus",
        joined("<|tools_prefix|>[", lambda call: compact({call[0]: call[1]}), "]<|tools_suffix|>", ", "),
        around("<|inner_prefix|>", "<|inner_suffix|>"),
    ),
    Written("nemotron", listed("<TOOLCALL>", "</TOOLCALL>"), THINK),
    Written("olmo-3", joined("<function_calls>\n", python, "\n</function_calls>", "\n"), THINK),
    Written(
        "internlm",
        joined(
            "",
            lambda call: f"<|action_start|><|plugin|>\n{as_object(call, arguments='parameters')}\n<|action_end|>",
            "",
        ),
        THINK,
        template="<|action_start|><|plugin|>",
    ),
    Written("functionary", joined("", lambda call: f">>>{call[0]}\n{compact(call[1])}", "", "\n"), template=">>>all"),
    Written(
        "llama-function",
        joined("", lambda call: f"<function={call[0]}>{compact(call[1])}</function>", ""),
        template="<function=example_function_name>{",
    ),
)
