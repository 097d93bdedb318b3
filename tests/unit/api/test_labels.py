"""No text that a client chose becomes a metric label: labels are kept for good, and whoever scrapes reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from src.api.generation.connections import Backends
from tests.conftest import MakeSettings
from tests.unit.api.conftest import MakeApp

_KEY = "sk-0123456789abcdef"
_HEADERS = (
    *("X-Request-Id", "X-Priority", "X-Request-Timeout", "Origin", "User-Agent", "Prefer", "Cache-Control"),
    *("Last-Event-ID", "X-Forwarded-For", "X-Api-Key", "Anthropic-Version", "OpenAI-Organization", "Idempotency-Key"),
)
_TURNS = [{"role": "user", "content": "hi"}]


def _bodies(text: str) -> Iterator[dict[str, Any]]:
    """What each route takes, with the text wherever it can be put."""
    names = {"model": text, "model_name": text, "service_tier": text, "user": text, "priority": text, text: text}
    for fields in ({}, {"model": text}, {"model_name": text}, {text: text}, names):
        yield {
            "messages": _TURNS,
            "input": "hi",
            "prompt": "hi",
            "tokens": [1],
            "max_tokens": 4,
            "timeout": 5,
            "image": "data:image/png;base64,iVBORw0KGgo=",
            **fields,
        }


def _attack(client: FlaskClient, app: Flask, text: str) -> int:
    """Put the text into every route's path, query, headers and body, with every method; how many requests that were."""
    good = {"Authorization": f"Bearer {_KEY}"}
    bad = dict.fromkeys(_HEADERS, text)
    heads = (good, good | bad, {"Authorization": f"Bearer {text}"}, {"Authorization": text})
    count = 0
    for path in [*(re.sub(r"<[^>]+>", text, rule.rule) for rule in app.url_map.iter_rules()), f"/{text}"]:
        for headers, method in product(heads, ("GET", "POST", "PUT", "DELETE", "HEAD", text)):
            for body in _bodies(text) if method == "POST" else (None,):
                query = {text: text, "format": text}
                client.open(path, method=method, json=body, headers=headers, query_string=query).close()
                count += 1
    return count


def test_no_text_of_a_client_becomes_a_label(make_app: MakeApp) -> None:
    """Names, keys, fields, paths, methods, headers: after the second attack there is not one series more."""
    app = make_app(api_keys=f"tester:{_KEY}", ocr_workers=1, rate_limit_failed_logins=100_000, resume_max_wait=0)
    client = app.test_client()
    metrics = app.extensions["stoker"].metrics
    assert _attack(client, app, "swordfish0") > 500
    before = set(_series(metrics.render()))
    _attack(client, app, "swordfish1")
    after = metrics.render()
    assert b"swordfish" not in after
    assert set(_series(after)) == before


def _series(exposition: bytes) -> Iterator[bytes]:
    return (line.rpartition(b" ")[0] for line in exposition.splitlines() if not line.startswith(b"#"))


@pytest.mark.parametrize(
    "name", ["nosuch", "~", "/", "/etc", "a" * 255, "a" * 5000, "~nosuchuser", "a\0b", "a\nb", "字"]
)
def test_a_name_is_looked_up_before_it_means_anything(make_settings: MakeSettings, name: str) -> None:
    """Its labels and its engine are `unknown`; asking does not raise, whatever a path of that name would do."""
    backends = Backends(make_settings())
    assert backends.labels(name) == ("unknown", "unknown")
    assert backends.engine_name(name) == "unknown"
    assert backends.labels("demo") == ("demo", "mlx")
