"""pydantic-ai: text, structured output by tool and by schema, streaming."""

import asyncio
import json
import sys

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

url, model, bias = sys.argv[1:4]


class Berth(BaseModel):
    name: str
    number: int


engine = OpenAIChatModel(model, provider=OpenAIProvider(base_url=url, api_key="none"))
plain = {"max_tokens": 20, "temperature": 0}
short = {"max_tokens": 200, "temperature": 0, "logit_bias": json.loads(bias)}
text = Agent(engine, model_settings=plain).run_sync("hello")
assert isinstance(text.output, str)
assert text.output
for kind in (ToolOutput(Berth), NativeOutput(Berth)):
    made = Agent(engine, output_type=kind, model_settings=short).run_sync("Berth 3 please").output
    assert made == Berth(name="", number=3), made


async def stream() -> str:
    async with Agent(engine, model_settings=plain).run_stream("hello") as run:
        return "".join([piece async for piece in run.stream_text(delta=True)])


assert asyncio.run(stream()).strip() == text.output.strip()
