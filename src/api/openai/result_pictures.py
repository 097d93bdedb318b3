"""Which pictures among the results of tools the model is not shown, and the line that stands for each: a client would
send the same history for ever. Pure; the wires ask it, a picture at a time, in their order."""

from __future__ import annotations

from collections.abc import Callable

from src.api.openai.fields import IMAGE_STAND_IN


class ResultPictures:
    """All of them, where the model does not see; of more than MAX_IMAGES the earliest, `too_many` of them. `note` is
    told what is set aside."""

    def __init__(self, note: Callable[[str], None], *, sees: bool, too_many: int = 0) -> None:
        self._note = note
        self._sees = sees
        self._too_many = too_many

    def stand_in(self) -> str | None:
        """What the model is told in the next picture's place; None: it is shown."""
        if not self._sees:
            return self._noted("[a picture: this model reads none]")
        if self._too_many <= 0:
            return None
        self._too_many -= 1
        return self._noted("[an earlier picture, not shown again]")

    def _noted(self, text: str) -> str:
        self._note(IMAGE_STAND_IN)
        return text
