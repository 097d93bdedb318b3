"""How long work waits for its key."""

from __future__ import annotations

from src.api.batches.absent_keys import GRACE_S, AbsentKeys


def test_work_waits_a_while_for_its_key() -> None:
    """From when it is first looked for; one that comes back in time has its whole while the next time."""
    known = {"alice"}
    keys = AbsentKeys(known.__contains__)
    assert not keys.is_absent("alice", 0)
    assert not keys.is_gone("alice", 10 * GRACE_S)
    assert keys.is_absent("bob", 100)
    assert [keys.is_gone("bob", 100 + after) for after in (0, GRACE_S - 1, GRACE_S)] == [False, False, True]
    known.add("bob")
    assert not keys.is_gone("bob", 100 + 2 * GRACE_S)
    known.remove("bob")
    assert [keys.is_gone("bob", 1000 + after) for after in (0, GRACE_S)] == [False, True]
