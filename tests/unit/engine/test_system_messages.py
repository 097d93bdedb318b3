"""What becomes of system turns that a template refuses."""

from __future__ import annotations

from src.engine.system_messages import forms, late_system_texts
from src.ipc.messages.chat import ChatMessage, ImagePart


def turns(*said: str) -> tuple[ChatMessage, ...]:
    """`s:text` is a system turn, `u:` a user's, `a:` the assistant's, `t:` a tool's."""
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return tuple(ChatMessage(roles[one[0]], one[2:]) for one in said)


def last(*said: str) -> tuple[ChatMessage, ...]:
    return list(forms(turns(*said)))[-1]


def test_an_ordinary_conversation_has_one_form() -> None:
    for ordinary in (turns("u:a"), turns("s:a", "u:b"), turns("s:a", "u:b", "a:c", "u:d")):
        assert list(forms(ordinary)) == [ordinary]


def test_the_head_is_joined_first() -> None:
    """Late turns stay where they are as long as a template takes them there."""
    given = turns("s:a", "s:b", "u:c", "s:d")
    assert list(forms(given)) == [given, turns("s:a\n\nb", "u:c", "s:d"), turns("s:a\n\nb", "u:c\n\nd")]


def test_late_turns_are_folded_in_order() -> None:
    assert last("u:a", "s:b", "s:c", "a:d", "u:e") == turns("u:a\n\nb\n\nc", "a:d", "u:e")
    assert last("u:a", "a:b", "s:c", "u:d") == turns("u:a", "a:b", "u:c\n\nd")
    assert last("u:a", "a:b", "s:c") == turns("u:a", "a:b", "u:c")
    assert last("u:a", "t:b", "s:c", "s:d", "a:e") == turns("u:a", "t:b", "u:c\n\nd", "a:e")
    assert last("a:x", "s:c", "u:d", "s:e", "u:f") == turns("a:x", "u:c\n\nd\n\ne", "u:f")


def test_pictures_keep_their_places() -> None:
    picture = ImagePart(b"x")
    given = (ChatMessage("user", "a", parts=(picture, "a")), *turns("s:b"))
    assert list(forms(given))[-1] == (ChatMessage("user", "a\n\nb", parts=(picture, "a", "\n\nb")),)


def test_what_a_template_may_have_left_out() -> None:
    """One that stands alone at the head is shown by every template; of several, some show the last alone."""
    assert late_system_texts(turns("s:a", "s:b", "u:c", "s:", "s:d")) == ["a", "b", "d"]
    assert late_system_texts(turns("s:a", "u:c")) == []
    assert late_system_texts(turns("u:c", "s:a")) == ["a"]
