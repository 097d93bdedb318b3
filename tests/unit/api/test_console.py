"""The page for browsers: who gets it, what it may load, and that nothing of a model's becomes markup."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from src.api.app import create_app
from src.api.console import page
from tests.conftest import MakeSettings

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
KEYS = "alice:user:sk-0123456789abcdef"
Site = Callable[..., FlaskClient]


@pytest.fixture
def site(make_settings: MakeSettings) -> Site:
    return lambda **changes: create_app(make_settings(inference_engine="fake", **changes)).test_client()


def test_a_browser_gets_the_page_and_its_files(site: Site) -> None:
    """All of them by the path that changes with their content, with their types, to be kept for ever."""
    client = site()
    shown = client.get("/", headers=BROWSER)
    assert (shown.status_code, shown.mimetype) == (200, "text/html")
    policy = shown.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    named = re.findall(r'(?:src|href)="(/console/[^"]+)"', shown.text)
    assert len(named) == 3
    folder = named[0].rsplit("/", 1)[0]
    for name in set(page._files()) - {"index.html"}:
        file = client.get(f"{folder}/{name}")
        assert file.status_code == 200
        assert file.mimetype == page._TYPES[name[name.rindex(".") :]]
        assert "immutable" in file.headers["Cache-Control"]
    assert client.get("/favicon.ico").mimetype == "image/svg+xml"


def test_programs_are_told_that_there_is_a_server(site: Site) -> None:
    """Whoever asks for nothing in particular, or for JSON; with or without a console."""
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        found = site(console=False).get("/", headers=headers)
        assert (found.status_code, found.mimetype) == (200, "text/plain")
    assert site().head("/").status_code == 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"console": False}, 404),
        ({"host": "0.0.0.0", "allow_unauthenticated": True}, 404),
        ({"host": "0.0.0.0", "api_keys": KEYS}, 200),
        ({"api_keys": KEYS}, 200),
    ],
)
def test_beyond_this_machine_a_key_is_asked_for(site: Site, changes: dict[str, object], status: int) -> None:
    """The page itself holds nothing, and the API it calls wants the key."""
    client = site(**changes)
    assert client.get("/", headers=BROWSER).status_code == status
    if "api_keys" in changes:
        assert client.get("/v1/models").status_code == 401


@pytest.mark.parametrize("name", ["../page.py", "..%2fpage.py", "index.html", "nothing.js", "%00", "page.py"])
def test_no_other_file_is_served(site: Site, name: str) -> None:
    """Names are looked up, never joined to a path."""
    client = site()
    folder = re.findall(r'src="(/console/[^"]+)/app.js"', client.get("/", headers=BROWSER).text)[0]
    assert client.get(f"{folder}/{name}").status_code == 404
    assert client.get(f"/console/0000000000000000/{name}").status_code == 404


def test_nothing_becomes_markup_and_nothing_is_fetched_from_elsewhere() -> None:
    """No sink for markup or code, no inline script or style, no address of another host; small in all."""
    scripts = {name: content.decode() for name, content in page._files().items() if name.endswith((".js", ".html"))}
    for name, text in scripts.items():
        sinks = re.findall(
            r"\.(?:innerHTML|outerHTML|insertAdjacentHTML)|document\.write|eval\(|new Function|style=", text
        )
        assert sinks == [], name
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert addresses == set(), name
    assert "<script>" not in scripts["index.html"]
    assert sum(map(len, page._files().values())) < 200_000


def test_both_languages_have_the_same_words() -> None:
    """And every word that is asked for is there."""
    words = page._files()["words.js"].decode()
    english, chinese = re.findall(r"^  (?:en|zh): \{(.*?)^  \},", words, re.DOTALL | re.MULTILINE)
    names = [set(re.findall(r"(?:^|[,{\s])(\w+): \"", text)) for text in (english, chinese)]
    assert names[0] == names[1]
    asked = {
        name
        for text in page._files().values()
        for name in re.findall(r'word\("(\w+)"|data-(?:text|label)="(\w+)"', text.decode(errors="replace"))
        for name in name
        if name
    }
    assert asked <= names[0]
