"""What a checkpoint of the demo's kind is made of: tokenizer, chat template, config, weights, in mlx-lm's layout."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm.models import qwen3
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.demo.corpus import tokenizer_texts

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
)
CONTEXT = 2048


@dataclass(frozen=True)
class Shape:
    """The sizes of a Qwen3 model, under the names of its config file."""

    hidden_size: int = 256
    num_hidden_layers: int = 3
    intermediate_size: int = 768
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    vocab_size: int = 4096


CHAT_TEMPLATE = r"""{%- set ns = namespace(system='', first=0) -%}
{%- if messages and messages[0].role in ['system', 'developer'] -%}
  {%- set ns.system = messages[0].content -%}{%- set ns.first = 1 -%}
{%- endif -%}
{%- macro text(content) -%}
  {%- if content is string -%}{{ content }}
  {%- else -%}{%- for part in content or [] -%}{{ part.text or '' }}{%- endfor -%}{%- endif -%}
{%- endmacro -%}
{%- if tools -%}
<|im_start|>system
{{ text(ns.system) }}
# Tools
You may call these functions:
{% for tool in tools %}{{ tool | tojson }}
{% endfor -%}
Answer with <tool_call>{"name": ..., "arguments": ...}</tool_call> to call one.<|im_end|>
{% elif ns.system -%}
<|im_start|>system
{{ text(ns.system) }}<|im_end|>
{% endif -%}
{%- for message in messages[ns.first:] -%}
{%- if message.role == 'tool' -%}
<|im_start|>user
<tool_response>{{ text(message.content) }}</tool_response><|im_end|>
{% elif message.role == 'assistant' -%}
<|im_start|>assistant
{{ text(message.content) }}
{%- for call in message.tool_calls or [] -%}
{%- set tool_call = call.function or call -%}
<tool_call>
{"name": {{ tool_call.name | tojson }}, "arguments": {% if tool_call.arguments is string %}{{ tool_call.arguments }}
{%- else %}{{ tool_call.arguments | tojson }}{% endif %}}
</tool_call>
{%- endfor -%}<|im_end|>
{% else -%}
<|im_start|>{{ 'system' if message.role == 'developer' else message.role }}
{{ text(message.content) }}<|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}"""


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Bytes, with every Han character and digit on its own: phrases that share characters then share tokens."""
    alone = pre_tokenizers.Split(Regex(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]|\d"), "isolated")
    return pre_tokenizers.Sequence([alone, pre_tokenizers.ByteLevel(add_prefix_space=False)])


def build_tokenizer(texts: Iterable[str], vocab: int) -> Tokenizer:
    """A byte-level BPE of `vocab` tokens, special ones included, learned from the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - len(SPECIAL_TOKENS),
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    for token in SPECIAL_TOKENS:
        add_special(tokenizer, token)
    return tokenizer


def add_special(tokenizer: Tokenizer, token: str) -> None:
    """Control tokens are hidden from decoded text; tool and thinking tags stay visible to their parsers."""
    if token.startswith("<|"):
        tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)])
    else:
        tokenizer.add_tokens([AddedToken(token, special=False, normalized=False)])


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _added_tokens(tokenizer: Tokenizer) -> dict[str, dict[str, Any]]:
    plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    return {
        str(tokenizer.token_to_id(token)): {"content": token, "special": token.startswith("<|"), **plain}
        for token in SPECIAL_TOKENS
    }


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """tokenizer.json (compact) and tokenizer_config.json with the chat template."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": CONTEXT,
            "bos_token": None,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False,
            "added_tokens_decoder": _added_tokens(tokenizer),
            "chat_template": CHAT_TEMPLATE,
        },
    )


def write_config(folder: Path, shape: Shape, tokenizer: Tokenizer) -> dict[str, Any]:
    """config.json and generation_config.json; returns the config."""
    end = [tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")]
    generation = {"eos_token_id": end, "pad_token_id": end[1]}
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        **asdict(shape),
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "hidden_act": "silu",
        "torch_dtype": "float16",
        **generation,
    }
    _write_json(folder / "config.json", config)
    # so small a model answers best with its likeliest token: greedy unless a request asks otherwise
    _write_json(folder / "generation_config.json", {**generation, "do_sample": False})
    return config


def build_model(config: dict[str, Any]) -> qwen3.Model:
    """The model of a config, with MLX's initial weights."""
    return qwen3.Model(qwen3.ModelArgs.from_dict(config))


def write_weights(folder: Path, model: qwen3.Model) -> None:
    """model.safetensors in float16, replaced in one step so that a reader never sees half a file."""
    weights = {name: value.astype(mx.float16) for name, value in tree_flatten(model.parameters())}
    part = folder / "model.part.safetensors"
    mx.save_safetensors(str(part), weights, metadata={"format": "mlx"})
    part.replace(folder / "model.safetensors")


def _random_weight(name: str, weight: mx.array, silent: mx.array) -> mx.array:
    """Unit-gain layers under loud embeddings: varied greedy text with clear margins."""
    if name == "model.norm.weight":  # random signs: with tied embeddings the likeliest token were else the last one
        return mx.where(mx.random.uniform(shape=weight.shape) < 0.5, -1.0, 1.0)
    if weight.ndim == 1:
        return mx.ones_like(weight)
    gain = 4.0 if "down_proj" in name or "o_proj" in name else 1.0
    scale = 1.0 if "embed_tokens" in name else gain * weight.shape[-1] ** -0.5
    drawn = mx.random.normal(weight.shape) * scale
    if "embed_tokens" in name:  # a zero row has a zero logit: the model never ends its turn by chance
        drawn[silent] = 0.0
    return drawn


def randomise(model: qwen3.Model, silent: list[int], seed: int) -> None:
    """Random weights that speak; the tokens `silent` are never the likeliest."""
    mx.random.seed(seed)
    ids = mx.array(silent)
    model.update(tree_unflatten([(name, _random_weight(name, w, ids)) for name, w in tree_flatten(model.parameters())]))
    mx.eval(model.parameters())


def write_random_checkpoint(
    folder: Path, *, seed: int = 7, hidden: int = 64, layers: int = 2, vocab: int = 2048
) -> None:
    """A small checkpoint with random weights and a real tokenizer, for tests; takes a few seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer(itertools.islice(tokenizer_texts(seed), 6000), vocab)
    shape = Shape(
        hidden, layers, 3 * hidden, max(2, hidden // 32), max(1, hidden // 64), 32, tokenizer.get_vocab_size()
    )
    model = build_model(write_config(folder, shape, tokenizer))
    randomise(model, [tokenizer.encode(token).ids[0] for token in SPECIAL_TOKENS], seed)
    write_tokenizer(folder, tokenizer)
    write_weights(folder, model)
