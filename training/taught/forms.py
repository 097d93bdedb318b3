"""How four families write: a minimal chat template of each, and the turns that a model of it is taught to write."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

Call = tuple[str, dict[str, str | int]]


@dataclass(frozen=True)
class Form:
    """`begun`: whether the template opens the thinking. `several`: whether a turn may hold more than one call."""

    name: str
    template: str
    tokens: tuple[str, ...]
    ends: tuple[str, ...]
    thought: Callable[[str], str]
    calls: Callable[[list[Call]], str]
    answer: Callable[[str], str]
    several: bool = True

    def called(self, thought: str, made: list[Call]) -> str:
        return self.thought(thought) + self.calls(made)

    def answered(self, thought: str, text: str) -> str:
        return self.thought(thought) + self.answer(text)


_TOOLS = "{% for tool in tools %} {{ (tool.function or tool).name }}{% endfor %}"


def _hermes(calls: list[Call]) -> str:
    made = (json.dumps({"name": name, "arguments": arguments}) for name, arguments in calls)
    return "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in made) + "<|im_end|>"


HERMES = Form(
    "hermes",
    "{% if tools %}<|im_start|>system\nTools:" + _TOOLS + "<|im_end|>\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>{{ m.content }}</tool_response>"
    "<|im_end|>\n{% elif m.tool_calls %}<|im_start|>assistant\n{% for c in m.tool_calls %}"
    '<tool_call>\n{"name": {{ c.function.name | tojson }}, "arguments": {{ c.function.arguments | tojson }}}\n'
    "</tool_call>{{ '' if loop.last else '\\n' }}{% endfor %}<|im_end|>\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}{# <think> </think> #}",
    ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<think>", "</think>"),
    ("<|im_end|>",),
    lambda text: f"<think>\n{text}\n</think>\n\n",
    _hermes,
    lambda text: f"{text}<|im_end|>",
)


def _dsml(calls: list[Call]) -> str:
    def argument(key: str, value: str | int) -> str:
        kind = "true" if isinstance(value, str) else "false"
        return f'<｜DSML｜parameter name="{key}" string="{kind}">{value}</｜DSML｜parameter>\n'

    made = (
        f'<｜DSML｜invoke name="{name}">\n{"".join(argument(*pair) for pair in arguments.items())}</｜DSML｜invoke>\n'
        for name, arguments in calls
    )
    return f"<｜DSML｜function_calls>\n{''.join(made)}</｜DSML｜function_calls><｜end▁of▁sentence｜>"


DSML = Form(
    "dsml",
    "{% if tools %}Tools:" + _TOOLS + "\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<function_results>{{ m.content }}</function_results>"
    "{% elif m.tool_calls %}<｜Assistant｜></think><｜DSML｜function_calls>\n{% for c in m.tool_calls %}"
    '<｜DSML｜invoke name="{{ c.function.name }}">\n{{ c.function.arguments }}</｜DSML｜invoke>\n{% endfor %}'
    "</｜DSML｜function_calls><｜end▁of▁sentence｜>"
    "{% elif m.role == 'assistant' %}<｜Assistant｜></think>{{ m.content }}<｜end▁of▁sentence｜>"
    "{% else %}<｜User｜>{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜><think>{% endif %}",
    ("<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "｜DSML｜", "<think>", "</think>"),
    ("<｜end▁of▁sentence｜>",),
    lambda text: f"{text}</think>",
    _dsml,
    lambda text: f"{text}<｜end▁of▁sentence｜>",
)


def _harmony(calls: list[Call]) -> str:
    ((name, arguments),) = calls
    head = f"<|start|>assistant<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
    return f"{head}{json.dumps(arguments)}<|call|>"


HARMONY = Form(
    "harmony",
    "{% if tools %}<|start|>developer<|message|>Tools:" + _TOOLS + "<|end|>{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<|start|>functions.{{ m.name }} to=assistant<|channel|>commentary"
    "<|message|>{{ m.content }}<|end|>{% elif m.tool_calls %}{% for c in m.tool_calls %}"
    "<|start|>assistant<|channel|>commentary to=functions.{{ c.function.name }} <|constrain|>json<|message|>"
    "{{ c.function.arguments | tojson }}<|call|>{% endfor %}"
    "{% elif m.role == 'assistant' %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>"
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}",
    ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|call|>", "<|return|>"),
    ("<|return|>", "<|call|>"),
    lambda text: f"<|channel|>analysis<|message|>{text}<|end|>",
    _harmony,
    lambda text: f"<|start|>assistant<|channel|>final<|message|>{text}<|return|>",
    several=False,
)


def _gemma(calls: list[Call]) -> str:
    def argument(key: str, value: str | int) -> str:
        return f'{key}:<|"|>{value}<|"|>' if isinstance(value, str) else f"{key}:{value}"

    made = (f"{name}{{{','.join(argument(*pair) for pair in arguments.items())}}}" for name, arguments in calls)
    return "".join(f"<|tool_call>call:{call}<tool_call|>" for call in made) + "<turn|>"


GEMMA = Form(
    "gemma",
    "{% if tools %}<|turn>system\nTools:" + _TOOLS + "<turn|>\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<|turn>tool\n{{ m.content }}<turn|>\n"
    "{% elif m.tool_calls %}<|turn>model\n{% for c in m.tool_calls %}<|tool_call>call:{{ c.function.name }}"
    "{{ c.function.arguments | tojson }}<tool_call|>{% endfor %}<turn|>\n"
    "{% else %}<|turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content }}<turn|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|turn>model\n{% endif %}{# <|channel>thought <channel|> #}",
    ("<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", '<|"|>'),
    ("<turn|>",),
    lambda text: f"<|channel>thought\n{text}<channel|>",
    _gemma,
    lambda text: f"{text}<turn|>",
)

FORMS = {form.name: form for form in (HARMONY, HERMES, DSML, GEMMA)}
