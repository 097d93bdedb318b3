"""The engine's loop: receive → expire → admit → step → publish. Owner thread; the only writer of `Sequence`s.

It decides who runs; the backend computes. `submit`, `cancel` and `stop` may be called from any thread: they only put a
command into the inbox. What happened leaves through `publish`, once per step for all sequences together.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Literal

from src.engine.admission import fits_memory, fits_prefill, waits_for_prefix
from src.engine.backend import Backend, Step, Token
from src.engine.embedding import Embedding, Embeddings
from src.engine.queue import batch_share, waiting_queue
from src.engine.sequence import Sequence, Status
from src.engine.step_cost import StepCost
from src.engine.step_times import Phases, StepTimes
from src.errors import BackendUnavailable, DeadlineExceeded, InvalidRequest, ServiceError
from src.fairness import FairQueue
from src.gpu import Movable
from src.ipc.messages.base import Failed
from src.ipc.messages.chat import (
    ChoiceEnded,
    Delta,
    Embedded,
    Finished,
    FinishReason,
    HandedOver,
    PredictionUsage,
    PromptProgress,
    Scored,
)
from src.ipc.messages.status import EngineLoad, SpeculationReading

_IDLE_WAIT_S = 1.0
_PREFIX_LOAD_S = 0.5  # of a turn, where PREFILL_PAUSE names none
_KEEP_COST_S = 30.0
_OFFLOADED_RETRY_S = 1.0

Work = Sequence | Embedding
Event = tuple[Work, Delta | PromptProgress | Embedded | Scored | ChoiceEnded | HandedOver | Finished | Failed]


@dataclass(frozen=True)
class _Submit:
    work: Work


@dataclass(frozen=True)
class _Cancel:
    work: Work


@dataclass(frozen=True)
class _Move:
    to: Literal["cpu", "gpu"]
    done: Callable[[], None]


@dataclass(frozen=True)
class _Trim:
    pass


@dataclass(frozen=True)
class _Finish:
    pass


@dataclass(frozen=True)
class _Stop:
    pass


class Scheduler:
    """Admits sequences into the batch; each gets exactly one outcome."""

    def __init__(
        self,
        backend: Backend,
        *,
        max_num_seqs: int,
        prefill_step_size: int,
        publish: Callable[[list[Event]], None],
        clock: Callable[[], float],
        priority_ageing_s: float = 30.0,
        prefill_pause_s: float = 0.0,
        tidy_every_s: float = 0.0,
        weights: Movable | None = None,
        cost: StepCost | None = None,
        keep_cost: Callable[[], None] = lambda: None,
        device: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._backend = backend
        self._weights = weights or backend
        self._device = device  # a turn on it, which another process may have
        self._max_num_seqs = max_num_seqs
        self._step_size = prefill_step_size
        self._pause_s = prefill_pause_s
        self._publish = publish
        self._clock = clock
        self._inbox: SimpleQueue[_Submit | _Cancel | _Move | _Trim | _Finish | _Stop] = SimpleQueue()
        self._waiting: FairQueue[Sequence] = waiting_queue(priority_ageing_s)
        self._embeddings = Embeddings(lambda: backend.embedder, lambda: backend.scorer, priority_ageing_s)
        self._prompts_turn = True  # prompts and embeddings are computed by turns
        self._running: dict[int, Sequence] = {}
        self._events: list[Event] = []
        self._stopping = self._finishing = self._untidy = False
        self._tidy_every_s = tidy_every_s
        self._tidied = self._kept_at = clock()
        self._move: _Move | None = None  # requested; waits for the batch to be empty
        self.location: Literal["cpu", "gpu"] = "gpu"
        self._steps = self._tokens = self._answers = self._preempted = self._kept_steps = 0
        self._speculation: SpeculationReading | None = None
        self._turn_began = clock()
        self._expected_s: float | None = None  # of the step under way, or the last one
        self._in_step = False
        self._inserting = 0  # 1 while the backend inserts a sequence: it may hang there
        self.pace = StepTimes()
        self.cost = cost or StepCost()
        self._keep_cost = keep_cost
        self._phases = Phases(self._turn_began)

    # ---- any thread

    def submit(self, work: Work) -> None:
        self._inbox.put(_Submit(work))

    def cancel(self, work: Work) -> None:
        """Forget it; harmless when it has already ended."""
        self._inbox.put(_Cancel(work))

    def move(self, to: Literal["cpu", "gpu"], done: Callable[[], None]) -> None:
        """Move the weights once nothing runs or waits; `done` is called on the owner thread."""
        self._inbox.put(_Move(to, done))

    def trim(self) -> None:
        """Clear the backend's caches between two steps."""
        self._inbox.put(_Trim())

    def finish(self) -> None:
        """End `run` when nothing runs or waits any more. Safe in a signal handler."""
        self._inbox.put(_Finish())

    def stop(self) -> None:
        """End `run` after the current step. Safe in a signal handler."""
        self._inbox.put(_Stop())

    def load(self) -> EngineLoad:
        embedding = self._embeddings.running
        running = len(self._running) + self._inserting + embedding
        waiting = len(self._waiting) + len(self._embeddings) - embedding + self._inbox.qsize()
        kv, prefix = self._backend.caches()
        phases, step_tokens = self._phases.readings()
        return EngineLoad(
            running=running,
            waiting=waiting,
            step_age_s=self._clock() - self._turn_began if running + waiting else 0.0,
            steps=self._steps,
            tokens=self._tokens,
            kv=kv,
            prefix=prefix,
            answers=self._answers,
            phases=phases,
            step_tokens=step_tokens,
            speculation=self._speculation,
            expected_s=self._expected_s,
            in_step=self._in_step,
            preempted=self._preempted,
        )

    def retry_after_s(self) -> float:
        """Seconds until a request that is refused now would be admitted: queue depth × measured service time."""
        return self.pace.wait_s(len(self._waiting) + self._inbox.qsize(), self._max_num_seqs)

    # ---- owner thread

    def run(self) -> None:
        """Loop until `stop`. An exception of the backend ends it: after a failed step the process is restarted."""
        while not (self._stopping or (self._finishing and self._is_idle())):
            self.run_once(_IDLE_WAIT_S)

    def run_once(self, idle_wait_s: float = 0.0) -> None:
        """One turn; when nothing runs, wait up to `idle_wait_s` for a command."""
        self._receive(idle_wait_s)
        now = self._turn_began = self._clock()
        self._expire(now)
        self._tidy(now)
        self._admit(now)
        self._step()
        self._embed(now)
        self._move_weights()
        if self._events:
            events, self._events = self._events, []
            began = self._clock()
            self._publish(events)
            self._phases.add({"publish": self._clock() - began})

    def _receive(self, idle_wait_s: float) -> None:
        wait = idle_wait_s and self._is_idle() and self._move is None
        try:
            self._handle(self._inbox.get(timeout=idle_wait_s) if wait else self._inbox.get_nowait())
            while True:
                self._handle(self._inbox.get_nowait())
        except Empty:
            return

    def _is_idle(self) -> bool:
        return not (self._running or self._waiting or self._embeddings)

    def _handle(self, command: _Submit | _Cancel | _Move | _Trim | _Finish | _Stop) -> None:
        if isinstance(command, _Submit):
            self._enqueue(command.work)
        elif isinstance(command, _Cancel):
            if isinstance(command.work, Embedding):
                self._embeddings.drop(command.work)
            else:
                self._drop([command.work])
        elif isinstance(command, _Move):
            self._move = command
        elif isinstance(command, _Trim):
            self._backend.trim()
        elif isinstance(command, _Finish):
            self._finishing = True
        else:
            self._stopping = True

    def _enqueue(self, work: Work) -> None:
        if self.location != "gpu":
            failed = Failed(
                BackendUnavailable.code, "The model was offloaded; retry.", retry_after_s=_OFFLOADED_RETRY_S
            )
            self._events.append((work, failed))
        elif isinstance(work, Embedding):
            self._embeddings.push(work)
        else:
            self._waiting.push(work, work.arrived)

    def _move_weights(self) -> None:
        """Move the weights, if that is requested and no sequence needs them."""
        move = self._move
        if move is None or not self._is_idle():
            return
        self._move = None
        if move.to != self.location:
            (self._weights.to_host if move.to == "cpu" else self._weights.to_device)()
            self.location = move.to
        move.done()

    def _expire(self, now: float) -> None:
        expired = [seq for seq in (*self._waiting, *self._running.values()) if seq.is_expired(now)]
        for sequence in expired:
            self._events.append((sequence, _deadline_exceeded(sequence, now)))
        self._drop(expired)
        self._untidy = self._untidy or bool(expired)
        self._events += self._embeddings.expire(now)

    def _tidy(self, now: float) -> None:
        """After a failure, and every now and then."""
        due = self._tidy_every_s and now - self._tidied >= self._tidy_every_s
        if self._untidy or due:
            self._untidy, self._tidied = False, now
            self._backend.tidy()
        if now - self._kept_at >= _KEEP_COST_S and self._steps > self._kept_steps:
            self._kept_at, self._kept_steps = now, self._steps
            self._keep_cost()

    def _admit(self, now: float) -> None:
        if not self._waiting or (self._embeddings and not self._prompts_turn):
            return
        self._preempt()
        while len(self._running) < self._max_num_seqs:
            sequence = self._waiting.first(self._may_run)
            if sequence is None or not self._can_admit(sequence):
                return
            self._waiting.take(sequence)
            self._prompts_turn = False
            sequence.started = sequence.first_token = now
            if sequence.finished_on_replay is not None:
                sequence.status = Status.FINISHED
                self._events.append((sequence, sequence.ended(sequence.finished_on_replay, now)))
                continue
            self._start(sequence)
            self._phases.add({"admit": self._clock() - now})

    def _preempt(self) -> None:
        """What nobody waits for leaves the batch for anything else that comes; with its tokens it goes on later."""
        first = self._waiting.first()
        if first is None or first.is_background:
            return
        leaving = [one for one in self._running.values() if one.is_background]
        for sequence in leaving:
            self._events.append((sequence, HandedOver()))
            self._remove(sequence, still_computed=False)
        if leaving:  # together: each removal alone would copy the rows of all that are left
            self._backend.remove([sequence.uid for sequence in leaving])
        self._preempted += len(leaving)

    def _may_run(self, salt: str) -> bool:
        running = sum(seq.request.salt == salt for seq in self._running.values())
        return running < batch_share(self._max_num_seqs, salt)

    def _can_admit(self, sequence: Sequence) -> bool:
        """Look up the cached prefix, then whether there is room to compute the rest."""
        if sequence.is_background and not all(seq.is_background for seq in self._running.values()):
            return False
        if not fits_memory([seq.length for seq in self._running.values()], sequence.length, self._backend.kv_room):
            return False
        if self._load_prefix_from_disk(sequence):
            return False
        in_prefill = self._in_prefill()
        known = self._backend.cached_prefix_length(sequence.prompt, sequence.request.salt)
        if waits_for_prefix(sequence, known, in_prefill):
            return False
        sequence.cached_tokens = known or 0
        sequence.prefill_left = len(sequence.prompt) - sequence.cached_tokens
        budget = self._budget(in_prefill)
        return fits_prefill([seq.prefill_left for seq in in_prefill], sequence.prefill_left, budget)

    def _load_prefix_from_disk(self, sequence: Sequence) -> bool:
        """Whether this turn's prefill time went into loading a prefix from disk; the next turn goes on."""
        began = self._clock()
        loaded = self._backend.load_prefix(sequence.prompt, sequence.request.salt, self._pause_s or _PREFIX_LOAD_S)
        if loaded:
            self._phases.add({"fetch": self._clock() - began})
        return loaded

    def _in_prefill(self) -> list[Sequence]:
        return [seq for seq in self._running.values() if seq.status is Status.PREFILL]

    def _budget(self, in_prefill: list[Sequence]) -> int:
        """Prompt tokens for this step, padding included; the whole chunk while no sequence decodes and somebody waits
        for these: who comes while the background's are computed waits for the step's end."""
        for_nobody = bool(in_prefill) and all(seq.is_background for seq in in_prefill)
        if len(in_prefill) == len(self._running) and not for_nobody:
            return self._step_size
        context = max((seq.prefilled for seq in in_prefill), default=0)
        return self.cost.tokens(self._step_size, self._pause_s, context)

    def _start(self, sequence: Sequence) -> None:
        done = len(sequence.request.prefix)
        sampling = sequence.request.sampling
        self._answers += 1
        self._inserting = 1
        sequence.text.aside()  # reasoning and calls of a replayed answer were sent before
        left = sequence.max_tokens - done
        salt = sequence.request.salt
        try:
            sequence.uid = self._backend.insert(
                sequence.prompt, left, sampling, done, sequence.grammar, salt, sequence.media, sequence.prediction
            )
        except ServiceError as error:  # nothing of it is in the batch
            sequence.status, self._inserting = Status.FINISHED, 0
            self._events.append((sequence, Failed.of(error)))
            return
        sequence.status = Status.PREFILL
        self._running[sequence.uid] = sequence
        self._inserting = 0

    def _step(self) -> None:
        if not self._running:
            return
        in_prefill, rows = self._in_prefill(), len(self._running)
        budget = self._budget(in_prefill)
        self._expected_s = self._expected(in_prefill, budget)
        with self._device():
            began = self._turn_began = self._clock()
            self._in_step = True
            step = self._backend.step(budget)
            self._in_step = False
        ended = self._clock()
        self._steps += 1
        self._tokens += len(step.tokens)
        if step.speculation is not None:
            self._speculation = step.speculation + (self._speculation or SpeculationReading())
        if step.tokens:
            self.pace.step.add(ended - began)
        if not step.prefill_left and len(step.tokens) >= rows:
            self.cost.add_decode(rows, ended - began)
        prompts = self._learn_cost(step)
        self._record(step)
        now = self._clock()
        self._phases.add({**step.times, "text": now - ended})
        self._phases.step(prompts + len(step.tokens), now)

    def _expected(self, in_prefill: list[Sequence], budget: int) -> float | None:
        """What this step should take; None while that is unknown, and for pictures, which no token counts tell."""
        if any(seq.media is not None for seq in in_prefill):
            return None
        left = max((seq.prefill_left for seq in in_prefill), default=0)
        context = max((seq.prefilled for seq in in_prefill), default=0)
        return self.cost.seconds(len(self._running), min(budget, left * len(in_prefill)), context)

    def _learn_cost(self, step: Step) -> int:
        """What the step's prompts took, if it computed any; returns how many of their tokens it did."""
        done = [(seq, seq.prefill_left - left) for seq, left in self._advanced(step) if seq.prefill_left > left]
        if done and "prefill" in step.times:
            context = max(seq.prefilled for seq, _ in done)
            self.cost.add(len(done) * max(count for _, count in done), context, step.times["prefill"])
        return sum(count for _, count in done)

    def _advanced(self, step: Step) -> list[tuple[Sequence, int]]:
        return [(self._running[uid], left) for uid, left in step.prefill_left.items()]

    def _embed(self, now: float) -> None:
        """A step's worth of embeddings, in a turn without prompts: streams wait for one or for the other."""
        if self._embeddings and not self._in_prefill():
            with self._device():
                self._events += self._embeddings.turn(now, self._budget([]))
            self._prompts_turn = True

    def _record(self, step: Step) -> None:
        now = self._clock()
        for uid, left in step.prefill_left.items():
            self._running[uid].prefill_left = left
            if left:
                self._tell_progress(self._running[uid], now)
        for uid, predicted in step.predictions.items():
            self._running[uid].predicted = predicted + (self._running[uid].predicted or PredictionUsage())
        for token in step.tokens:
            self._append_token(token, now)
        self._untidy = self._untidy or bool(step.failed)
        for uid, reason in step.failed.items():
            if uid in self._running:
                failed = Failed(
                    InvalidRequest.code, f"Constrained decoding hit a grammar limit: {reason}", "response_format"
                )
                self._events.append((self._running[uid], failed))
                self._remove(self._running[uid], still_computed=False)

    def _tell_progress(self, sequence: Sequence, now: float) -> None:
        if (progress := sequence.progress(now)) is not None:
            self._events.append((sequence, progress))

    def _append_token(self, token: Token, now: float) -> None:
        sequence = self._running.get(token.uid)
        if sequence is None:
            return  # behind a stop string, in the same step
        if sequence.status is Status.PREFILL:
            sequence.status, sequence.first_token, sequence.prefill_left = Status.DECODE, now, 0
            self._tell_progress(sequence, now)
        sequence.completion_tokens += 1
        sequence.last_token = now
        text = "" if token.finish == "stop" else sequence.text.push(token.token)
        finish: FinishReason | None = "stop" if sequence.text.stopped else token.finish
        if finish is not None and not sequence.text.stopped:
            text += sequence.text.flush()
        scores = () if token.logprob is None or token.finish == "stop" else (token.logprob,)
        aside = sequence.text.aside()
        delta = Delta((token.token,), text, sequence.index, scores, aside.reasoning, aside.calls)
        self._events.append((sequence, delta))
        if finish is not None:
            self._events.append((sequence, sequence.ended(finish, now)))
            self.pace.service.add(now - sequence.started)
            self._remove(sequence, still_computed=token.finish is None)

    def _remove(self, sequence: Sequence, *, still_computed: bool) -> None:
        del self._running[sequence.uid]
        sequence.status = Status.FINISHED
        if still_computed:
            self._backend.remove([sequence.uid])

    def _drop(self, sequences: list[Sequence]) -> None:
        """Remove sequences wherever they are; those that have finished are left alone."""
        for sequence in sequences:
            if sequence.status is Status.WAITING:
                sequence.status = Status.FINISHED
                self._waiting.remove(sequence)
            elif sequence.status is not Status.FINISHED:
                self._remove(sequence, still_computed=True)


def _deadline_exceeded(sequence: Sequence, now: float) -> Failed:
    if sequence.status is Status.WAITING:
        waited = f"The request waited {now - sequence.arrived:.0f} s in the queue (QUEUE_TIMEOUT)."
        return Failed(DeadlineExceeded.code, f"{waited} Try again when there is less load.", retry_after_s=1.0)
    spent = now - sequence.started + sequence.request.spent_s
    text = f"Generation exceeded its time budget after {spent:.0f} s and {sequence.completion_tokens} tokens."
    return Failed(DeadlineExceeded.code, f"{text} Ask for fewer tokens (max_tokens), or stream the answer.")
