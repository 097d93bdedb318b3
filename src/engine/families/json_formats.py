"""Formats whose arguments are JSON: objects that name a call, or heads that do. Data only; `tool_formats` has all.

After the templates and parsers that the models' makers publish (docs/families.md).
"""

from __future__ import annotations

import re
from typing import Any

from src.engine.families import bare, json_calls, pythonic
from src.engine.families.formats import Growth, Tools
from src.engine.families.json_calls import Headed

_QUOTED = r'"((?:[^"\\]|\\.)+)"'
_FIELD = r'"\w+"\s*:\s*(?:"[^"]*"|null|\d+)'
_JSON = Growth(
    re.compile(
        rf'(?:\s*functools)?(?:\s*,\s*{_FIELD}\s*\}})?[\s\[\],;}}]*\{{\s*(?:"(?:tool_call_id|type|id)"\s*:\s*"[^"]*"\s*,\s*)?'
        rf'"(?:name|tool_name)"\s*:\s*{_QUOTED}\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{{)'
    )
)
_KEYED = Growth(re.compile(rf"[\s\[\],}}]*\{{\s*{_QUOTED}\s*:\s*(?=\{{)"))
_KIMI = re.compile(
    r"\s*(?:<\|tool_call_end\|>)?\s*(?:<\|tool_call_begin\|>)?\s*(?:functions\.)?([^\s:<]+):\d+\s*"
    r"<\|tool_call_argument_begin\|>\s*(?=\{)"
)
_MISTRAL = re.compile(r"[\s,]*(?:\[TOOL_CALLS\])?\s*([\w.-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\])?\s*(?=\{)")
_DEEPSEEK = re.compile(
    r"[\s`]*(?:<｜tool▁call▁end｜>)?\s*(?:<｜tool▁call▁begin｜>)?\s*(?:function<｜tool▁sep｜>(?=\S+\s+```))?([^\s<`]+)\s*"
    r"(?:<｜tool▁sep｜>|```json)\s*(?=\{)"
)
_FUNCTIONARY = re.compile(r"\s*([\w.-]+)>\s*(?=\{)")
_GLM4 = re.compile(r"\s*([\w.-]+)\n\s*(?=\{)")
_DEEPSEEK_INNER = ("<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>")


def _mistral(text: str, tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A list of objects, or names with arguments behind: models are newer or older than their templates."""
    listed = text.lstrip()[:1] in ("[", "{") and "[ARGS]" not in text
    return json_calls.objects(text, tools) if listed else Headed(_MISTRAL)(text, tools)


FORMATS = (
    Tools(
        "harmony",
        "",
        "",
        json_calls.objects,
        signs=(("<|channel|>commentary",),),
        tokens=("<|channel|>", "<|message|>", "<|call|>"),
    ),
    Tools(
        "deepseek_v3",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
        Headed(_DEEPSEEK),
        Growth(_DEEPSEEK),
        _DEEPSEEK_INNER,
        signs=(("<｜tool▁calls▁begin｜>", "```json"),),
        arguments="text",
        call="<｜tool▁call▁begin｜>",
    ),
    Tools(
        "deepseek_v31",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
        Headed(_DEEPSEEK),
        Growth(_DEEPSEEK),
        _DEEPSEEK_INNER,
        signs=(("<｜tool▁calls▁begin｜>",),),
        tokens=("<｜tool▁calls▁begin｜>",),
        arguments="text",
        call="<｜tool▁call▁begin｜>",
    ),
    Tools(
        "kimi_k2",
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
        Headed(_KIMI),
        Growth(_KIMI),
        ("<|tool_call_begin|>", "<|tool_call_end|>", "<|tool_call_argument_begin|>"),
        signs=(("<|tool_calls_section_begin|>",),),
        ids="kimi",
        call="<|tool_call_begin|>",
    ),
    Tools(
        "mistral",
        "[TOOL_CALLS]",
        "",
        _mistral,
        Growth(re.compile(f"(?:{_MISTRAL.pattern})")),
        ("[ARGS]", "[CALL_ID]"),
        signs=(("[TOOL_CALLS]", "[ARGS]"),),
        ids="nine",
    ),
    Tools(
        "mistral_v3",
        "[TOOL_CALLS]",
        "",
        _mistral,
        _JSON,
        ("[ARGS]", "[CALL_ID]"),
        signs=(("[TOOL_CALLS]",),),
        ids="nine",
    ),
    Tools(
        "command",
        "<|START_ACTION|>",
        "<|END_ACTION|>",
        json_calls.objects,
        _JSON,
        signs=(("<|START_ACTION|>",),),
        tokens=("<|START_ACTION|>", "<|END_ACTION|>"),
    ),
    Tools(
        "apertus",
        "<|tools_prefix|>",
        "<|tools_suffix|>",
        json_calls.keyed,
        _KEYED,
        signs=(("<|tools_prefix|>",),),
        tokens=("<|tools_prefix|>", "<|tools_suffix|>"),
    ),
    Tools("nemotron_json", "<TOOLCALL>", "</TOOLCALL>", json_calls.objects, _JSON, signs=(("<TOOLCALL>",),)),
    Tools(
        "internlm",
        "<|action_start|><|plugin|>",
        "<|action_end|>",
        json_calls.objects,
        _JSON,
        signs=(("<|action_start|>", "<|plugin|>"),),
    ),
    Tools(
        "phi4_mini",
        "<|tool_call|>",
        "<|/tool_call|>",
        lambda text, tools: json_calls.objects(text.lstrip().removeprefix("functools"), tools),
        _JSON,
        signs=(("<|tool_call|>", "<|/tool_call|>"), ("<|tool|>", "<|/tool|>")),
        bare=bare.FUNCTOOLS,
    ),
    Tools("granite", "<|tool_call|>", "", json_calls.objects, _JSON, signs=(("<|tool_call|>",),)),
    Tools(
        "functionary",
        ">>>",
        "",
        Headed(re.compile(r"(?:>>>)?\s*([\w.-]+)\n\s*(?=\{)")),
        Growth(re.compile(r"\s*(?:>>>)?\s*([\w.-]+)\n\s*(?=\{)")),
        signs=((">>>all",),),
    ),
    Tools(
        "llama_function",
        "<function=",
        "</function>",
        Headed(_FUNCTIONARY),
        Growth(_FUNCTIONARY),
        signs=(("<function=example_function_name>{",), ("<function={tool_name}>",), ("'<function=' + ", "tojson")),
    ),
    Tools(
        "hunyuan",
        "<tool_calls>",
        "</tool_calls>",
        json_calls.objects,
        _JSON,
        ("<tool_call>", "</tool_call>"),
        signs=(("<tool_calls>",),),
    ),
    Tools(
        "hermes",
        "<tool_call>",
        "</tool_call>",
        json_calls.objects,
        _JSON,
        signs=(("<tool_call>",),),
    ),
    Tools(
        "llama3_json",
        "<|python_tag|>",
        "",
        lambda text, tools: (
            json_calls.objects(text, tools) if text.lstrip()[:1] in ("{", "[") else pythonic.parse(text, tools)
        ),
        _JSON,
        signs=(("<|python_tag|>",), ('"parameters": dictionary of argument name',), ("Environment: ipython",)),
        bare=bare.JSON,
    ),
    Tools(
        "glm4",
        "",
        "",
        Headed(_GLM4),
        Growth(_GLM4),
        signs=(("<|observation|>", "<|user|>"),),
        bare=bare.GLM4,
    ),
    Tools("xlam", "", "", json_calls.objects, _JSON, signs=(("xLAM",),), bare=bare.JSON),
)
