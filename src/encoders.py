"""What the files of a model say of it as an embedding model or a reranker: its kind, pooling, prompts, limits.

Read by the catalogue (every process) and by the engine that loads it; no weights are read. The files are those of
sentence-transformers: modules.json, 1_Pooling, sentence_bert_config.json, config_sentence_transformers.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

ModelKind = Literal["chat", "embedding", "rerank"]

# read whole, in both directions: these never generate
_ENCODERS = frozenset(("bert", "xlm_roberta", "modernbert"))
# also the architecture of chat models: their files, or their names, say what they were made for
_DECODERS = frozenset(("qwen3", "gemma3_text"))
_OWN_PROJECTION = "gemma3_text"
_LOGIT_SCORE = "LogitScore"
_MODULES = ("Transformer", "Pooling", "Normalize", "Dense", _LOGIT_SCORE)
# where input_type asks for a role: the names that checkpoints give its prompt
_ROLES: dict[str, tuple[str, ...]] = {
    "query": ("query", "search_query", "s2p_query", "retrieval.query"),
    "document": ("document", "passage", "corpus", "search_document", "retrieval.passage"),
    "classification": ("classification",),
    "clustering": ("clustering",),
}
_SPELLINGS = {"search_query": "query", "search_document": "document", "passage": "document"}
NO_CHAT: dict[ModelKind, str] = {
    "embedding": "This model makes embeddings and does not generate text: use /v1/embeddings.",
    "rerank": "This model is a reranker and does not generate text: use /v1/rerank.",
}
NO_VECTORS = "This model is a reranker and makes no embeddings: use /v1/rerank."
ROLES = (*_ROLES, *_SPELLINGS)


def model_type(config: dict[str, Any]) -> str:
    return str(config.get("model_type") or "").lower().replace("-", "_")


def kind(folder: Path, config: dict[str, Any]) -> ModelKind:
    """What a checkpoint was made for."""
    architecture, name = model_type(config), folder.name.lower()
    if architecture in _ENCODERS:
        return "rerank" if is_classifier(config) else "embedding"
    if judges(config) and ("rerank" in name or is_classifier(config) or _step(folder, _LOGIT_SCORE) is not None):
        return "rerank"
    if architecture in _DECODERS and ((folder / "modules.json").is_file() or "embed" in name):
        return "embedding"
    return "chat"


def judges(config: dict[str, Any]) -> bool:
    """Whether it is of the architecture whose rerankers are asked in words whether a document fits."""
    return model_type(config) == "qwen3"


def is_classifier(config: dict[str, Any]) -> bool:
    named = config.get("architectures")
    return isinstance(named, list) and any(str(one).endswith("ForSequenceClassification") for one in named)


@dataclass(frozen=True)
class Limits:
    """Of a text: tokens, where that is less than the model's positions; whether it is read in lower case."""

    max_tokens: int | None = None
    lower_case: bool = False


def limits(folder: Path) -> Limits:
    found = _object(folder / "sentence_bert_config.json")
    return Limits(_positive(found.get("max_seq_length")), found.get("do_lower_case") is True)


@dataclass(frozen=True)
class EncoderFacts:
    """How texts become vectors. `pooling`: None where the checkpoint leaves it to its architecture. `prompts`: what is
    put before a text, by name. `answers`: token ids of a judge's yes and no, where its files say them.
    """

    limits: Limits = Limits()
    pooling: dict[str, Any] | None = None
    normalizes: bool = True
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    answers: tuple[int, int] | None = None

    def prompt_of_role(self, role: str) -> str:
        """The prompt of `input_type`; nothing where the checkpoint makes no difference."""
        names = _ROLES.get(_SPELLINGS.get(role, role), ())
        found = {name.lower(): text for name, text in self.prompts.items()}
        return next((found[name] for name in names if name in found), "")


class UnknownModule(Exception):
    """A checkpoint that needs a step which nothing here computes."""


def read(folder: Path, config: dict[str, Any]) -> EncoderFacts:
    """The facts of a folder; files that are not there say nothing.

    Raises:
        UnknownModule: naming the step.
    """
    modules = _modules(folder)
    unknown = sorted({one for one, _ in modules} - set(_MODULES))
    dense = any(one == "Dense" for one, _ in modules) and model_type(config) != _OWN_PROJECTION
    if unknown or dense:
        raise UnknownModule(f"modules.json asks for {(unknown or ['Dense'])[0]}, which is not supported.")
    own = _object(folder / "config_sentence_transformers.json")
    prompts, default = own.get("prompts"), own.get("default_prompt_name")
    place = _step(folder, "Pooling") or "1_Pooling"
    return EncoderFacts(
        limits(folder),
        pooling=_object(folder / place / "config.json") or None,
        normalizes=not modules or any(one == "Normalize" for one, _ in modules),
        prompts={str(name): str(text) for name, text in prompts.items()} if isinstance(prompts, dict) else {},
        default_prompt=str(default) if default else None,
        answers=_answers(folder),
    )


def _answers(folder: Path) -> tuple[int, int] | None:
    place = _step(folder, _LOGIT_SCORE)
    if place is None:
        return None
    said = _object(folder / place / "config.json")
    yes, no = _positive(said.get("true_token_id")), _positive(said.get("false_token_id"))
    if yes is None or no is None:
        raise UnknownModule(f"{place} names no token for yes and no: a score by one token alone is not supported.")
    return yes, no


def _step(folder: Path, kind: str) -> str | None:
    """The folder of a step; None where modules.json has none of the kind."""
    return next((path for one, path in _modules(folder) if one == kind), None)


def context_length(config: dict[str, Any], own: Limits, others: Iterable[int]) -> int:
    """Tokens of a text: the least of what is said, by the checkpoint and by others (0: nothing is)."""
    positions = _positive(config.get("max_position_embeddings")) or 512
    if model_type(config) == "xlm_roberta":  # its positions begin behind the padding's
        positions -= int(config.get("pad_token_id") or 0) + 1
    return min(limit for limit in (positions, own.max_tokens, *others) if limit)


def _modules(folder: Path) -> list[tuple[str, str]]:
    """Kind and folder of each step."""
    try:
        found = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    rows = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [(str(one.get("type", "")).rpartition(".")[2], Path(str(one.get("path", ""))).name) for one in rows]


def _object(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
