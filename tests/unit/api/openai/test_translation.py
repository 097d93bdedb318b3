"""What the endpoints of text models share."""

from __future__ import annotations

from flask import Flask, g

from src.api.openai import translation
from src.ipc.messages.chat import Admitted


def test_an_admission_that_comes_after_the_head() -> None:
    """A stream that waited for its model has begun: where it is computed is told by the head, or by nothing."""
    admission = Admitted(5, 100, "cpu")
    translation._disclose(admission)
    with Flask("test").test_request_context("/"):
        translation._disclose(admission)
        assert g.fallback == "cpu"
