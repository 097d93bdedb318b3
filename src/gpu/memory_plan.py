"""How much memory models may take: one total for the supervisor's table, the weights and each engine. Pure but `read`.

The supervisor calls no driver of Apple's, so it computes what Metal would recommend; an engine passes Metal's figure.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace

import psutil

_SYSCTL = ("/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb")
_SYSCTL_S = 2.0
# what macOS lets a GPU have, as `recommendedMaxWorkingSetSize` says: two thirds up to 32 GB, three quarters beyond
_SMALL_MAC_BYTES = 34 << 30


@dataclass(frozen=True)
class MachineMemory:
    """What there is. `dedicated`: an NVIDIA GPU's own; `recommended`: Metal's figure; `wired_limit`: the operator's."""

    platform: str
    ram: int
    dedicated: int | None = None
    recommended: int | None = None
    wired_limit: int = 0

    @property
    def total(self) -> int:
        """The memory of which MLX_MEMORY_FRACTION is a share."""
        if self.dedicated:
            return self.dedicated
        if self.platform != "darwin":
            return self.ram
        share = self.ram * 2 // 3 if self.ram < _SMALL_MAC_BYTES else self.ram * 3 // 4
        return min(self.ram, self.recommended or self.wired_limit or share)


def budget_bytes(total: int, fraction: float, fixed_mb: int = 0) -> int:
    """What may be taken of it: a number of MiB, or the share."""
    return fixed_mb << 20 or int(fraction * total)


def wired_bytes(budget: int, models: int, in_use: int, fixed_mb: int = 0) -> int:
    """What one of `models` engines may keep wired, so that they are never all of it together: an even share of the
    budget, or a little more than it uses now (its weights). `fixed_mb`: the operator's figure."""
    return fixed_mb << 20 or min(budget, max(budget // models, in_use * 5 // 4))


def read(*, dedicated: int | None = None, recommended: int | None = None) -> MachineMemory:
    """This machine's, with what the caller knows of its GPU."""
    memory = MachineMemory(sys.platform, psutil.virtual_memory().total, dedicated, recommended)
    asked = memory.platform == "darwin" and not recommended
    return replace(memory, wired_limit=_wired_limit()) if asked else memory


def _wired_limit() -> int:
    """Bytes of `iogpu.wired_limit_mb`; 0 where the system decides."""
    try:
        said = subprocess.run(_SYSCTL, capture_output=True, text=True, timeout=_SYSCTL_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return int(said) << 20 if said.strip().isdigit() else 0
