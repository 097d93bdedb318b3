"""A poisonous request falls alone; good ones survive. The policy is played through without engines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from src.api.generation.suspects import Suspect, Suspects

_PROGRESS = 4


class Game:
    """Requests with a length; the poisonous ones kill the engine when they have made `poison` tokens."""

    def __init__(self, lengths: list[int], poison: dict[int, int]) -> None:
        self.suspects = Suspects(_PROGRESS)
        self.requests = {self.suspects.arrive(): number for number in range(len(lengths))}
        self.lengths, self.poison = lengths, poison
        self.made = [0] * len(lengths)
        self.crashes = 0
        self.failed: set[int] = set()

    def turn(self, kill: bool = False) -> None:
        """All that may enter do; then each inside makes a token, or the engine dies."""
        for request in list(self.requests):
            if request.life is None and self.suspects.may_enter(request):
                self.suspects.entered(request)
                self.suspects.taken(request)
        inside = [request for request in self.requests if request.life is not None]
        poisonous = any(self.made[self.requests[r]] >= self.poison.get(self.requests[r], 10**9) for r in inside)
        if inside and (kill or poisonous):
            self._crash(inside)
            return
        for request in inside:
            self._token(request)

    def _crash(self, inside: list[Suspect]) -> None:
        self.crashes += 1
        for request in inside:
            self.suspects.died(request)
            if request.condemned:
                self.failed.add(self.requests[request])
                self._leave(request)

    def _token(self, request: Suspect) -> None:
        number = self.requests[request]
        self.made[number] += 1
        self.suspects.progressed(request, 1)
        if self.made[number] >= self.lengths[number]:
            self._leave(request)

    def _leave(self, request: Suspect) -> None:
        self.suspects.leave(request)
        del self.requests[request]


def play(game: Game, kills: set[int]) -> None:
    for turn in range(5000):
        if not game.requests:
            return
        game.turn(kill=turn in kills)
    raise AssertionError(f"stuck with {len(game.requests)} requests")


def test_one_poisonous_among_twenty() -> None:
    """19 finish, one fails, and it takes few crashes to find it."""
    game = Game([30] * 20, poison={7: 0})
    play(game, kills=set())
    assert game.failed == {7}
    assert game.crashes <= 5


def test_poison_that_strikes_late() -> None:
    """A request that kills after 20 tokens is found as well: put back, it kills at once."""
    game = Game([40] * 20, poison={0: 20})
    play(game, kills=set())
    assert game.failed == {0}
    assert game.crashes <= 6


def test_three_plain_kills_fail_nobody() -> None:
    """Kills from outside, close together, cost no request its answer."""
    game = Game([50] * 20, poison={})
    play(game, kills={3, 5, 7})
    assert game.failed == set()
    assert game.crashes == 3


def test_the_first_crash_puts_all_back_together() -> None:
    """One crash is no reason to go one by one."""
    game = Game([30] * 5, poison={})
    game.turn()
    game.turn(kill=True)
    game.turn()
    assert all(request.life is not None for request in game.requests)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.sets(st.integers(0, 60), max_size=6),
    st.integers(0, 11),
    st.integers(0, 30),
)
def test_every_request_ends(lengths: list[int], kills: set[int], poison: int, after: int) -> None:
    """Whatever kills come when: nothing is stuck, and without kills only the poisonous one fails."""
    game = Game(lengths, poison={poison: after})
    play(game, kills)
    if poison < len(lengths) and after < lengths[poison]:
        assert poison in game.failed
    if not kills:
        assert game.failed <= {poison}


def test_kills_spread_out_fail_nobody() -> None:
    """A single request survives any number of kills, as long as it makes progress between them."""
    game = Game([100], poison={})
    play(game, kills=set(range(5, 200, 6)))
    assert game.failed == set()
    assert game.crashes > 10
