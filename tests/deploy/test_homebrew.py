"""The Homebrew formula. `brew` runs on no machine of these tests: its form is held to what Homebrew's manual allows."""

from __future__ import annotations

import re

import pytest

from src.settings import ROOT, VERSION

FORMULA = (ROOT / "deploy" / "homebrew" / "stoker.rb").read_text(encoding="utf-8")
# the order that `brew style` asks for
_ORDER = ["desc", "url", "version", "sha256", "license", "depends_on", "def install", "def post_install", "def caveats"]
_ORDER += ["service do", "test do"]
# the methods of a `service do` block, by docs.brew.sh/Formula-Cookbook#service-files
_SERVICE = {"run", "run_type", "keep_alive", "launch_only_once", "require_root", "environment_variables", "working_dir"}
_SERVICE |= {"root_dir", "input_path", "log_path", "error_log_path", "restart_delay", "throttle_interval", "interval"}
_SERVICE |= {"process_type", "macos_legacy_timers", "sockets", "name", "cron", "nice"}


def block(opening: str) -> list[str]:
    """The stripped lines of a block of the class, without its first and last."""
    found = re.search(rf"^  {re.escape(opening)}\n(.*?)^  end$", FORMULA, re.MULTILINE | re.DOTALL)
    assert found, opening
    return [line.strip() for line in found[1].splitlines()]


def test_its_parts_stand_in_homebrews_order() -> None:
    places = [FORMULA.index(f"\n  {part}") for part in _ORDER]
    assert places == sorted(places)
    assert re.search(r"^class Stoker < Formula$", FORMULA, re.MULTILINE)


def test_every_block_ends() -> None:
    """What opens one: class, def, do, and here documents end with their own word."""
    opened = len(re.findall(r"^\s*(?:class |def )|\bdo$", FORMULA, re.MULTILINE))
    assert len(re.findall(r"^\s*end$", FORMULA, re.MULTILINE)) == opened
    assert all(re.search(rf"^\s*{word}$", FORMULA, re.MULTILINE) for word in re.findall(r"<<~(\w+)", FORMULA))


def test_the_description_is_one_that_brew_audit_takes() -> None:
    (text,) = re.findall(r'^  desc "(.*)"$', FORMULA, re.MULTILINE)
    assert len(text) <= 80
    assert not re.match(r"(an?|the|stoker)\b", text, re.IGNORECASE)
    assert text[-1] != "."


def test_the_service_is_kept_alive_and_logs() -> None:
    """It is started again unless it ended well: a bad setting is a bad end too, and is tried every 15 s."""
    lines = dict(line.split(" ", 1) for line in block("service do"))
    assert lines.keys() <= _SERVICE
    assert lines["run"] == '[opt_bin/"stoker", "--mode", "prod"]'
    assert lines["keep_alive"] == "successful_exit: false"
    assert lines["throttle_interval"] == "15"
    assert {lines["log_path"], lines["error_log_path"]} == {'var/"log/stoker.log"', 'var/"log/stoker.err"'}


def test_make_fills_in_every_placeholder() -> None:
    """What stands between at-signs is what `make formula` replaces; the wheel's name is hatchling's."""
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nformula:")[2].partition("\n\n")[0]
    assert set(re.findall(r"@[A-Z0-9]+@", FORMULA)) == set(re.findall(r"@[A-Z0-9]+@", recipe)) != set()
    assert f"stoker_server-{VERSION}-py3-none-any.whl" == block("def wheel")[0].strip('"').replace(
        "#{version}", VERSION
    )


@pytest.mark.parametrize("word", ["python@3.12", "post_install", "--clear"])
def test_pip_gets_an_environment_of_its_own(word: str) -> None:
    """An upgrade begins with an empty one."""
    assert word in FORMULA
