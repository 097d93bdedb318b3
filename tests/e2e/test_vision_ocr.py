"""A vision model behind /v1/ocr: the shipped tiny one, in the same pool, the embedded recognizer to fall back to."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.running import Running, service

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with service(inference_engine="fake", ocr_engine="mlx_vlm", ocr_model="ocr-tiny", ocr_workers=1) as started:
        yield started


def test_fresh_words_are_read(running: Running) -> None:
    """Twenty words never seen in training, by the model itself; it gives no confidence, and none is invented."""
    from training.ocr_tiny import words

    dice, right = np.random.default_rng(20261120), 0
    for _ in range(20):
        text, image = words.sample(dice)
        buffer = io.BytesIO()
        image.save(buffer, "png")
        answer = httpx.post(f"{running.url}/v1/ocr", files={"file": buffer.getvalue()}, timeout=60).json()
        right += answer["text"] == text
        assert (answer["model"], answer["pages"][0]["fallback"]) == ("mlx_vlm", False)
        assert (answer["lines"][0]["confidence"], answer["lines"][0]["bbox"]) == (None, None)
    assert right >= 19
