"""The services the end-to-end tests talk to: the real one with the demo model, and one on the fake engine."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.running import Running, service


@pytest.fixture(scope="session")
def demo() -> Iterator[Running]:
    """The whole service as a newcomer has it. Tests must leave it unharmed."""
    with service(max_body_mb=2, ocr_workers=2) as running:
        yield running


@pytest.fixture(scope="session")
def client(demo: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client
