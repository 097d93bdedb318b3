"""What each engine refuses by name, for docs/compatibility.md and the tests that try it. Data only."""

from __future__ import annotations
