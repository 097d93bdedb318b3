"""What is written down stays true: generated pages, routes, commands, paths and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from src.api.app import application
from src.settings import ROOT, example
from tests import names
from tests.docs import SETTINGS, generated

README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
PAGES = [README, CHINESE, *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_TEST = re.compile(r"(unit|contract|e2e|security|deploy)/[\w./-]*\.py$")
_PATH = re.compile(r"(src|tests|deploy|docs|training|models)/[\w./-]*\w$")
_README_LINES = 200
_WRITTEN = ("deploy/local/",)  # by `run.py install-service`

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_generated_text_is_in_step() -> None:
    """The pages of settings, errors and fields are what the code says (`make example` writes them)."""
    for file, text in generated().items():
        assert file.read_text(encoding="utf-8") == text, file.name
    assert "`MAX_NUM_SEQS`" in SETTINGS.read_text(encoding="utf-8")


def test_env_example_is_what_the_settings_say() -> None:
    """`.env.example` is generated, never edited."""
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == example()


def test_the_api_page_names_every_route() -> None:
    """No route without a line in docs/api.md."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    routes = {re.sub(r"<[^>]*>", "{id}", rule.rule) for rule in application.url_map.iter_rules()}
    assert {route for route in routes if f"{route}`" not in text} == set()


def test_the_readme_is_short() -> None:
    """What does not fit belongs into docs/."""
    for page in (README, CHINESE):
        assert len(page.read_text(encoding="utf-8").splitlines()) <= _README_LINES, page.name


def test_both_readmes_have_the_same_commands_and_links() -> None:
    """The Chinese README says the same: its code and the targets of its links are those of the English one."""
    english, chinese = (page.read_text(encoding="utf-8") for page in (README, CHINESE))
    code = [[block for block in _FENCED.findall(text) if block[0]] for text in (english, chinese)]
    assert code[0] == code[1]
    assert set(names.commands(english)) == set(names.commands(chinese))
    links = [set(_LINK.findall(text)) - {README.name, CHINESE.name} for text in (english, chinese)]
    assert links[0] == links[1]
    assert f"({CHINESE.name})" in english
    assert f"({README.name})" in chinese
    assert english.count("\n## ") == chinese.count("\n## ")


@every_page
def test_every_relative_link_exists(page: Path) -> None:
    """Files, and headings in them."""
    broken = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if not _leads_somewhere(page, link)]
    assert broken == []


def _leads_somewhere(page: Path, link: str) -> bool:
    if link.startswith(("http://", "https://")):
        return True
    path, _, heading = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not heading or heading in _anchors(target))


def _anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@every_page
def test_every_command_and_route_exists(page: Path) -> None:
    """Commands of run.py and make, in blocks and in sentences; routes in sentences and tables."""
    text = page.read_text(encoding="utf-8")
    ours = [each for each in names.commands(text) if each.startswith(("python run.py", "make "))]
    assert [each for each in ours if not names.command_exists(each)] == []
    routes = [span for span in names.spans(text) if re.match(r"(GET|POST|DELETE|PUT) /", span)]
    assert [span for span in routes if not names.route_exists(span)] == []


@every_page
def test_every_path_exists(page: Path) -> None:
    """Files and folders of the checkout that a page names; the start of a name is enough for an ADR's number."""
    named = [span for span in names.spans(page.read_text(encoding="utf-8")) if _PATH.match(span.rstrip("/"))]
    assert [span for span in named if not any(ROOT.glob(f"{span.rstrip('/')}*")) and span not in _WRITTEN] == []


@every_page
def test_every_test_that_is_named_exists(page: Path) -> None:
    """Tables name tests by their path below tests/."""
    named = [span for span in names.spans(page.read_text(encoding="utf-8")) if _TEST.match(span)]
    assert [span for span in named if not (ROOT / "tests" / span).exists()] == []
