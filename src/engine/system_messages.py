"""Conversations for templates that refuse them as they are: system turns that come late, or several of them. Pure.

Tokenizer thread, and engines whose template is a server's. Each form says the same in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from msgspec.structs import replace

from src.ipc.messages.chat import ChatMessage

Conversation = tuple[ChatMessage, ...]
_BETWEEN = "\n\n"


def forms(messages: Conversation) -> Iterator[Conversation]:
    """The conversation as it is; then with its first system turns as one; then with the later ones in users' turns."""
    yield messages
    joined = _joined_head(messages)
    if joined != messages:
        yield joined
    folded = _folded(joined)
    if folded != joined:
        yield folded


def late_system_texts(messages: Conversation) -> list[str]:
    """What system turns say that do not stand alone at the head: some templates leave one out without a word."""
    system = [at for at, turn in enumerate(messages) if turn.role == "system"]
    return [messages[at].content for at in system if system != [0] and messages[at].content.strip()]


def _joined_head(messages: Conversation) -> Conversation:
    head = tuple(takewhile(lambda turn: turn.role == "system", messages))
    if len(head) < 2:
        return messages
    return (_said("system", _BETWEEN.join(turn.content for turn in head)), *messages[len(head) :])


def _folded(messages: Conversation) -> Conversation:
    """A late system turn becomes part of the user's turn before it, or else of the one behind it, or else is one."""
    made: list[ChatMessage] = list(messages[:1])
    held: list[ChatMessage] = []
    for turn in messages[1:]:
        if turn.role != "system":
            made.append(_with_before(turn, held) if turn.role == "user" else turn)
            if held and turn.role != "user":
                made.insert(-1, _said("user", _BETWEEN.join(one.content for one in held)))
            held = []
        elif made[-1].role == "user" and not held:
            made[-1] = _with_behind(made[-1], turn)
        else:
            held.append(turn)
    if held:
        made.append(_said("user", _BETWEEN.join(one.content for one in held)))
    return tuple(made)


def _with_behind(turn: ChatMessage, late: ChatMessage) -> ChatMessage:
    text = _BETWEEN.join(filter(None, (turn.content, late.content)))
    return replace(turn, content=text, parts=(*turn.parts, _BETWEEN + late.content) if turn.parts else ())


def _with_before(turn: ChatMessage, held: list[ChatMessage]) -> ChatMessage:
    if not held:
        return turn
    said = _BETWEEN.join(one.content for one in held)
    text = _BETWEEN.join(filter(None, (said, turn.content)))
    return replace(turn, content=text, parts=(said + _BETWEEN, *turn.parts) if turn.parts else ())


def _said(role: str, text: str) -> ChatMessage:
    return ChatMessage(role, text)
