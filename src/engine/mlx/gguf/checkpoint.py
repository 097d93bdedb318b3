"""Turns GGUF files into a folder that mlx-lm loads: config.json, tokenizer, model.safetensors, a tensor at a time.

`python -m src.engine.mlx.gguf.checkpoint FILE… FOLDER` does it in a process of its own, for `run.py import`; the engine
calls `write` where it serves a GGUF file itself.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from loguru import logger

from src.engine.mlx.gguf import blocks, metadata, tokenizer
from src.engine.mlx.gguf.architectures import configuration
from src.engine.mlx.gguf.metadata import Gguf
from src.engine.mlx.gguf.tensors import Conversion, Entry, conversions
from src.errors import ExitCode, ModelLoadFailed

_SPARE_BYTES = 256 << 20  # kept free for logs
_WEIGHTS = "model.safetensors"
_SAMPLING = {
    "temperature": "temp",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "penalty_repeat",
}

OnBytes = Callable[[int], None]


def write(files: Sequence[Path], folder: Path, begin: OnBytes, on_bytes: OnBytes) -> str:
    """Write the checkpoint into an empty folder.

    Args:
        files: the model's, in their order.
        folder: where to.
        begin: is told the bytes that will be written.
        on_bytes: is told of each piece.

    Returns:
        What became of the weights, in a line.

    Raises:
        ModelLoadFailed: in one line, why these files cannot be served; OSError: the folder cannot be written.
    """
    source = metadata.read(files)
    config = configuration(source)
    found = conversions(source)
    entries = [one.entries() for one in found]
    size = sum(entry.size for group in entries for entry in group)
    _require_room(folder, size)
    config |= _quantization(found)
    config["eos_token_id"] = tokenizer.write(source, folder)
    begin(size)
    _write_weights(source, found, entries, folder / _WEIGHTS, on_bytes)
    if sampling := _sampling(source):
        (folder / "generation_config.json").write_text(json.dumps(sampling), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return _summary(found)


def _sampling(source: Gguf) -> dict[str, float]:
    """What the model's makers recommend, where the file says it."""
    told = {name: source.metadata.get(f"general.sampling.{key}") for name, key in _SAMPLING.items()}
    return {name: value for name, value in told.items() if isinstance(value, int | float)}


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _SPARE_BYTES > free:
        text = f"The weights need {(needed + _SPARE_BYTES) >> 20} MB of disk space in {folder.parent}"
        raise ModelLoadFailed(f"{text}; {free >> 20} MB are free.")


def _quantization(found: Sequence[Conversion]) -> dict[str, Any]:
    """mlx-lm's entry: the bits of most matrices, and of each that has others."""
    bits = {one.module: one.bits for one in found if one.quantized}
    if not bits:
        return {}
    most = Counter(bits.values()).most_common(1)[0][0]
    others = {module: {"group_size": blocks.GROUP, "bits": own} for module, own in bits.items() if own != most}
    entry = {"group_size": blocks.GROUP, "bits": most, **others}
    return {"quantization": entry, "quantization_config": entry}


def _write_weights(
    source: Gguf, found: Sequence[Conversion], entries: Sequence[tuple[Entry, ...]], file: Path, on_bytes: OnBytes
) -> None:
    with file.open("wb") as out:
        _write_header(out, [entry for group in entries for entry in group])
        for conversion, group in zip(found, entries, strict=True):
            try:
                arrays = conversion.arrays()
            except ValueError as error:
                raise ModelLoadFailed(f"{source.name} has a tensor {conversion.tensor.name[:80]}: {error}") from None
            for entry, array in zip(group, arrays, strict=True):
                out.write(array.tobytes())
                on_bytes(entry.size)


def _write_header(out: BinaryIO, entries: Sequence[Entry]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "mlx"}}
    at = 0
    for entry in entries:
        header[entry.name] = {"dtype": entry.dtype, "shape": entry.shape, "data_offsets": (at, at + entry.size)}
        at += entry.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    out.write(len(text).to_bytes(8, "little") + text)


def _summary(found: Sequence[Conversion]) -> str:
    kinds = Counter(one.tensor.kind.name for one in found if one.quantized)
    formats = {one.tensor.kind.name: blocks.block_format(one.tensor.kind) for one in found if one.quantized}
    parts = [f"{count} {kind} tensors {_fate(formats[kind])}" for kind, count in sorted(kinds.items())]
    plain = sum(not one.quantized for one in found)
    return "; ".join([*parts, f"{plain} others exactly"])


def _fate(found: blocks.BlockFormat) -> str:
    if found.unpack is None:
        return f"requantised to {found.bits} bits in groups of {blocks.GROUP}"
    return "with their integers kept and their scales rounded once" if found.rounds_scales else "exactly"


def main(argv: list[str]) -> ExitCode:
    *files, folder = map(Path, argv)
    try:
        summary = write(files, folder, lambda _: None, lambda _: None)
    except ModelLoadFailed as error:
        sys.stderr.write(f"{error.message}\n")
        return ExitCode.MODEL
    except OSError as error:
        sys.stderr.write(f"{error.filename or folder}: {error.strerror or error}\n")
        return ExitCode.FAILURE
    sys.stdout.write(f"{summary}\n")
    return ExitCode.OK


if __name__ == "__main__":
    logger.remove()
    sys.exit(main(sys.argv[1:]))
