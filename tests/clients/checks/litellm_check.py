"""litellm's completion, streamed and whole, with tools; its embedding."""

import json
import sys

import litellm

url, model, bias = sys.argv[1:4]
litellm.telemetry = False
common = {"model": f"openai/{model}", "api_base": url, "api_key": "none", "max_tokens": 40, "temperature": 0}
hello = [{"role": "user", "content": "hello"}]
tool = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"days": {"type": "integer"}},
            "required": ["days"],
            "additionalProperties": False,
        },
    },
}

whole = litellm.completion(messages=hello, **common)
assert whole.choices[0].message.content
assert whole.usage.completion_tokens > 0
stream = litellm.completion(messages=hello, stream=True, stream_options={"include_usage": True}, **common)
pieces = list(stream)
assert "".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == whole.choices[0].message.content
forced = {"messages": hello, "tools": [tool], "tool_choice": "required", "logit_bias": json.loads(bias), **common}
call = litellm.completion(**forced)
(made,) = call.choices[0].message.tool_calls
assert json.loads(made.function.arguments) == {"days": 3}
rebuilt = litellm.stream_chunk_builder(list(litellm.completion(stream=True, **forced)))
assert json.loads(rebuilt.choices[0].message.tool_calls[0].function.arguments) == {"days": 3}
vectors = litellm.embedding(model=common["model"], api_base=url, api_key="none", input=["a quay", "a buoy"])
assert [len(one["embedding"]) > 0 for one in vectors.data] == [True, True]
try:
    litellm.completion(messages=hello, **{**common, "model": "openai/nobody"})
    raise AssertionError("an unknown model was answered")
except litellm.NotFoundError:
    pass
