"""Mistral's tekken.json, where it is all there is: tokens, end of turn, calls as the family writes them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from loguru import logger

from src.engine.families.recognition import Signs, recognise
from src.engine.mlx.text import opening

SPECIAL = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[ARGS]")
TEMPLATE = "<s>{% for m in messages %}[INST]{{ m.content }}[/INST]{% endfor %}{{ tools }}[TOOL_CALLS][ARGS]"


def write(folder: Path) -> Path:
    words = [bytes([code]) for code in range(256)] + [b"he", b"hel", b"lo", b"hello"]
    vocabulary = [
        {"rank": rank, "token_bytes": base64.b64encode(word).decode(), "token_str": None}
        for rank, word in enumerate(words)
    ]
    special = [{"rank": rank, "token_str": text, "is_control": True} for rank, text in enumerate(SPECIAL)]
    config = {"pattern": r"\w+|\W", "default_num_special_tokens": 10, "default_vocab_size": 270, "version": "v11"}
    content = {"config": config, "vocab": vocabulary, "special_tokens": special}
    (folder / "tekken.json").write_text(json.dumps(content))
    return folder


def test_tekken_alone_is_a_tokenizer(tmp_path: Path) -> None:
    (write(tmp_path) / "chat_template.jinja").write_text(TEMPLATE)
    made = opening.open_tokenizer(tmp_path, 2)
    assert made.encode("hello[ARGS]") == [256 + 3 + 10, SPECIAL.index("[ARGS]")]
    assert made.decode(made.encode("Grüße, 東京")) == "Grüße, 東京"
    assert made.eos_token_ids == {2}
    detokenizer = made.detokenizer
    for token in made.encode("hello ü"):
        detokenizer.add_token(token)
    detokenizer.finalize()
    assert detokenizer.text == "hello ü"
    prompt = made.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False)
    assert prompt.startswith("<s>[INST]hello[/INST]")
    assert recognise(Signs(made.chat_template, made.get_vocab())).family == "mistral"


def test_without_a_template_the_log_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.integrations.mistral.tokenizer.is_mistral_common_available", lambda: False)
    said: list[str] = []
    sink = logger.add(said.append, format="{message}")
    made = opening.open_tokenizer(write(tmp_path))
    logger.remove(sink)
    assert not made.has_chat_template
    assert "CHAT_TEMPLATE" in "".join(said)
