"""Formats whose arguments stand each between marks, or are written as a program's. Data only; `tool_formats` has all.

After the templates and parsers that the models' makers publish (docs/families.md).
"""

from __future__ import annotations

import re

from src.engine.families import bare, pythonic
from src.engine.families.formats import Growth, Tools
from src.engine.families.gemma import GemmaCalls
from src.engine.families.tagged import Tagged

_FUNCTION = Tagged(
    r"<function=(?P<name>[^\s<>]+)>(?P<body>.*?)(?:</function>|$)",
    r"<parameter=(?P<key>[^\s<>]+)>(?P<value>.*?)</parameter>",
)
_FUNCTION_GROWTH = Growth(None, re.compile(r"\s*<function=([^\s<>]+)>"), "</parameter>", "</function>")
_INVOKE = Tagged(
    r"<invoke name=[\"']?(?P<name>[^\"'>]+)[\"']?>(?P<body>.*?)(?:</invoke>|$)",
    r"<parameter name=[\"']?(?P<key>[^\"'>]+)[\"']?>(?P<value>.*?)</parameter>",
)
_DSML = Tagged(
    r"<｜DSML｜invoke name=\"(?P<name>[^\"]+)\">(?P<body>.*?)(?:</｜DSML｜invoke>|$)",
    r"<｜DSML｜parameter name=\"(?P<key>[^\"]+)\"(?: string=\"(?P<string>true|false)\")?>(?P<value>.*?)"
    r"</｜DSML｜parameter>",
)
_DSML_GROWTH = Growth(
    None, re.compile(r"\s*<｜DSML｜invoke name=\"([^\"]+)\">"), "</｜DSML｜parameter>", "</｜DSML｜invoke>"
)
_STEP = Tagged(
    r"<steptml:invoke name=\"(?P<name>[^\"]+)\">(?P<body>.*?)(?:</steptml:invoke>|$)",
    r"<steptml:parameter name=\"(?P<key>[^\"]+)\">(?P<value>.*?)</steptml:parameter>",
)
_ATEM = Tagged(
    r"<atem:invoke\b[^>]*?\bname=\"(?P<name>[^\"]+)\">(?P<body>.*?)(?:</atem:invoke>|$)",
    r"<atem:parameter\b[^>]*?\bname=\"(?P<key>[^\"]+)\"[^>]*?>(?P<value>.*?)</atem:parameter>",
)


def _arg_keys(prefix: str = "", head: str = r"\s*(?P<name>[^\s<{]+)\s*") -> Tagged:
    """GLM's way: a name, then keys and values."""
    key, value = f"{prefix}arg_key", f"{prefix}arg_value"
    return Tagged(
        rf"{head}(?P<body>(?:\s*<{key}>.*?)?)(?:</tool_call>|(?=<tool_call>)|$)",
        rf"<{key}>(?P<key>.*?)</{key}>\s*<{value}>(?P<value>.*?)</{value}>",
    )


_DSML_INNER = ("<｜DSML｜invoke", "</｜DSML｜invoke>", "</｜DSML｜parameter>", "<｜DSML｜parameter")

FORMATS = (
    Tools(
        "minimax_m3",
        "]<]minimax[>[<tool_call>",
        "]<]minimax[>[</tool_call>",
        "mlx_vlm.tools.parsers.minimax_m3",
        inner=("]<]minimax[>[",),
        signs=(("]<]minimax[>[",), ("<mm:think>",)),
    ),
    Tools(
        "minimax_m2",
        "<minimax:tool_call>",
        "</minimax:tool_call>",
        _INVOKE,
        Growth(None, re.compile(r"\s*<invoke name=[\"']?([^\s\"'>]+)[\"']?>"), "</parameter>", "</invoke>"),
        signs=(("<minimax:tool_call>",),),
    ),
    Tools(
        "deepseek_v32",
        "<｜DSML｜function_calls>",
        "</｜DSML｜function_calls>",
        _DSML,
        _DSML_GROWTH,
        _DSML_INNER,
        signs=(("DSML", "function_calls"),),
        arguments="text",
        call="<｜DSML｜invoke",
    ),
    Tools(
        "deepseek_v4",
        "<｜DSML｜tool_calls>",
        "</｜DSML｜tool_calls>",
        _DSML,
        _DSML_GROWTH,
        _DSML_INNER,
        signs=(("DSML", "tool_calls>"),),
        arguments="text",
        call="<｜DSML｜invoke",
    ),
    Tools(
        "step3",
        "<｜tool_calls_begin｜>",
        "<｜tool_calls_end｜>",
        _STEP,
        Growth(
            None,
            re.compile(
                r"\s*(?:<｜tool_call_begin｜>)?\s*(?:function)?\s*(?:<｜tool_sep｜>)?\s*"
                r"<steptml:invoke name=\"([^\"]+)\">"
            ),
            "</steptml:parameter>",
            "</steptml:invoke>",
        ),
        ("<｜tool_call_begin｜>", "<｜tool_call_end｜>", "<｜tool_sep｜>"),
        signs=(("<｜tool_calls_begin｜>",), ("steptml:invoke",)),
        call="<｜tool_call_begin｜>",
    ),
    Tools(
        "seed_oss",
        "<seed:tool_call>",
        "</seed:tool_call>",
        _FUNCTION,
        _FUNCTION_GROWTH,
        signs=(("<seed:tool_call>",),),
    ),
    Tools(
        "gemma4",
        "<|tool_call>",
        "<tool_call|>",
        GemmaCalls('<|"|>'),
        inner=('<|"|>',),
        signs=(("<|tool_call>", "<tool_call|>"),),
        tokens=("<|tool_call>", "<tool_call|>"),
    ),
    Tools(
        "function_gemma",
        "<start_function_call>",
        "<end_function_call>",
        GemmaCalls("<escape>"),
        inner=("<escape>",),
        signs=(("<start_function_call>",),),
    ),
    Tools(
        "longcat",
        "<longcat_tool_call>",
        "</longcat_tool_call>",
        _arg_keys("longcat_"),
        Growth(None, re.compile(r"\s*([^\s<{]+)\s*(?=<longcat_arg_key>)"), "</longcat_arg_value>"),
        signs=(("<longcat_tool_call>",),),
    ),
    Tools(
        "hunyuan_v3",
        "<tool_calls>",
        "</tool_calls>",
        _arg_keys(head=r"<tool_call>\s*(?P<name>[^\s<{]+)\s*<tool_sep>\s*"),
        Growth(None, re.compile(r"\s*<tool_call>\s*([^\s<{]+)\s*<tool_sep>"), "</arg_value>", "</tool_call>"),
        ("<tool_call>", "</tool_call>", "<tool_sep>"),
        signs=(("<tool_sep>", "<arg_key>"),),
        call="<tool_call>",
    ),
    Tools(
        "glm4_moe",
        "<tool_call>",
        "</tool_call>",
        _arg_keys(),
        Growth(None, re.compile(r"\s*([^\s<{]+)\s*(?=<arg_key>)"), "</arg_value>"),
        signs=(("<arg_key>",),),
    ),
    Tools(
        "lfm2",
        "<|tool_call_start|>",
        "<|tool_call_end|>",
        pythonic.parse,
        signs=(("<|tool_list_start|>",), ("<|tool_call_start|>",)),
        tokens=("<|tool_call_start|>", "<|tool_call_end|>"),
    ),
    Tools(
        "qwen3_coder",
        "<tool_call>",
        "</tool_call>",
        _FUNCTION,
        _FUNCTION_GROWTH,
        signs=(
            ("<tool_call>\\n<function=",),
            ("<tool_call>\n<function=",),
            ("<tool_call>", "<function=", "<parameter="),
        ),
        call="<function=",
    ),
    Tools(
        "kimi_k3",
        "<|open|>tools<|sep|>",
        "<|close|>tools<|sep|>",
        "mlx_lm.tool_parsers.kimi_k3",
        inner=("<|open|>", "<|close|>", "<|sep|>"),
        tokens=("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"),
    ),
    Tools(
        "minicpm5",
        "<function name=",
        "</function>",
        Tagged(
            r"\s*[\"']?(?P<name>[^\"'<>]+)[\"']?\s*>(?P<body>.*)",
            r"<param\s+name\s*=\s*[\"']?(?P<key>[^\"'>]+)[\"']?\s*>(?P<value>.*?)</param>",
        ),
        Growth(None, re.compile(r"\s*[\"']?([^\s\"'<>]+)[\"']?\s*>"), "</param>"),
        signs=(('<function name="', '<param name="'),),
    ),
    Tools(
        "muse_spark",
        "<atem:function_calls>",
        "</atem:function_calls>",
        _ATEM,
        Growth(None, re.compile(r'\s*<atem:invoke\b[^>]*?\bname="([^"]+)">'), "</atem:parameter>", "</atem:invoke>"),
        signs=(("<atem:function_calls>",),),
    ),
    Tools("olmo3", "<function_calls>", "</function_calls>", pythonic.parse, signs=(("<function_calls>",),)),
    Tools(
        "llama4_pythonic",
        "<|python_start|>",
        "<|python_end|>",
        pythonic.parse,
        signs=(("<|python_start|>",), ("[func_name1(params_name1",)),
        bare=bare.PYTHON,
    ),
)
