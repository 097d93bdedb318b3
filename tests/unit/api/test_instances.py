"""An instance by itself, and one whose Redis is away (with others: tests/deploy/test_instances.py)."""

from __future__ import annotations

import pytest

from src.api.instances import AnnouncedModel, Instances
from src.catalog import CatalogEntry
from tests.conftest import MakeSettings


@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:1"])
def test_it_knows_itself_alone(url: str, make_settings: MakeSettings) -> None:
    """Its name has its port; nobody waits for a Redis that is away."""
    entry = CatalogEntry("demo", context_length=1024)
    known = Instances(make_settings(redis_url=url, port=8123), lambda: None, lambda: {"demo": entry})
    here = known.here()
    assert here.name.endswith(":8123")
    assert (here.status, here.models) == (None, (AnnouncedModel("demo", 1024, ("chat",)),))
    assert known.others() == []
    assert known.keeper_of(f"file-{'0' * 32}") is None
    assert known.keeper_of(f"file-{here.mark}{'0' * 24}") is None
