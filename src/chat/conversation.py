"""What was said in a terminal chat, and the request for the next answer. Pure but for the pictures it reads."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_KINDS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".gif": "gif", ".bmp": "bmp"}
_LARGEST_PICTURE = 20 << 20  # bytes


class ChatError(Exception):
    """What the user asked for cannot be done; the text says why."""


@dataclass
class TerminalConversation:
    """`model` None: DEFAULT_MODEL of the service. `pictures` go with the next question, as data URLs."""

    model: str | None = None
    system: str = ""
    turns: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

    def ask(self, question: str) -> dict[str, Any]:
        """Add a question; the request that answers it."""
        self.turns.append({"role": "user", "content": self._content(question)})
        self.pictures = []
        system = [{"role": "system", "content": self.system}] if self.system else []
        model = {"model": self.model} if self.model is not None else {}
        return {**model, "messages": [*system, *self.turns], "stream": True}

    def answered(self, text: str) -> None:
        """The answer, or what there was of it when it was stopped. Without one the question is taken back."""
        if text:
            self.turns.append({"role": "assistant", "content": text})
        else:
            self.turns.pop()

    def show(self, path: Path) -> None:
        """Add a picture to the next question.

        Raises:
            ChatError: when it cannot be read, or is no picture.
        """
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            raise ChatError(f"{path.name} is no picture by its name: {', '.join(_KINDS)}.")
        try:
            content = path.expanduser().read_bytes()
        except (OSError, RuntimeError) as error:  # RuntimeError: no such ~user
            raise ChatError(f"{path} cannot be read: {error}") from None
        if len(content) > _LARGEST_PICTURE:
            raise ChatError(f"{path.name} has {len(content) >> 20} MB; at most {_LARGEST_PICTURE >> 20} are sent.")
        self.pictures.append(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")

    def clear(self) -> None:
        self.turns, self.pictures = [], []

    def _content(self, question: str) -> str | list[dict[str, Any]]:
        if not self.pictures:
            return question
        pictures = [{"type": "image_url", "image_url": {"url": url}} for url in self.pictures]
        return [*pictures, {"type": "text", "text": question}]
