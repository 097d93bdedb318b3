"""A store in which every owner has a share."""

from __future__ import annotations

from src.api.cache.shares import SharedStore


def kept(store: SharedStore[str], owner: str, *keys: str) -> list[str]:
    return [key for key in keys if store.get(owner, key) is not None]


def test_a_value_is_its_owners_alone() -> None:
    """Another owner neither sees, replaces nor deletes it, whatever key it uses."""
    store: SharedStore[str] = SharedStore(100)
    store.put("alice", "1", "hers", 4)
    store.put("bob", "1", "his", 3)
    assert (store.get("alice", "1"), store.get("bob", "1"), store.get("carol", "1")) == ("hers", "his", None)
    assert not store.delete("carol", "1")
    assert store.delete("bob", "1")
    assert (store.get("alice", "1"), store.owner_of("1"), store.owner_of("2")) == ("hers", "alice", None)


def test_who_keeps_the_most_makes_room() -> None:
    """A key that fills the store pushes out its own values, not those of a key that keeps little."""
    store: SharedStore[str] = SharedStore(100)
    for number in range(3):
        store.put("alice", f"a{number}", "x", 10)
    for number in range(50):
        store.put("bob", f"b{number}", "x", 10)
    assert kept(store, "alice", "a0", "a1", "a2") == ["a0", "a1", "a2"]
    assert kept(store, "bob", *(f"b{number}" for number in range(50))) == [f"b{number}" for number in range(43, 50)]


def test_entries_are_bounded_as_bytes_are() -> None:
    """Many small values of one key do not push out the few of another."""
    store: SharedStore[str] = SharedStore(1000, max_entries=4)
    store.put("alice", "a", "x", 900)
    for number in range(9):
        store.put("bob", f"b{number}", "x", 1)
    assert len(store) == 4
    assert kept(store, "alice", "a") == ["a"]


def test_of_one_owner_the_least_recently_used_goes() -> None:
    """Asking for a value keeps it; one that is larger than the store is not kept, and its predecessor goes."""
    store: SharedStore[str] = SharedStore(30)
    for key in "abc":
        store.put("alice", key, key, 10)
    store.get("alice", "a")
    store.put("alice", "d", "d", 10)
    assert kept(store, "alice", "a", "b", "c", "d") == ["a", "c", "d"]
    store.put("alice", "a", "huge", 60)
    assert kept(store, "alice", "a", "c", "d") == ["c", "d"]
    assert len(store) == 2
