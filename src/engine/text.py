"""From tokens to the text a client may see: detokenized, cut at stop strings, which are never shown. Pure."""

from __future__ import annotations

from src.engine.backend import Detokenizer, OutputParser, Pieces

_NOTHING = Pieces()


class StopStrings:
    """Looks for stop strings in a growing text; holds back a tail that may still become one."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False
        self.which: str | None = None

    def push(self, text: str) -> str:
        """Add text; what may be shown now. After a stop string nothing more comes, and `found` is set."""
        if self.found or not self._stops:
            return "" if self.found else text
        text = self._held + text
        cut = min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=-1)
        if cut >= 0:
            self.found, self._held = True, ""
            self.which = next(stop for stop in self._stops if text.startswith(stop, cut))
            return text[:cut]
        keep = self._possible_start(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """The answer is over: the held tail was no stop string."""
        held, self._held = self._held, ""
        return held

    def _possible_start(self, text: str) -> int:
        """Length of the longest tail of `text` that begins a stop string."""
        longest = min(len(text), max(map(len, self._stops)) - 1)
        return next((n for n in range(longest, 0, -1) if any(stop.startswith(text[-n:]) for stop in self._stops)), 0)


class TextStream:
    """One answer's text. With a reader, what is not the answer itself is set aside until it is asked for."""

    def __init__(self, detokenizer: Detokenizer, stops: tuple[str, ...], reader: OutputParser | None = None) -> None:
        self._detokenizer = detokenizer
        self._stops = StopStrings(stops)
        self._reader = reader
        self._aside = _NOTHING

    @property
    def stopped(self) -> bool:
        return self._stops.found

    @property
    def stop(self) -> str | None:
        """The stop string that came."""
        return self._stops.which

    @property
    def called(self) -> bool:
        """Whether the model called tools."""
        return self._reader is not None and self._reader.called

    def push(self, token: int) -> str:
        text = self._stops.push(self._detokenizer.add(token))
        return text if self._reader is None else self._sorted(self._reader, text, last=self._stops.found)

    def flush(self) -> str:
        """The rest, at the end of the answer."""
        text = self._stops.push(self._detokenizer.flush())
        text += self._stops.flush()
        return text if self._reader is None else self._sorted(self._reader, text, last=True)

    def aside(self) -> Pieces:
        """Thinking and tool calls since this was last asked."""
        pieces, self._aside = self._aside, _NOTHING
        return pieces

    def _sorted(self, reader: OutputParser, text: str, *, last: bool) -> str:
        pieces = reader.push(text) if text else _NOTHING
        if last:
            pieces += reader.flush()
        if pieces.reasoning or pieces.calls:
            self._aside += Pieces(reasoning=pieces.reasoning, calls=pieces.calls)
        return pieces.text
