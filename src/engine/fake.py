"""The `fake` engine: deterministic, without a model, for tests and dry runs.

It answers with the text of the last message that is not the system's, or with what follows the beginning it is given,
one token per UTF-8 byte.
Words of the form `fake:NAME=VALUE` in that message
programme it: `count=N` (answer N letters instead), `delay=S` (seconds per step), `prefill=S` (seconds before the first
token), `grow=MB` (a leak), `crash`, `crash=N` (die at once, or after N tokens), `hang`, `hang=N` (stop computing),
`error` (a step raises), `gpu` (a step raises what a GPU that hangs makes MLX raise; not on the CPU).
In the model's name, `fake:load=S` makes its load take that long.
"""

from __future__ import annotations

import codecs
import os
import re
import signal
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import dataclass

from src.engine.admission import chunk
from src.engine.backend import Grammar, OutputParser, Step, TextScores, Token
from src.engine.families.forced import NamedReader, RequiredReader, new_call_id
from src.errors import InvalidRequest, UnsupportedValue
from src.gpu import footprint
from src.ipc.messages.chat import Alternative, ChatMessage, FinishReason, GenerateRequest, Sampling, TokenLogprob
from src.ipc.messages.status import DeviceReading, KvReading, MemoryReading, ModelInfo, PrefixReading
from src.settings import EngineSettings

END = 256
_BEGUN = b"\x01assistant\x03"
_SYSTEM = b"\x01system\x02"
_SPEAKER = re.compile(rb"\x01(?!system\x02)\w+\x02")
_DIRECTIVE = re.compile(r"\bfake:([a-z]+)(?:=([0-9.]+))?")
_HANG_S = 3600.0
_GPU_ERROR = (
    "[METAL] Command buffer execution failed: Caused GPU Timeout Error "
    "(00000002:kIOGPUCommandBufferCallbackErrorTimeout)"
)


@dataclass
class _FakeAnswer:
    """A sequence being answered."""

    script: dict[str, float]
    text: bytes
    budget: int
    prefill_left: int
    made: int = 0
    scored: bool = False


class FakeTokenizer:
    """One token per byte; role markers are ASCII control characters."""

    def encode_chat(self, messages: Seq[ChatMessage]) -> list[int]:
        return list("".join(f"\x01{m.role}\x02{m.content}" for m in messages).encode())

    def _continued(self, messages: Seq[ChatMessage]) -> list[int]:
        """The last turn is the answer's beginning."""
        return [*self.encode_chat(messages[:-1]), *_BEGUN, *messages[-1].content.encode()]

    def encode(self, request: GenerateRequest) -> list[int]:
        raw = request.raw_prompt
        if any(message.parts for message in request.messages):
            raise UnsupportedValue("The fake engine reads no images.", param="messages")
        if raw is None:
            return self._continued(request.messages) if request.continue_final else self.encode_chat(request.messages)
        if raw.suffix:
            raise UnsupportedValue("The fake engine fills in no middle.", param="suffix")
        for token in raw.tokens:
            if not 0 <= token <= END:
                raise InvalidRequest(f"Token id {token} is outside the vocabulary ({END + 1} entries).", param="prompt")
        return list(raw.tokens) or list((raw.text or "").encode())

    def encode_text(self, text: str) -> list[int]:
        return list(text.encode())

    def text(self, request: GenerateRequest) -> str:
        raw = request.raw_prompt
        return "".join(message.content for message in request.messages) if raw is None else raw.text or ""

    def count(self, text: str) -> int:
        return len(text.encode())

    longest = 1

    def set_aside(self, request: GenerateRequest, prompt: list[int]) -> tuple[str, ...]:
        """There is no template that could have switches."""
        del prompt
        return tuple(f"chat_template_kwargs.{name}" for name in request.template_options)

    def media(self, request: GenerateRequest) -> None:  # as the protocol
        """There never are pictures."""

    def decode(self, tokens: Seq[int]) -> str:
        return bytes(token for token in tokens if token < END).decode(errors="replace")

    def reader(self, request: GenerateRequest, prompt: list[int]) -> OutputParser | None:
        """An echo has no marks; a tool that must be called is called with it."""
        del prompt
        if request.tool_choice.mode == "named" and request.tool_choice.name is not None:
            return NamedReader(request.tool_choice.name, new_call_id)
        return RequiredReader(new_call_id) if request.tool_choice.mode == "required" else None

    def grammar(self, request: GenerateRequest) -> Grammar | None:
        """Nothing can be promised of an echo's form, unless it is a call that a test wrote into the message."""
        if request.answer_form is not None:
            raise UnsupportedValue("The fake engine keeps to no form.", param=request.answer_form.param)
        if request.json_schema is not None:
            raise UnsupportedValue("The fake engine keeps to no schema.", param="response_format")
        if request.tool_choice.mode == "auto":
            return None
        if not (request.messages and request.messages[-1].content.startswith(("{", "["))):
            raise UnsupportedValue("The fake engine calls no tools.", param="tool_choice")
        return None

    def check(self, sampling: Sampling) -> None:
        """Every token id is as good as another: nothing is chosen here."""

    def detokenizer(self, *, continues: bool = False) -> FakeDetokenizer:
        del continues  # it changes nothing
        return FakeDetokenizer()


class FakeDetokenizer:
    """Bytes to text, whole characters only."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")  # max_tokens may cut the last character

    def add(self, token: int) -> str:
        return self._decoder.decode(bytes((token,)))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class FakeScorer:
    """Every byte had to come."""

    def begin(self, texts: Seq[Seq[int]], top: int) -> FakeScorePass:
        return FakeScorePass(texts, top)


class FakeScorePass:
    """Some texts, as many columns at a time as are asked for."""

    def __init__(self, texts: Seq[Seq[int]], top: int) -> None:
        self._texts, self._top = texts, top
        self.left = max(map(len, texts))

    def compute(self, columns: int) -> None:
        self.left = max(0, self.left - columns)

    def scores(self) -> list[TextScores]:
        return [TextScores(tuple(map(self._score, text))) for text in self._texts]

    def _score(self, token: int) -> TokenLogprob:
        certain = _certain(token)
        return TokenLogprob(certain.chosen, certain.top[: self._top])


class FakeBackend:
    """See the module's text. `sleep` is passed in so that unit tests need not wait."""

    name = "fake"
    embedder = None  # an echo has no meaning to compare
    kv_room = None

    def __init__(
        self,
        model: str,
        settings: EngineSettings,
        sleep: Callable[[float], None] = time.sleep,
        revision: str = "fake",
    ) -> None:
        context = settings.max_model_len or 1 << 20
        self.info = ModelInfo(name=model, context_length=context, parameters=0, revision=revision, scores_prompts=True)
        self.device = DeviceReading(kind="none")
        self.tokenizer = FakeTokenizer()
        self.scorer = FakeScorer()
        self._step_size = settings.prefill_step_size
        sleep(_script(model).get("load", 0.0))
        self._on_gpu = settings.device_type != "cpu"
        self._sleep = sleep
        self._answers: dict[int, _FakeAnswer] = {}
        self._next_uid = 0
        self._leak: list[bytes] = []

    @property
    def end_tokens(self) -> frozenset[int]:
        return frozenset((END,))

    def cached_prefix_length(self, prompt: list[int], salt: str) -> int | None:
        del prompt, salt  # there is no prefix cache
        return None

    def load_prefix(self, prompt: list[int], salt: str, seconds: float) -> bool:
        del prompt, salt, seconds
        return False

    def insert(
        self,
        prompt: list[int],
        max_tokens: int,
        sampling: Sampling,
        prefix: int = 0,
        grammar: Grammar | None = None,
        salt: str = "",
        media: object | None = None,
        prediction: Seq[int] = (),
    ) -> int:
        del grammar, salt, media, prediction  # an echo needs none
        spoken = bytes(token for token in prompt[: len(prompt) - prefix] if token < END)
        said, _, begun = spoken.partition(_BEGUN)
        text = _last_words(said).removeprefix(begun)
        script = _script(text.decode(errors="replace"))
        answer = b"abcdefghijklmnopqrstuvwxyz"[: int(script["count"])] if "count" in script else text
        if "count" in script:
            answer = (answer * (int(script["count"]) // max(1, len(answer)) + 1))[: int(script["count"])]
        self._next_uid += 1
        self._answers[self._next_uid] = _FakeAnswer(
            script, answer, prefix + max_tokens, len(prompt), made=prefix, scored=sampling.logprobs is not None
        )
        return self._next_uid

    def step(self, prefill: int | None = None) -> Step:
        """One token for each sequence whose prefill is done, one chunk of prefill for the others."""
        lefts = [answer.prefill_left for answer in self._answers.values() if answer.prefill_left > 0]
        size = chunk(lefts, prefill or self._step_size)
        self._misbehave()
        tokens, prefill_left = [], {}
        for uid, answer in list(self._answers.items()):
            if answer.prefill_left > 0:
                self._sleep(answer.script.get("prefill", 0.0))
                answer.prefill_left = max(0, answer.prefill_left - size)
                prefill_left[uid] = answer.prefill_left
            else:
                tokens.append(self._advance(uid, answer))
        return Step(tokens, prefill_left)

    def _advance(self, uid: int, answer: _FakeAnswer) -> Token:
        ended = answer.made >= len(answer.text)
        token = END if ended else answer.text[answer.made]
        answer.made += 1
        finish: FinishReason | None = "stop" if ended else "length" if answer.made >= answer.budget else None
        if finish:
            del self._answers[uid]
        scores = _certain(token) if answer.scored else None
        return Token(uid, token, finish, scores)

    def _misbehave(self) -> None:
        self._sleep(max((a.script.get("delay", 0.0) for a in self._answers.values()), default=0.0))
        for answer in self._answers.values():
            script, made = answer.script, answer.made
            self._leak.append(b"x" * (int(script.pop("grow", 0)) << 20))  # written to, so that it is resident
            if "crash" in script and made >= script["crash"]:
                os.kill(os.getpid(), signal.SIGKILL)
            if "hang" in script and made >= script["hang"]:
                self._sleep(_HANG_S)
            if "error" in script:
                raise RuntimeError("fake:error was asked for")
            if "gpu" in script and self._on_gpu:
                raise RuntimeError(_GPU_ERROR)

    def remove(self, uids: list[int]) -> None:
        for uid in uids:
            self._answers.pop(uid, None)

    def tidy(self) -> None:
        """As `trim`."""

    def trim(self) -> None:
        """There are no caches; what `grow` took stays taken."""

    def to_host(self) -> None:
        """There are no weights."""

    def to_device(self) -> None:
        """There are no weights."""

    def memory(self) -> MemoryReading:
        return footprint.own()

    def caches(self) -> tuple[KvReading | None, PrefixReading | None]:
        return None, None

    def close(self) -> None:
        self._answers.clear()


def _last_words(said: bytes) -> bytes:
    """The last turn's text; a system turn that comes late asks for no answer."""
    ends = [speaker.end() for speaker in _SPEAKER.finditer(said)]
    return said[ends[-1] :].partition(_SYSTEM)[0] if ends else said.rpartition(b"\x02")[2]


def _script(text: str) -> dict[str, float]:
    return {name: float(value or 0) for name, value in _DIRECTIVE.findall(text)}


def _certain(token: int) -> TokenLogprob:
    """The one token that could come."""
    only = Alternative(token, bytes((token,)) if token < END else b"", 0.0)
    return TokenLogprob(only, (only,))
