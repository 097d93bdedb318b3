"""The `mlx` engine for text models: mlx-lm's BatchGenerator, samplers, tokenizer and detokenizers.

A model is loaded and used on one thread, the engine's owner thread: MLX's streams are thread-local.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from src.engine.backend import Grammar, Step, Token
from src.engine.calibration import CalibrationStore
from src.engine.mlx import batch_check, lm_checkpoint
from src.engine.mlx.batch import RowBatch, empty_batch
from src.engine.mlx.device import read_memory
from src.engine.mlx.embedding import MeanPooler
from src.engine.mlx.lm_checkpoint import Loaded
from src.engine.mlx.prefix.cache import PrefixCache
from src.engine.mlx.rows import RowGenerator, Rows
from src.engine.mlx.sampling import SamplingRow
from src.engine.mlx.scores import RowScores
from src.engine.mlx.scoring import PromptScorer
from src.engine.mlx.speculation.batch import SpeculativeBatch, Speculator
from src.engine.mlx.text import grammar as constraint
from src.engine.mlx.weights import clean, give_back
from src.engine.progress import LoadMeter
from src.ipc.messages.chat import Sampling, TokenLogprob
from src.ipc.messages.status import KvReading, MemoryReading, PrefixReading
from src.settings import EngineSettings, Settings


@dataclass(frozen=True)
class ResidentModel:
    """A model's batch and caches while it is on the device."""

    rows: Rows
    prefixes: PrefixCache
    embedder: MeanPooler | None
    speculator: Speculator | None = None
    scorer: PromptScorer | None = None


class LmBackend:
    """A loaded text model and its batch."""

    name = "mlx"

    def __init__(self, loaded: Loaded, settings: EngineSettings, store: CalibrationStore | None = None) -> None:
        self._store = store
        self.kv_room = loaded.room.kv
        self.device = loaded.device
        self.tokenizer = loaded.tokenizer
        self.end_tokens = loaded.tokenizer.end_tokens
        self._vocabulary = loaded.vocabulary
        self._defaults = loaded.defaults
        self._end_tokens = tuple(sorted(self.end_tokens))
        self._settings = settings
        self._room = loaded.room
        self._reload = loaded.reload
        self._open_disk = loaded.open_disk
        self._bound_wired = loaded.bound_wired
        self._speculation = loaded.speculation
        self._batches: bool | None = None  # whether rows may be computed together, once that is tried
        self._batch_problem: str | None = None
        self.info = loaded.info
        self._on_device: ResidentModel | None = self._build(loaded.model)
        self._bound_wired()  # not before: what builds a batch has the whole of it wired
        size = self.embedder.size if self.embedder is not None else None
        self.info = replace(loaded.info, embedding_size=size, batches=self._batches is not False)
        self.info = replace(self.info, scores_prompts=self.scorer is not None, batch_problem=self._batch_problem)
        self.info = replace(self.info, uses_predictions=self._uses_predictions)
        self._matchers: dict[int, constraint.Matcher] = {}

    def _build(self, model: Any) -> ResidentModel:
        if self._batches is None:
            self._batch_problem = self._known_batch_problem(model)
            self._batches = self._batch_problem is None
        together = self._settings.max_num_seqs if self._batches else 1
        prefixes = PrefixCache(model, self._room.prefix_bytes, self._open_disk())
        speculator = self._speculation.begin() if self._speculation is not None and self._batches else None
        batch = empty_batch(model) if speculator is None else SpeculativeBatch.start(model, speculator)
        rows = self._rows(model, prefixes, batch, together)
        return ResidentModel(rows, prefixes, MeanPooler.of(model), speculator, self._scorer_of(model))

    def _scorer_of(self, model: Any) -> PromptScorer:
        penalty = self._defaults.repetition_penalty
        return PromptScorer(model, self._vocabulary, self.end_tokens, greedy=penalty in (None, 1.0))

    def _rows(self, model: Any, prefixes: PrefixCache, batch: RowBatch, together: int) -> RowGenerator:
        return RowGenerator(
            model,
            prefixes,
            batch,
            stop_tokens=[(token,) for token in self._end_tokens],
            completion_batch_size=together,
            prefill_batch_size=together,
            prefill_step_size=self._settings.prefill_step_size,
        )

    @property
    def _uses_predictions(self) -> bool:
        """Rows with penalties have no guesses, and so none by a model whose makers recommend some."""
        looks_up = self._batches and self._speculation is not None and self._speculation.looks_up
        return bool(looks_up) and self._defaults.repetition_penalty in (None, 1.0)

    @property
    def _tolerance(self) -> float:
        return batch_check.FLOAT32 if self.info.dtype in ("float32", "int8") else batch_check.HALF

    def _known_batch_problem(self, model: Any) -> str | None:
        """As `_check_batch`, which is asked once for these files and versions, where it went well."""
        if self._settings.max_num_seqs == 1 or (self._store is not None and self._store.calibration.batches):
            return None
        problem = self._check_batch(model)
        if problem is None and self._store is not None:
            self._store.keep_batches()
        return problem

    def _check_batch(self, model: Any) -> str | None:
        """Why a batch of this architecture does not give what its rows give alone, if it does not."""
        probes = batch_check.text_probes(self._vocabulary.size)
        nothing = PrefixCache(model, 0)
        return batch_check.problem(
            self.info.name, lambda rows: self._rows(model, nothing, empty_batch(model), rows), probes, self._tolerance
        )

    @property
    def _resident(self) -> ResidentModel:
        if self._on_device is None:
            raise RuntimeError("The model is offloaded.")
        return self._on_device

    @property
    def _generator(self) -> Rows:
        return self._resident.rows

    @property
    def _prefixes(self) -> PrefixCache:
        return self._resident.prefixes

    @property
    def embedder(self) -> MeanPooler | None:
        return self._on_device.embedder if self._on_device is not None else None

    @property
    def scorer(self) -> PromptScorer | None:
        return self._on_device.scorer if self._on_device is not None else None

    def cached_prefix_length(self, prompt: list[int], salt: str) -> int | None:
        return self._prefixes.cached_prefix_length(salt, prompt)

    def load_prefix(self, prompt: list[int], salt: str, seconds: float) -> bool:
        return self._prefixes.load_prefix(salt, prompt, seconds)

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
        row = self._row(sampling, len(prompt) - prefix, prefix)
        row.prediction = prediction
        uid = self._generator.add(prompt, max_tokens, row, salt, media)
        if isinstance(grammar, constraint.CompiledGrammar):
            row.matcher = self._matchers[uid] = grammar.start(prompt, prefix)
        return uid

    def _row(self, sampling: Sampling, prompt_tokens: int, made: int) -> SamplingRow:
        """A request's parameters; what it leaves open is as the model's makers recommend."""
        own = self._defaults
        bias = tuple(sampling.logit_bias.items())
        if sampling.ignore_eos:
            bias += tuple((token, -float("inf")) for token in self._end_tokens)
        return SamplingRow(
            prompt_tokens,
            temperature=_either(sampling.temperature, own.temperature, 1.0),
            top_p=_either(sampling.top_p, own.top_p, 1.0),
            top_k=int(_either(sampling.top_k, own.top_k, 0)),
            min_p=_either(sampling.min_p, own.min_p, 0.0),
            frequency_penalty=sampling.frequency_penalty,
            presence_penalty=sampling.presence_penalty,
            repetition_penalty=_either(sampling.repetition_penalty, own.repetition_penalty, 1.0),
            bias=bias,
            seed=sampling.seed,
            made=made,
            logprobs=sampling.logprobs,
        )

    def step(self, prefill: int | None = None) -> Step:
        self._generator.set_prefill_budget(prefill or self._settings.prefill_step_size)
        left, generated = self._generator.next()
        tokens = [
            Token(reply.uid, reply.token, reply.finish_reason, self._logprob(reply.logprobs)) for reply in generated
        ]
        failed = self._failures(tokens) if self._matchers else {}
        tokens = [token for token in tokens if token.uid not in failed]  # what they drew is invalid
        speculator = self._resident.speculator
        if speculator is None:
            return Step(tokens, left, failed, self._generator.times())
        guessed, predictions = speculator.take_count(), speculator.take_predictions()
        return Step(tokens, left, failed, self._generator.times(), guessed, predictions)

    def _failures(self, tokens: list[Token]) -> dict[int, str]:
        """Constrained sequences whose grammar has reached one of its limits; they are forgotten."""
        failed = {uid: matcher.problem for uid, matcher in self._matchers.items() if matcher.problem is not None}
        if failed:
            self.remove(list(failed))
        for token in tokens:
            if token.finish:
                self._matchers.pop(token.uid, None)
        return failed

    def _logprob(self, scores: RowScores | None) -> TokenLogprob | None:
        return None if scores is None else self._vocabulary.logprob(scores)

    def remove(self, uids: list[int]) -> None:
        self._generator.drop(uids)
        for uid in uids:
            self._matchers.pop(uid, None)

    def tidy(self) -> None:
        clean()

    def trim(self) -> None:
        if self._on_device is not None:
            self._prefixes.evict()
        clean()

    def caches(self) -> tuple[KvReading | None, PrefixReading | None]:
        present, limit = self._on_device, self.kv_room.limit_bytes
        if present is None:
            return KvReading(0, limit), None
        return KvReading(present.rows.kv_bytes, limit), present.prefixes.reading()

    def to_host(self) -> None:
        """Drop the arrays: their files stay in the system's page cache, from where they come back fast."""
        self.close()
        self._on_device = None
        clean()
        give_back()

    def to_device(self) -> None:
        self._on_device = self._build(self._reload())
        self._bound_wired()

    def memory(self) -> MemoryReading:
        return read_memory()

    def close(self) -> None:
        if self._on_device is not None:
            self._generator.close()
            self._prefixes.close()


def load_lm(
    model: str, settings: Settings, blas: str | None, progress: LoadMeter, store: CalibrationStore | None = None
) -> LmBackend:
    """Load a checkpoint; raises as `lm_checkpoint.read`. `store`: what was measured of it before."""
    found = lm_checkpoint.read(model, settings, blas, progress)
    found.revision.check()
    return LmBackend(found, settings, opened(store, found, settings))


def opened(store: CalibrationStore | None, loaded: Loaded, settings: EngineSettings) -> CalibrationStore | None:
    """The calibration of these files on this machine, with these versions."""
    if store is not None:
        store.open(lm_checkpoint.calibration_key(loaded, settings))
    return store


def _either(asked: float | None, own: float | None, last: float) -> float:
    return asked if asked is not None else own if own is not None else last
