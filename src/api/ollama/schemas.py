"""Shapes of Ollama's API. Requests are taken as loosely as Ollama takes them: a number may be written as a float."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from src.api.wire import Wire

MAX_INPUTS = 2048
# only zero comes this far
KeepAlive = str | float | None
Think = bool | Literal["low", "medium", "high"] | None
Name = Annotated[str, Field(min_length=1, max_length=512)]
Text = Annotated[str, Field(min_length=1)]


class _OllamaModel(BaseModel):
    """Fields that nobody knows are set aside before (`disclosure`), or have no effect where they stand."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        """Null is what is left out."""
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


class Options(_OllamaModel):
    """How tokens are chosen; what concerns the loading of a model is the server's to decide."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    num_predict: int | None = None
    stop: list[str] | str | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class CalledFunction(_OllamaModel):
    name: str
    arguments: dict[str, Any] | str = {}


class Call(_OllamaModel):
    id: str | None = None
    function: CalledFunction


class OllamaMessage(_OllamaModel):
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str | None = None
    images: list[Text] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Request(_OllamaModel):
    model: Name
    stream: bool = True
    format: Literal["", "json"] | dict[str, Any] | None = None
    options: Options | None = None
    keep_alive: KeepAlive = None
    think: Think = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class ChatRequest(_Request):
    """Body of POST /api/chat. Without messages it loads the model, or unloads it."""

    messages: list[OllamaMessage] = []
    tools: list[dict[str, Any]] | None = None


class GenerateBody(_Request):
    """Body of POST /api/generate. Without a prompt it loads the model, or unloads it."""

    prompt: str = ""
    system: str | None = None
    images: list[Text] | None = None
    raw: bool = False


class EmbedBody(_OllamaModel):
    """Body of POST /api/embed."""

    model: Name
    input: Text | Annotated[list[Text], Field(max_length=MAX_INPUTS)]
    dimensions: int | None = Field(None, ge=1, le=1_000_000)
    truncate: bool = True
    keep_alive: KeepAlive = None


class EmbeddingsBody(_OllamaModel):
    """Body of POST /api/embeddings, the older form."""

    model: Name
    prompt: Text
    keep_alive: KeepAlive = None


class NamedModel(_OllamaModel):
    """Body of what concerns one model; `name` is the older word."""

    model: Name | None = None
    name: Name | None = None
    stream: bool = True


# ---- what is sent


class OllamaFunctionOut(Wire, frozen=True):
    name: str
    arguments: Any
    index: int = 0


class CallOut(Wire, frozen=True):
    id: str
    function: OllamaFunctionOut


class OllamaMessageOut(Wire, frozen=True, omit_defaults=True):
    role: str
    content: str
    thinking: str | None = None
    tool_calls: tuple[CallOut, ...] = ()


class OllamaTopLogprob(Wire, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...]


class Logprob(Wire, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...]
    top_logprobs: tuple[OllamaTopLogprob, ...] = ()


class OllamaResponse(Wire, frozen=True, omit_defaults=True):
    """One line of a stream, or a whole answer: `message` of a chat, `response` of a text. Durations: nanoseconds."""

    model: str
    created_at: str
    done: bool | msgspec.UnsetType = msgspec.UNSET
    message: OllamaMessageOut | msgspec.UnsetType = msgspec.UNSET
    response: str | msgspec.UnsetType = msgspec.UNSET
    thinking: str | msgspec.UnsetType = msgspec.UNSET
    logprobs: tuple[Logprob, ...] = ()
    done_reason: str | None = None
    total_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


class OllamaEmbeddings(Wire, frozen=True):
    model: str
    embeddings: tuple[list[float], ...]
    total_duration: int
    prompt_eval_count: int


class OllamaEmbedding(Wire, frozen=True):
    embedding: list[float]


class Details(Wire, frozen=True):
    format: str
    family: str
    families: tuple[str, ...]
    parameter_size: str
    quantization_level: str
    parent_model: str = ""


class Model(Wire, frozen=True):
    """An entry of /api/tags. `digest` stands for the name and size alone: the weights are not read for it."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details


class Models(Wire, frozen=True):
    models: tuple[Model, ...]


class RunningModel(Wire, frozen=True):
    """An entry of /api/ps."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str
    size_vram: int
    context_length: int


class RunningModels(Wire, frozen=True):
    models: tuple[RunningModel, ...]


class Shown(Wire, frozen=True):
    """What /api/show tells."""

    details: Details
    model_info: dict[str, Any]
    capabilities: tuple[str, ...]
    modified_at: str
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    license: str = ""


class OllamaVersion(Wire, frozen=True):
    """`version`: of Ollama's API, as far as it is spoken here; clients refuse old ones."""

    version: str
    stoker: str


class OllamaStatus(Wire, frozen=True):
    """How far a pull is."""

    status: str
