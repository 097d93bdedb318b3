"""Whose an id is."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.state import ids


def test_an_id_tells_the_folder_and_no_two_are_alike() -> None:
    """As long as those without a mark."""
    mark = ids.mark_of(Path("/var/lib/stoker"))
    assert mark == ids.mark_of(Path("/var/lib/stoker")) != ids.mark_of(Path("/srv/stoker"))
    made = {ids.new_id("file-", mark) for _ in range(100)}
    assert len(made) == 100
    assert {len(name) for name in made} == {len("file-") + 32}
    assert {ids.mark_in(name) for name in made} == {mark}


@pytest.mark.parametrize("name", ["", "file-", "resp_" + "0" * 32, "file-" + "G" * 32, "batch_" + "0" * 33])
def test_what_is_no_id_tells_nothing(name: str) -> None:
    assert ids.mark_in(name) is None
