"""Who may have killed the engine: the policy by which a poisonous request falls alone and good ones survive. Pure.

Requests that were in an engine when it died are suspects. After a first crash all go back together. When crashes follow
each other (a suspect was there again), suspects go back one at a time, the one not yet cleared at the last crash first,
and everybody else waits. Only a request that was alone in the engine at a crash, twice, is condemned;
`progress_tokens` new tokens clear a suspect. Web process; written by its event loop alone.
"""

from __future__ import annotations

from dataclasses import dataclass

_STRIKES = 2


@dataclass(eq=False)
class Suspect:
    """A request as this policy sees it.

    `life` is the engine's life it was put into, None while it waits outside; `taken` says that the engine has begun
    with it: one that dies while it loads was killed by none of those who wait for it.
    """

    life: int | None = None
    taken: bool = False
    suspected: bool = False
    strikes: int = 0
    progress: int = 0

    @property
    def condemned(self) -> bool:
        """It was alone at two crashes, without progress between them."""
        return self.strikes >= _STRIKES


class Suspects:
    """Asked before a request enters an engine, told of what happens to it there. One per model."""

    def __init__(self, progress_tokens: int) -> None:
        self._progress_tokens = progress_tokens
        self._requests: list[Suspect] = []
        self._life = 0
        self._one_at_a_time = False

    def arrive(self) -> Suspect:
        request = Suspect()
        self._requests.append(request)
        return request

    def leave(self, request: Suspect) -> None:
        """It ended, or its client left. May be told again."""
        if request in self._requests:
            self._requests.remove(request)
        self._relax()

    def may_enter(self, request: Suspect) -> bool:
        """Whether it may be put into the engine now."""
        if not self._one_at_a_time:
            return True
        on_trial = any(other.life is not None and other.suspected for other in self._requests)
        next_one = next((other for other in self._requests if other.suspected and other.life is None), None)
        return not on_trial and next_one is request

    def entered(self, request: Suspect) -> None:
        request.life, request.taken, request.progress = self._life, False, 0

    def taken(self, request: Suspect) -> None:
        """The engine began with it."""
        request.taken = True

    def progressed(self, request: Suspect, tokens: int) -> None:
        if not request.suspected:
            return
        request.progress += tokens
        if request.progress >= self._progress_tokens:
            request.suspected, request.strikes = False, 0
            self._relax()

    def died(self, request: Suspect) -> None:
        """The engine died under this request. The first that it had begun with tells for all."""
        if request.taken and request.life == self._life:
            self._crash([other for other in self._requests if other.life == self._life and other.taken])
            self._life += 1
        request.life = None

    def moved(self, request: Suspect) -> None:
        """The engine ended as planned, and sends this request to the next one."""
        request.life = None

    def _crash(self, inside: list[Suspect]) -> None:
        if len(inside) == 1 and (self._one_at_a_time or len(self._requests) == 1):
            inside[0].strikes += 1  # alone because it was kept alone, not because the others were on their way
        likelier = [other for other in inside if other.suspected]
        self._one_at_a_time = self._one_at_a_time or bool(likelier)
        self._requests = likelier + [other for other in self._requests if other not in likelier]
        for other in inside:
            other.suspected = True

    def _relax(self) -> None:
        if not any(other.suspected for other in self._requests):
            self._one_at_a_time = False
