"""A GGUF file's tokenizer as tokenizer.json and tokenizer_config.json: byte-level BPE, SentencePiece BPE, unigram.

Checked against llama.cpp on the same files by `make test-real`. Nothing of the file is run: its chat template is a text
here, rendered later in transformers' sandbox.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from src.engine.mlx.gguf.metadata import Gguf, Value
from src.engine.mlx.gguf.pretokenizers import PRE_TOKENIZERS, PreTokenizer
from src.errors import ModelLoadFailed

_UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 2, 3, 4, 6
_SPACE = "▁"
_LONGEST_PIECE = 256  # characters of a token whose merges are looked for
_PREFIX = "tokenizer.ggml."
# marks that end a turn, whatever a file calls its end of text
_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
)
_RSTRIPPED = re.compile(r"<\|(?!endoftext\|>).*\|>|</s>")  # Phi-3's marks swallow the white space behind them


@dataclass(frozen=True)
class _Words:
    """The vocabulary: a token's text, score and kind by its id."""

    file: str
    texts: list[str]
    kinds: list[int]
    scores: list[float]
    merges: list[tuple[str, str]]
    metadata: dict[str, Value]

    @property
    def ids(self) -> dict[str, int]:
        return {text: number for number, text in enumerate(self.texts)}

    def of_kind(self, *kinds: int) -> Iterator[tuple[int, str]]:
        return ((number, self.texts[number]) for number, kind in enumerate(self.kinds) if kind in kinds)

    def token(self, role: str) -> str | None:
        """The text of a special token; None when the file names none."""
        number = self.metadata.get(f"{_PREFIX}{role}_token_id")
        valid = isinstance(number, int) and 0 <= number < len(self.texts)
        return self.texts[number] if valid and isinstance(number, int) else None

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.metadata.get(_PREFIX + name, default)
        return value if isinstance(value, bool) else default


def write(file: Gguf, folder: Path) -> list[int]:
    """Write both files.

    Returns:
        The ids that end an answer.

    Raises:
        ModelLoadFailed: for a tokenizer that is not known here, or damaged.
    """
    words = _words(file)
    try:
        tokenizer = _build(words)
    except ModelLoadFailed:
        raise
    except Exception as error:  # noqa: BLE001  # the library raises bare Exceptions for what a vocabulary lacks
        raise ModelLoadFailed(f"{file.name} has a damaged tokenizer: {_first_line(error)}") from None
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(_config(words), indent=1), encoding="utf-8")
    return _end_tokens(words)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _words(file: Gguf) -> _Words:
    texts = _list(file, "tokens", str)
    if not texts:
        raise ModelLoadFailed(f"{file.name} has no {_PREFIX}tokens: it has no tokenizer.")
    kinds = _list(file, "token_type", int) or [1] * len(texts)
    scores = _list(file, "scores", float) or [0.0] * len(texts)
    if not len(texts) == len(kinds) == len(scores):
        raise ModelLoadFailed(f"{file.name} has {len(texts)} tokens, {len(kinds)} kinds and {len(scores)} scores.")
    merges = [_merge(text) for text in _list(file, "merges", str)]
    return _Words(file.name, texts, kinds, scores, merges, file.metadata)


def _list(file: Gguf, key: str, kind: type[Any]) -> list[Any]:
    values = file.metadata.get(_PREFIX + key, [])
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        raise ModelLoadFailed(f"{file.name} has {_PREFIX}{key} in an unknown form.")
    return values


def _merge(text: str) -> tuple[str, str]:
    left, _, right = text[1:].partition(" ")
    return text[:1] + left, right


def _build(words: _Words) -> Any:
    kind = words.metadata.get(f"{_PREFIX}model")
    builders = {"gpt2": _byte_level, "llama": _sentencepiece, "t5": _unigram}
    if not isinstance(kind, str) or kind not in builders:
        raise ModelLoadFailed(f"{words.file} has a tokenizer {kind!r:.60}; the engine mlx reads {', '.join(builders)}.")
    tokenizer = builders[kind](words)
    tokenizer.add_special_tokens(list(_added(words, special=True)))
    tokenizer.add_tokens(list(_added(words, special=False)))
    _add_ends(tokenizer, words, bos=_adds_bos(words, kind), eos=words.flag("add_eos_token", default=kind == "t5"))
    return tokenizer


def _byte_level(words: _Words) -> Any:
    pre = _pre_tokenizer(words)
    model = models.BPE(vocab=words.ids, merges=words.merges, ignore_merges=pre.whole_words)
    tokenizer = Tokenizer(model)
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in pre.patterns]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _pre_tokenizer(words: _Words) -> PreTokenizer:
    name = words.metadata.get(f"{_PREFIX}pre")
    if not isinstance(name, str) or name not in PRE_TOKENIZERS:
        raise ModelLoadFailed(f"{words.file} has a pre-tokenizer {name!r:.60}, which is not known here.")
    return PRE_TOKENIZERS[name]


def _sentencepiece(words: _Words) -> Any:
    """BPE over characters, by the scores of what two pieces make; bytes for what no piece has."""
    unknown = next((text for _, text in words.of_kind(_UNKNOWN)), None)
    merges = words.merges or _merges_of_scores(words)
    tokenizer = Tokenizer(
        models.BPE(vocab=words.ids, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    prefixed = words.flag("add_space_prefix", default=True)
    spaces = normalizers.Replace(" ", _SPACE)
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.Prepend(_SPACE), spaces]) if prefixed else normalizers.Sequence([spaces])
    )
    strip = [decoders.Strip(" ", 1, 0)] if prefixed else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return tokenizer


def _merges_of_scores(words: _Words) -> list[tuple[str, str]]:
    """Two pieces are merged if what they make is one, the best score first."""
    ids, found = words.ids, []
    for number, text in enumerate(words.texts):
        if words.kinds[number] in (_CONTROL, _UNKNOWN, _BYTE) or not 1 < len(text) <= _LONGEST_PIECE:
            continue
        for cut in range(1, len(text)):
            left, right = ids.get(text[:cut]), ids.get(text[cut:])
            if left is not None and right is not None:
                found.append((-words.scores[number], number, left, right))
    return [(words.texts[left], words.texts[right]) for _, _, left, right in sorted(found)]


def _unigram(words: _Words) -> Any:
    unknown = next((number for number, _ in words.of_kind(_UNKNOWN)), None)
    pieces = list(zip(words.texts, words.scores, strict=True))
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unknown, byte_fallback=any(k == _BYTE for k in words.kinds)))
    table = words.metadata.get(f"{_PREFIX}precompiled_charsmap")
    steps = [normalizers.Precompiled(bytes(int(str(one)) & 0xFF for one in table))] if isinstance(table, list) else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(Regex(" {2,}"), " ")])
    scheme = "always" if words.flag("add_space_prefix", default=True) else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return tokenizer


def _added(words: _Words, *, special: bool) -> Iterator[Any]:
    """Tokens that are looked for in a text before all else."""
    kinds = (_UNKNOWN, _CONTROL) if special else (_USER_DEFINED,)
    strips = words.metadata.get("general.architecture") == "phi3"
    for _, text in words.of_kind(*kinds):
        if text:
            rstrip = strips and special and _RSTRIPPED.fullmatch(text) is not None
            yield AddedToken(text, special=special, normalized=False, rstrip=rstrip)


def _adds_bos(words: _Words, kind: str) -> bool:
    if kind != "gpt2":
        return words.flag("add_bos_token", default=kind == "llama")
    return words.flag("add_bos_token", default=_pre_tokenizer(words).adds_bos)


def _add_ends(tokenizer: Any, words: _Words, *, bos: bool, eos: bool) -> None:
    """What stands around every text that is not a conversation."""
    named = {role: words.token(role) for role in ("bos", "eos")}
    before = [text] if bos and (text := named["bos"]) else []
    after = [text] if eos and (text := named["eos"]) else []
    if before or after:
        ids = [(text, tokenizer.token_to_id(text)) for text in dict.fromkeys((*before, *after))]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*before, "$A", *after], pair=[*before, "$A", *after, "$B", *after], special_tokens=ids
        )


def _config(words: _Words) -> dict[str, Any]:
    template = words.metadata.get("tokenizer.chat_template")
    unknown = words.token("unknown") or next((text for _, text in words.of_kind(_UNKNOWN)), None)
    special = {
        "bos_token": words.token("bos"),
        "eos_token": words.token("eos"),
        "pad_token": words.token("padding") or words.token("eos"),
        "unk_token": unknown,
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **{role: text for role, text in special.items() if text},
        **({"chat_template": template} if isinstance(template, str) and template else {}),
    }


def _end_tokens(words: _Words) -> list[int]:
    ids, special = words.ids, {text for _, text in words.of_kind(_CONTROL, _USER_DEFINED)}
    named = [words.token(role) for role in ("eos", "eot", "eom")]
    known = [text for text in _ENDS if text in special]
    return list(dict.fromkeys(ids[text] for text in (*named, *known) if text))
