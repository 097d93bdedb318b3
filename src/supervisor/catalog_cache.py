"""The model catalogue, cached: which models are on disk, their sizes, and what is wrong with their files.

Used by `models.py` in the supervisor's event loop; scans at most once a second, or when a name is new.
"""

from __future__ import annotations

from collections.abc import Callable

from src import catalog
from src.errors import ModelNotFound
from src.settings import Settings

_SCAN_S = 1.0


class CatalogCache:
    """The result of the last scan."""

    def __init__(
        self,
        settings: Settings,
        scan: Callable[[Settings], dict[str, catalog.CatalogEntry]],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._scan = scan
        self._clock = clock
        self._found: dict[str, catalog.CatalogEntry] = {}
        self._scanned_at = float("-inf")

    def refresh(self, wanted: str | None = None) -> dict[str, int]:
        """Scan the disk; the sizes of models that are new or changed.

        Skipped within a second of the last scan, unless `wanted` is unknown: web may just have seen it appear.
        """
        if self._clock() - self._scanned_at < _SCAN_S and (wanted is None or wanted in self._found):
            return {}
        before, self._found, self._scanned_at = self._found, self._scan(self._settings), self._clock()
        return {name: found.size for name, found in self._found.items() if found != before.get(name)}

    def names(self) -> tuple[str, ...]:
        return tuple(self._found)

    def size(self, name: str) -> int:
        """Bytes of a model's files.

        Raises:
            ModelNotFound: lists the available models.
        """
        return self._of(name).size

    def damage(self, name: str) -> str | None:
        """What is wrong with a model's files, as a sentence.

        Raises:
            ModelNotFound: the files were removed.
        """
        folder = self._of(name).folder
        if folder is None or self._settings.inference_engine == "fake":
            return None
        why = catalog.damage(folder)
        return f"The model {name!r} cannot be loaded: {why}." if why else None

    def _of(self, name: str) -> catalog.CatalogEntry:
        if name not in self._found:
            raise ModelNotFound(f"No such model. Available: {', '.join(self._found)}.", param="model")
        return self._found[name]
