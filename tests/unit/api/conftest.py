"""The web application without any process behind it: what it refuses, it refuses alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from src.api.app import create_app
from tests.conftest import MakeSettings

MakeApp = Callable[..., Flask]


@pytest.fixture
def make_app(make_settings: MakeSettings) -> MakeApp:
    """The application under these settings. No back end answers: work that is let through gets 503."""

    def make(**changes: Any) -> Flask:
        return create_app(make_settings(**changes))

    return make
