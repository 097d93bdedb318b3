"""What guesses ahead for a text model, by the settings: a look-up in the text, or a small model. Owner thread, at load.

A draft model is loaded beside its large one and leaves the device with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from src import logs
from src.engine import checkpoint
from src.engine.mlx import kv, ragged
from src.engine.mlx.gguf import store
from src.engine.mlx.kv import KvCost
from src.engine.mlx.speculation.batch import Drafter, Speculator, measure
from src.engine.mlx.speculation.depth import Costs
from src.engine.mlx.speculation.draft import DraftModel
from src.engine.mlx.speculation.lookup import LookupDrafter
from src.engine.mlx.speculation.ngram import TOKEN_BYTES
from src.engine.mlx.text.opening import open_tokenizer
from src.engine.mlx.weights import CpuPolicy, read_model, refuse_too_large, weight_bytes
from src.engine.progress import LoadMeter
from src.errors import ModelLoadFailed
from src.settings import EngineSettings, Settings

_LOOKUP_BYTES = 2 * TOKEN_BYTES  # what an answer is predicted to be is looked up, too


@dataclass(frozen=True)
class TargetModel:
    """The model that is guessed for. `cpu`: what becomes of weights, as `weights.read_model` takes it."""

    name: str
    folder: Path
    model: Any
    tokenizer: Any
    vocabulary: int
    cpu: CpuPolicy | None


class SpeculationPlan:
    """What guesses for one model; `begin` whenever the model comes to the device."""

    def __init__(self, settings: EngineSettings, costs: Costs, draft: Draft | None = None) -> None:
        self._most = settings.num_speculative_tokens
        self._costs = costs
        self._draft = draft

    @property
    def weight_bytes(self) -> int:
        return self._draft.weight_bytes if self._draft is not None else 0

    def with_room(self, cost: KvCost) -> KvCost:
        """What a sequence takes with all that guessing adds to it."""
        own = self._draft.kv if self._draft is not None else KvCost(_LOOKUP_BYTES, 0)
        token = cost.token_bytes + own.token_bytes
        return KvCost(token, cost.row_bytes + own.row_bytes + (ragged.WIDEST_PADDING + self._most) * token)

    @property
    def looks_up(self) -> bool:
        """Whether guesses come from texts: also from what a request predicts."""
        return self._draft is None

    def begin(self) -> Speculator:
        drafter: Drafter = LookupDrafter() if self._draft is None else self._draft.begin()
        return Speculator(drafter, self._most, self._costs)


class Draft:
    """A draft model's checkpoint, which was read once already: `first`."""

    def __init__(self, first: Any, reload: Callable[[], Any], vocabulary: int, chunk: int) -> None:
        self._first = first
        self._reload = reload
        self._vocabulary = vocabulary
        self._chunk = chunk
        self.weight_bytes = weight_bytes(first)
        self.kv = kv.measure(first)

    def begin(self) -> DraftModel:
        model, self._first = self._first, None
        return DraftModel(model if model is not None else self._reload(), self._vocabulary, self._chunk)


def plan(target: TargetModel, settings: Settings) -> SpeculationPlan | None:
    """What guesses for a model that was just read; None is nothing, and the log says why.

    Raises:
        ModelLoadFailed: when the draft model is none for DEFAULT_MODEL.
        MemoryError: there is no room for the draft model now.
    """
    method = settings.speculative_method
    if settings.draft_model and method != "draft_model":
        logs.model.warning("DRAFT_MODEL guesses nothing without SPECULATIVE_METHOD=draft_model")
    if method == "off":
        return None
    if not ragged.can_be_ragged(target.model):
        return _warn("its layers keep windows or running states, which cannot go back")
    costs = measure(target.model)
    if method == "ngram":
        return SpeculationPlan(settings, costs)
    try:
        return _with_draft(target, settings, costs)
    except ModelLoadFailed as error:
        if target.name == settings.default_model:
            raise
        return _warn(str(error))


def _warn(why: str) -> SpeculationPlan | None:
    logs.model.warning("SPECULATIVE_METHOD: this model decodes without guesses: {}", why)
    return None


def _with_draft(target: TargetModel, settings: Settings, costs: Costs) -> SpeculationPlan:
    name = settings.draft_model
    if not name:
        raise ModelLoadFailed("SPECULATIVE_METHOD=draft_model needs a DRAFT_MODEL.")
    folder = store.located(name, settings, LoadMeter())
    if folder.samefile(target.folder):
        raise ModelLoadFailed(f"The model {name!r} is its own DRAFT_MODEL.")
    _require_same_tokens(name, open_tokenizer(folder).get_vocab(), target)
    refuse_too_large(folder, name)  # beside the large one, which is there already
    read = partial(read_model, folder, target.cpu, LoadMeter())
    model, own = read()
    if not ragged.can_be_ragged(model):
        raise ModelLoadFailed(f"DRAFT_MODEL {name!r} keeps windows or running states, which cannot go back.")
    paid = measure(model)
    costs = replace(costs, guess_s=paid.step_s, guess_row_s=paid.position_s)
    vocabulary = min(target.vocabulary, checkpoint.vocabulary_size(own, 0) or target.vocabulary)
    draft = Draft(model, lambda: read()[0], vocabulary, settings.prefill_step_size)
    return SpeculationPlan(settings, costs, draft)


def _require_same_tokens(name: str, own: Mapping[str, int], target: TargetModel) -> None:
    """Tokens of both vocabularies must have the same ids. One may go on behind the other: families pad differently, and
    a GGUF file names its padding."""
    small, large = sorted((own, dict(target.tokenizer.get_vocab())), key=len)
    shared = max(small.values(), default=-1)
    differing = sum(large.get(text) != number for text, number in small.items())
    inside = sum(number <= shared and text not in small for text, number in large.items())
    if differing or inside:
        text = f"DRAFT_MODEL {name!r} has another vocabulary than {target.name!r} ({differing + inside} of {len(small)}"
        raise ModelLoadFailed(
            f"{text} tokens differ): it cannot guess for it. Choose a smaller model of the same family."
        )
