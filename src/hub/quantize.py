"""Quantizes a local model to 4 or 8 bits with the converters of mlx-lm and mlx-vlm, in a separate process
(commands never import MLX).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from src.errors import ExitCode
from src.hub.snapshot import PullError
from src.settings import ROOT, foreign_environment

_DEADLINE_S = 4 * 3600.0  # the largest models take an hour


def convert(source: Path, target: Path, bits: int, config: dict[str, Any]) -> None:
    """Write the quantised model to `target`, which must not exist.

    Raises:
        PullError: the converter failed; with the last line of its output.
    """
    package = "mlx_vlm" if "vision_config" in config else "mlx_lm"
    argv = [sys.executable, "-m", package, "convert", "--hf-path", str(source), "--mlx-path", str(target)]
    done = run_converter([*argv, "-q", "--q-bits", str(bits)])
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise PullError(f"The conversion failed: {last}", ExitCode.MODEL)


def run_converter(argv: list[str]) -> subprocess.CompletedProcess[str]:
    """A converter in a process of its own, off the network, to its end.

    Raises:
        PullError: it did not end in time.
    """
    try:
        return subprocess.run(
            argv,
            cwd=ROOT,
            env=foreign_environment(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PullError(f"The conversion did not finish within {_DEADLINE_S / 3600:g} hours.") from None
