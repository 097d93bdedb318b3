"""Server-sent events: bytes as they come, data fields out. Pure."""

from __future__ import annotations

DONE = b"[DONE]"


class Events:
    """Feed it bytes; it gives the data of each event that is complete. Comments and other fields are passed over."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Lines may end in any of the three ways; an event of several data lines is none that OpenAI servers send."""
        *lines, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n")
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]
