"""instructor's modes: tools, JSON schema."""

import json
import sys
from typing import Literal

import instructor
import openai
from pydantic import BaseModel, Field

url, model, bias = sys.argv[1:4]


class Berth(BaseModel):
    name: str = Field(max_length=10)
    number: int
    kind: Literal["a", "b"]


client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
    wrapped = instructor.from_openai(client, mode=mode)
    made = wrapped.chat.completions.create(
        model=model,
        response_model=Berth,
        max_retries=0,
        max_tokens=200,
        temperature=0,
        logit_bias=json.loads(bias),
        messages=[{"role": "user", "content": "Berth 3 please"}],
    )
    assert isinstance(made, Berth), mode
    assert made.number == 3, (mode, made)
