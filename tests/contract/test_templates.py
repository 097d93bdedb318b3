"""Conversations and real chat templates: system turns a template refuses, cut calls, an answer that is begun."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from src.engine.backend import Backend
from src.errors import InvalidRequest, ModelLoadFailed
from src.ipc.messages.chat import ChatMessage, GenerateRequest, ToolCall
from tests.contract.test_backends import load

# as Qwen's: a system turn stands first, or nowhere
GUARDED = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}{{ raise_exception('System must be first') }}"
    "{% endif %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
# shows users and the assistant alone, and says nothing of it
FORGETFUL = (
    "{% for m in messages %}{% if m.role != 'system' or loop.first %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
STRICT = "{{ raise_exception('never') }}"
WALKING = (
    "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}"
    "{% for k, v in c.function.arguments.items() %}"
    "[{{ k }}={{ v }}]{% endfor %}{% endfor %}{% endfor %}{% if add_generation_prompt %}>{% endif %}"
)
Loaded = Callable[[str], Backend]


@pytest.fixture
def with_template(random_model: Path, tmp_path: Path) -> Loaded:
    def loaded(template: str) -> Backend:
        folder = tmp_path / "model"
        shutil.copytree(random_model, folder)
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template}))
        return load(str(folder))

    return loaded


def shown(backend: Backend, *turns: ChatMessage, continue_final: bool = False) -> str:
    """The prompt as text."""
    try:
        request = GenerateRequest("r", "m", turns, continue_final=continue_final)
        return backend.tokenizer.decode(backend.tokenizer.encode(request)).strip()
    finally:
        backend.close()


def turn(role: str, text: str) -> ChatMessage:
    return ChatMessage(role, text)


@pytest.mark.parametrize("template", [GUARDED, FORGETFUL])
def test_late_system_turns_reach_the_model(template: str, with_template: Loaded) -> None:
    """Whether the template refuses them or leaves them out: joined at the head, folded into the user's turn."""
    turns = [turn("system", "aa"), turn("system", "bb"), turn("user", "cc"), turn("system", "dd")]
    text = shown(with_template(template), *turns)
    assert text.index("aa") < text.index("bb") < text.index("cc") < text.index("dd")
    assert text.count("<system>") == 1
    assert "dd</user>" in text


def test_a_template_that_takes_them_sees_them_in_their_places(with_template: Loaded) -> None:
    """They are folded only where they have to be."""
    plain = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    text = shown(with_template(plain), turn("user", "aa"), turn("system", "bb"), turn("user", "cc"))
    assert text == "<user>aa<system>bb<user>cc"


def test_what_a_template_refuses_in_every_form_is_refused(with_template: Loaded) -> None:
    with pytest.raises(InvalidRequest, match="template"):
        shown(with_template(STRICT), turn("system", "a"), turn("system", "b"), turn("user", "c"))


def test_an_answer_goes_on_inside_the_last_turn(with_template: Loaded) -> None:
    """The prompt ends with its beginning: no end mark, and no new turn."""
    turns = (turn("user", "aa"), turn("assistant", "bb cc"))
    assert shown(with_template(GUARDED), *turns, continue_final=True) == "<user>aa</user><assistant>bb cc"


@pytest.mark.parametrize(
    ("arguments", "text"), [('{"a": 1}', "[a=1]"), ('{"a": ', '[arguments={"a": ]'), ("", ""), ("null", "")]
)
def test_a_call_that_was_cut_is_shown_as_text(arguments: str, text: str, with_template: Loaded) -> None:
    """Templates walk through arguments: one cut call must not end the session."""
    called = ChatMessage("assistant", "", tool_calls=(ToolCall("1", "f", arguments),))
    assert shown(with_template(WALKING), turn("user", "x"), called) == f"x{text}>"


def test_a_template_of_the_operators_own(random_model: Path, tmp_path: Path) -> None:
    """CHAT_TEMPLATE takes the place of the checkpoint's: its family is the one that this template shows."""
    file = tmp_path / "own.jinja"
    file.write_text("{{ tools }}[TOOL_CALLS][ARGS]{% for m in messages %}«{{ m.content }}»{% endfor %}")
    backend = load(str(random_model), chat_template=file)
    assert (backend.info.family, backend.info.tools) == ("mistral", "mistral")
    assert "«aa»" in shown(backend, turn("user", "aa"))
    with pytest.raises(ModelLoadFailed, match="CHAT_TEMPLATE"):
        load(str(random_model), chat_template=tmp_path / "none.jinja")
