"""Drives the page as a person would; exits with 1 at the first thing that is not so. Runs in `.venv-console`."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

MESSAGE = "#chat textarea[aria-label='Message']"
EVIL = "**<img src=x onerror=alert(1)>** [x](javascript:alert(2)) <script>alert(3)</script>"


def main(browser: str, url: str, key: str, folder: Path) -> None:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1200, "height": 900})
        said: list[str] = []
        strangers: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda request: None if request.url.startswith((url, "blob:", "data:")) else strangers.append(request.url),
        )
        page.goto(url)
        keys(page, key)
        expected = [text for text in said if "401" in text]  # the key was asked for, and a wrong one refused
        chat(page, folder)
        killed(page, url, key)
        evil(page)
        machine(page, folder)
        documents(page, folder)
        page.click("#language")
        page.wait_for_selector("text=聊天")
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=folder / "dark-zh.png")
        assert [text for text in said if text not in expected] == [], said
        assert strangers == [], strangers
        chromium.close()


def keys(page: Page, key: str) -> None:
    page.wait_for_selector("#key-form:not([hidden])")
    page.fill("#key", "wrong-key-wrong-key")
    page.click("#key-form button")
    page.wait_for_selector("text=The service refuses this key.")
    page.fill("#key", key)
    page.click("#key-form button")
    page.wait_for_selector("#chat select option", state="attached")
    assert key not in page.url


def ask(page: Page, text: str) -> None:
    page.fill(MESSAGE, text)
    page.click("#chat button.main")


def chat(page: Page, folder: Path) -> None:
    ask(page, "Where are the logs?")
    page.wait_for_selector(".turn.assistant .dim", timeout=60_000)
    assert "logs/" in page.inner_text(".turn.assistant")
    page.screenshot(path=folder / "chat.png")


def killed(page: Page, url: str, key: str) -> None:
    """The engine dies in the middle of an answer, which goes on."""
    whole = page.inner_text(".turn.assistant p")
    ask(page, "Where are the logs?")
    page.wait_for_selector(".turn.growing p:text-matches('.{12,}')", timeout=60_000)
    os.kill(engine(url, key), signal.SIGKILL)
    page.wait_for_selector(".turn.assistant >> nth=1 >> .dim", timeout=90_000)
    assert page.inner_text(".turn.assistant >> nth=1 >> p").startswith(whole[:10])
    assert page.query_selector(".turn.assistant .bad") is None


def engine(url: str, key: str) -> int:
    address = f"{url}/v1/system/status"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"})  # noqa: S310  # as below
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  # our own service
        children = json.load(response)["children"]
    return int(next(child["pid"] for child in children if child["name"].startswith("engine")))


def evil(page: Page) -> None:
    """Text of a model that wants to be markup stays text: given to the renderer that shows answers."""
    shown = page.evaluate(
        """async (text) => {
            const folder = document.querySelector('script[type=module]').src.replace(/app\\.js$/, '');
            const { render } = await import(folder + 'markdown.js');
            const box = document.createElement('div');
            box.append(...render(text));
            document.body.append(box);
            return [box.querySelectorAll('img, script, a').length, box.textContent];
        }""",
        EVIL,
    )
    assert shown[0] == 0, shown
    assert "onerror=alert(1)" in shown[1]


def machine(page: Page, folder: Path) -> None:
    page.click("nav button[data-view=machine]")
    page.wait_for_selector("#machine .cards")
    page.screenshot(path=folder / "machine.png")
    page.click("text=Pause background work")
    page.wait_for_selector("text=Background work is paused.")
    page.click("text=Resume background work")
    page.wait_for_selector("text=Pause background work")
    page.click("nav button[data-view=models]")
    page.wait_for_selector("#models td")
    page.screenshot(path=folder / "models.png")


def documents(page: Page, folder: Path) -> None:
    page.click("nav button[data-view=documents]")
    page.set_input_files("#documents input", folder / "page.png")
    page.wait_for_selector("#documents polygon", state="attached", timeout=90_000)
    assert "Invoice 2026-117" in page.inner_text("#documents .page")
    page.screenshot(path=folder / "documents.png")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].rstrip("/"), sys.argv[3], Path(sys.argv[4]))
