"""A vision model behind /v1/ocr, in the pool with the embedded recognizer to fall back to, and behind chat: it is the
shipped tiny one."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.running import Running, service

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with service(
        inference_engine="mlx", default_model="ocr-tiny", ocr_engine="mlx_vlm", ocr_model="ocr-tiny", ocr_workers=1
    ) as started:
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


def words_pdf(*seeds: int) -> bytes:
    """A PDF whose pages are pictures of words."""
    from training.ocr_tiny import words

    first, *others = [words.sample(np.random.default_rng(seed))[1] for seed in seeds]
    buffer = io.BytesIO()
    first.save(buffer, "PDF", resolution=150, save_all=True, append_images=others)
    return buffer.getvalue()


def asked(running: Running, *pdfs: bytes) -> tuple[int, list[float]]:
    """The prompt's tokens and the first token's scores."""
    urls = ["data:application/pdf;base64," + base64.b64encode(pdf).decode() for pdf in pdfs]
    parts = [{"type": "file", "file": {"file_data": url, "filename": "words.pdf"}} for url in urls]
    content = [*parts, {"type": "text", "text": "Text Recognition:"}]
    body = {"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 1}
    answer = httpx.post(
        f"{running.url}/v1/chat/completions", json={**body, "logprobs": True, "top_logprobs": 5}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    first = answer.json()["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    return answer.json()["usage"]["prompt_tokens"], [one["logprob"] for one in first]


def counted(running: Running, series: str) -> float:
    lines = running.get("/metrics")[1].decode().splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series + " "))


def test_a_vision_model_is_shown_a_pdfs_pages(running: Running) -> None:
    """As pictures: what is on them changes the answer, and they count as the prompt's tokens. The pool renders each
    once."""
    pages = counted(running, 'stoker_ocr_pages_total{result="ok"}')
    pdf, other = words_pdf(1), words_pdf(2)
    tokens, scores = asked(running, pdf)
    assert asked(running, pdf) == (tokens, scores)
    assert counted(running, 'stoker_ocr_pages_total{result="ok"}') == pages + 1
    others_tokens, others_scores = asked(running, other)
    assert (others_tokens, others_scores != scores) == (tokens, True)
    in_picture = (128 // 8) * (16 // 8) // 4  # of 8 pixels a patch, four patches a token
    two, _ = asked(running, words_pdf(1, 2))
    assert two - tokens > in_picture
    assert two > asked(running)[0] + 2 * in_picture
    assert counted(running, 'stoker_chat_pdfs_total{result="cached"}') == 1
