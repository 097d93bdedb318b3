"""What is written down stays true: settings, routes, facts the demo model was taught."""

from __future__ import annotations

from src.api.app import application
from src.settings import ROOT, example
from tests.docs import README, generated

_TEXT = README.read_text(encoding="utf-8")


def test_generated_text_is_in_step() -> None:
    """The tables of settings, errors and fields are what the code says (`make example` writes them)."""
    for file, text in generated().items():
        assert file.read_text(encoding="utf-8") == text, file.name
    assert "`MAX_NUM_SEQS`" in _TEXT


def test_env_example_is_what_the_settings_say() -> None:
    """`.env.example` is generated, never edited."""
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == example()


def test_the_readme_names_every_route() -> None:
    """No route without a line in the README."""
    routes = {
        rule.rule.replace("<path:name>", "{id}").replace("<response_id>", "{id}")
        for rule in application.url_map.iter_rules()
    }
    assert {route for route in routes if route not in _TEXT} == set()
