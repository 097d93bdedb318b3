"""openai-agents, over /v1/responses and over chat: text, a tool, a typed output, a stream."""

import asyncio
import json
import sys

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

url, name, bias = sys.argv[1:4]
set_tracing_disabled(True)
called = []


class Berth(BaseModel):
    name: str
    number: int


@function_tool
def weather(days: int) -> str:
    """How the weather will be."""
    called.append(days)
    return "sunny"


async def main() -> None:
    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel):
        model = kind(model=name, openai_client=client)
        plain = ModelSettings(max_tokens=20, temperature=0)
        short = ModelSettings(max_tokens=200, temperature=0, extra_body={"logit_bias": json.loads(bias)})
        typed = await Runner.run(Agent(name="a", model=model, model_settings=short, output_type=Berth), "Berth 3")
        assert typed.final_output == Berth(name="", number=3), (kind, typed.final_output)
        must = ModelSettings(
            max_tokens=60, temperature=0, tool_choice="required", extra_body={"logit_bias": json.loads(bias)}
        )
        await Runner.run(
            Agent(name="a", model=model, model_settings=must, tools=[weather], tool_use_behavior="stop_on_first_tool"),
            "hi",
        )
        assert called.pop() == 3
        run = Runner.run_streamed(Agent(name="a", model=model, model_settings=short, output_type=Berth), "Berth 3")
        kinds = {event.type async for event in run.stream_events()}
        assert "raw_response_event" in kinds
        assert run.final_output == typed.final_output
    # over /v1/responses an answer that max_tokens cuts is an error of theirs, and a random model never ends by itself
    chat = OpenAIChatCompletionsModel(model=name, openai_client=client)
    text = await Runner.run(Agent(name="a", model=chat, model_settings=plain), "hello")
    assert text.final_output


asyncio.run(main())
