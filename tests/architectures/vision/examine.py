"""What the engine makes of a tiny vision model: pictures alone, in a batch, after an offload and after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from src.engine import pictures
from src.engine.backend import Backend, PromptMedia
from src.errors import ModelLoadFailed, ServiceError
from src.ipc.messages.chat import ChatMessage, GenerateRequest, Sampling
from tests.architectures.report import Verdict
from tests.architectures.worker import memory

TOKENS = 8
ROUNDING = 0.01  # of fp32; as `batch_check` allows it
_SEEN = 1e-4  # by how much another picture must change a log-probability at least
_GREEDY = Sampling(temperature=0.0, ignore_eos=True, logprobs=0)
Prompt = tuple[list[int], PromptMedia | None]
Scored = list[tuple[int, float]]


def examine(name: str, folder: Path) -> Verdict:
    """`same`, `single` (its batch is wrong, and not used), or what it fails at."""
    from tests.architectures.vision import tiny

    try:
        tiny.write(name, folder)
    except Exception as error:  # noqa: BLE001  # our configuration does not suit it
        return Verdict(name, "unwritten", f"{type(error).__name__}: {error}")
    from src.engine.main import warm_up
    from src.engine.progress import LoadMeter
    from tests.contract.test_backends import load

    try:
        backend = load(str(folder), prefill_step_size=512)
        warm_up(backend, LoadMeter())
        return _compared(name, backend, str(folder))
    except ModelLoadFailed as error:
        return Verdict(name, "refused", error.message.rpartition("cannot be loaded: ")[2])
    except ServiceError as error:
        return Verdict(name, "refused", error.message)
    except Exception as error:  # noqa: BLE001  # as the engine itself says it, once
        return Verdict(name, "refused", f"{type(error).__name__}: {error}")


def _compared(name: str, backend: Backend, model: str) -> Verdict:
    from tests.contract.test_backends import load

    prompts = _prompts(backend)
    alone = [_scored(backend, [prompt])[0] for prompt in prompts]
    other = _scored(backend, [_prompt(backend, "What is this?", _noise(48, 48))])[0]
    taken = _most(memory(backend), memory(backend, *prompts[2]))
    ways = {"batch": _distance(alone, _scored(backend, prompts))}
    backend.to_host()
    backend.to_device()
    ways["offload"] = _distance(alone, _scored(backend, prompts))
    problem = backend.info.batch_problem
    backend.close()
    fresh = load(model, prefill_step_size=512)
    begun = [
        ([*ids, *(token for token, _ in made[:3])], media) for (ids, media), made in zip(prompts, alone, strict=True)
    ]
    ways["kill"] = _distance([made[3:] for made in alone], _scored(fresh, begun, 3))
    fresh.close()
    wrong = [f"{way} by {far:.3f}" for way, far in ways.items() if far > ROUNDING]
    if wrong:
        return Verdict(name, "wrong", ", ".join(wrong), taken)
    if _distance([alone[1]], [other]) < _SEEN:
        return Verdict(name, "blind", "another picture gives the same log-probabilities", taken)
    return Verdict(name, "same" if problem is None else "single", problem or "", taken)


def _prompts(backend: Backend) -> list[Prompt]:
    """Of different lengths, with a picture and without."""
    shown = Image.linear_gradient("L").convert("RGB")
    return [
        _prompt(backend, "Hello", None),
        _prompt(backend, "What is this?", shown.resize((48, 48))),
        _prompt(backend, "Read the text in this picture, line by line.", shown.rotate(90).resize((96, 64))),
    ]


def _most(*shares: float | None) -> float | None:
    return max((share for share in shares if share is not None), default=None)


def _noise(width: int, height: int) -> Image.Image:
    return Image.effect_noise((width, height), 90).convert("RGB")


def _prompt(backend: Backend, text: str, picture: Image.Image | None) -> Prompt:
    tokenizer: Any = backend.tokenizer
    parts = () if picture is None else (pictures.encode(picture), text)
    request = GenerateRequest("probe", "", (ChatMessage("user", text, parts=parts),))
    return tokenizer.encode(request), tokenizer.media(request)


def _scored(backend: Backend, prompts: list[Prompt], made: int = 0) -> list[Scored]:
    """The tokens of each prompt, and their log-probabilities."""
    found: dict[int, Scored] = {}
    for ids, media in prompts:
        found[backend.insert(ids, TOKENS - made, _GREEDY, made, media=media)] = []
    left = 20 * len(prompts) + 40
    while left and any(len(scored) < TOKENS - made for scored in found.values()):
        left -= 1
        for token in backend.step().tokens:
            assert token.logprob is not None
            found[token.uid].append((token.token, token.logprob.chosen.logprob))
    return list(found.values())


def _distance(expected: list[Scored], found: list[Scored]) -> float:
    """The largest difference of log-probabilities up to where the texts part; infinite for a text that is missing."""
    worst = 0.0
    for one, other in zip(expected, found, strict=True):
        if len(one) != len(other):
            return float("inf")
        for (token, score), (second, there) in zip(one, other, strict=True):
            worst = max(worst, abs(score - there))
            if token != second:
                break
    return worst
