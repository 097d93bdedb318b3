"""What a step gave, in one number that all ranks must have the same: a rank that went astray is found at once."""

from __future__ import annotations

import zlib

from src.engine.backend import Step

UNCOMPARED = 0  # instead of a checksum: before the first step, and behind one that only rank 0 saw fail


def checksum(step: Step) -> int:
    """Of the tokens that sequences got, and of what is left of their prompts."""
    tokens = [(token.uid, token.token, token.finish) for token in step.tokens]
    return zlib.crc32(repr((tokens, sorted(step.prefill_left.items()))).encode())
