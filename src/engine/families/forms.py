"""How a call that must be made is written in each format, for grammars (`mlx/text/constrained`). Data only.

A format that is not here has its calls as bare JSON. `{name}` stands for the tool's name, `{key}` for an argument's,
`{n}` for a number, `{string}` for whether a value is text.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CallForm:
    """`open` and `close` stand around all calls, `before` and `after` around each one's arguments, `between` two.

    With a `key`, arguments stand each between it and `value_end`, a string as it is; else they are JSON. `single`: one
    call ends the turn. `thought`: what may stand before, where thinking is a message of its own.
    """

    before: str
    after: str
    open: str = ""
    close: str = ""
    between: str = ""
    key: str = ""
    value_end: str = ""
    single: bool = False
    thought: tuple[str, str] | None = None


_OBJECT = '{"name": "{name}", "arguments": '
_FUNCTION = ("<function={name}>\n", "</function>")
FORMS: dict[str, CallForm] = {
    "hermes": CallForm(f"<tool_call>\n{_OBJECT}", "}\n</tool_call>", between="\n"),
    "harmony": CallForm(
        "<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>",
        "",
        single=True,
        thought=("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
    ),
    "deepseek_v31": CallForm(
        "<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
    ),
    "deepseek_v3": CallForm(
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n",
        "\n```<｜tool▁call▁end｜>",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
        "\n",
    ),
    "deepseek_v32": CallForm(
        '<｜DSML｜invoke name="{name}">\n',
        "</｜DSML｜invoke>\n",
        "<｜DSML｜function_calls>\n",
        "</｜DSML｜function_calls>",
        key='<｜DSML｜parameter name="{key}" string="{string}">',
        value_end="</｜DSML｜parameter>\n",
    ),
    "deepseek_v4": CallForm(
        '<｜DSML｜invoke name="{name}">\n',
        "</｜DSML｜invoke>\n",
        "<｜DSML｜tool_calls>\n",
        "</｜DSML｜tool_calls>",
        key='<｜DSML｜parameter name="{key}" string="{string}">',
        value_end="</｜DSML｜parameter>\n",
    ),
    "qwen3_coder": CallForm(
        f"<tool_call>\n{_FUNCTION[0]}",
        f"{_FUNCTION[1]}\n</tool_call>",
        between="\n",
        key="<parameter={key}>\n",
        value_end="\n</parameter>\n",
    ),
    "seed_oss": CallForm(
        f"<seed:tool_call>\n{_FUNCTION[0]}",
        f"{_FUNCTION[1]}\n</seed:tool_call>",
        between="\n",
        key="<parameter={key}>",
        value_end="</parameter>\n",
    ),
    "minimax_m2": CallForm(
        '<invoke name="{name}">\n',
        "</invoke>\n",
        "<minimax:tool_call>\n",
        "</minimax:tool_call>",
        key='<parameter name="{key}">',
        value_end="</parameter>\n",
    ),
    "glm4_moe": CallForm(
        "<tool_call>{name}\n",
        "</tool_call>",
        between="\n",
        key="<arg_key>{key}</arg_key>\n<arg_value>",
        value_end="</arg_value>\n",
    ),
    "longcat": CallForm(
        "<longcat_tool_call>{name}\n",
        "</longcat_tool_call>",
        between="\n",
        key="<longcat_arg_key>{key}</longcat_arg_key>\n<longcat_arg_value>",
        value_end="</longcat_arg_value>\n",
    ),
    "step3": CallForm(
        '<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="{name}">',
        "</steptml:invoke><｜tool_call_end｜>",
        "<｜tool_calls_begin｜>",
        "<｜tool_calls_end｜>",
        "\n",
        key='<steptml:parameter name="{key}">',
        value_end="</steptml:parameter>",
    ),
    "kimi_k2": CallForm(
        "<|tool_call_begin|>functions.{name}:{n}<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
    ),
    "mistral": CallForm("[TOOL_CALLS]{name}[ARGS]", ""),
    "mistral_v3": CallForm(_OBJECT, "}", "[TOOL_CALLS] [", "]", ", "),
    "command": CallForm(
        '{"tool_call_id": "{n}", "tool_name": "{name}", "parameters": ',
        "}",
        "<|START_ACTION|>[\n",
        "\n]<|END_ACTION|>",
        ",\n",
    ),
    "phi4_mini": CallForm(_OBJECT, "}", "<|tool_call|>[", "]<|/tool_call|>", ", "),
    "granite": CallForm(_OBJECT, "}", "<|tool_call|>[", "]", ", "),
    "hunyuan": CallForm(_OBJECT, "}", "<tool_calls>[", "]</tool_calls>", ", "),
    "nemotron_json": CallForm(_OBJECT, "}", "<TOOLCALL>[", "]</TOOLCALL>", ", "),
    "apertus": CallForm('{"{name}": ', "}", "<|tools_prefix|>[", "]<|tools_suffix|>", ", "),
    "internlm": CallForm(
        '<|action_start|><|plugin|>\n{"name": "{name}", "parameters": ', "}\n<|action_end|>", single=True
    ),
    "llama3_json": CallForm('{"name": "{name}", "parameters": ', "}", single=True),
    "llama_function": CallForm("<function={name}>", "</function>"),
    "functionary": CallForm(">>>{name}\n", "", between="\n"),
}
