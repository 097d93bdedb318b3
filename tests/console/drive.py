"""Drives the page as a person would; exits with 1 at the first thing that is not so. Runs in `.venv-console`."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import axe_playwright_python
from playwright.sync_api import Dialog, Page, TimeoutError, sync_playwright  # noqa: A004  # as the package names it

MESSAGE = "#chat textarea[aria-label='Message']"
VIEWS = ("chat", "documents", "machine", "models", "background", "logs", "settings", "api")
PICTURE = "<img src=x onerror=alert(4)>.png"
TOLERANCE = 2
# where the first box's corners are on the screen
CORNERS = """() => {
    const box = document.querySelector('#documents polygon');
    const places = [...box.points].map((point) => point.matrixTransform(box.getScreenCTM()));
    return places.map((at) => [at.x, at.y]);
}"""
TRIES = 8
EVIL = "**<img src=x onerror=alert(1)>** [x](javascript:alert(2)) <script>alert(3)</script>"


def main(browser: str, url: str, key: str, folder: Path) -> None:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1200, "height": 900})
        said: list[str] = []
        strangers: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: asked(dialog, said))
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
        jobs(page, url, key, folder)
        background(page, url, key, folder)
        logs_and_settings(page, folder)
        fetching(page)
        trying(page, url, folder)
        expected += [text for text in said if "400" in text]  # what it refused
        accessible(page)
        pictures(page, folder)
        page.click("#language")
        page.wait_for_selector("text=聊天")
        page.emulate_media(color_scheme="dark")
        page.screenshot(path=folder / "dark-zh.png")
        assert [text for text in said if text not in expected] == [], said
        assert strangers == [], strangers
        chromium.close()


def asked(dialog: Dialog, said: list[str]) -> None:
    """The page asks before it deletes; anything else that opens a dialog is somebody's script."""
    if dialog.type == "confirm":
        dialog.accept()
    else:
        said.append(f"dialog {dialog.message}")
        dialog.dismiss()


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
    """The engine dies in the middle of an answer, which goes on. A busy browser may not see one grow: asked again."""
    whole = page.inner_text(".turn.assistant p")
    for _ in range(TRIES):
        ask(page, "Where are the logs?")
        with suppress(TimeoutError):
            page.wait_for_selector(".turn.growing p:text-matches('.{12,}')", timeout=5_000)
            os.kill(engine(url, key), signal.SIGKILL)
            break
    else:
        raise AssertionError("no answer was seen to grow")
    page.wait_for_selector(".turn.assistant:last-child:not(.growing) .dim", timeout=90_000)
    assert page.inner_text(".turn.assistant:last-child p").startswith(whole[:10])
    assert page.query_selector(".turn.assistant .bad") is None


def until(page: Page, expression: str) -> None:
    """Polled from here: the page's policy forbids what waits inside it."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(200)
    raise AssertionError(expression)


def call(url: str, key: str, path: str, data: bytes | None = None, kind: str = "application/json") -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    request = urllib.request.Request(f"{url}{path}", data, headers)  # noqa: S310  # as below
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  # our own service
        return json.load(response)


def engine(url: str, key: str) -> int:
    children = call(url, key, "/v1/system/status")["children"]
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
            box.remove();
            return [box.querySelectorAll('img, script, a').length, box.textContent];
        }""",
        EVIL,
    )
    assert shown[0] == 0, shown
    assert "onerror=alert(1)" in shown[1]


def machine(page: Page, folder: Path) -> None:
    page.click("nav button[data-view=machine]")
    page.wait_for_selector("#machine .cards")
    page.wait_for_timeout(4000)  # some of its charts
    page.screenshot(path=folder / "machine.png")
    page.click("text=Pause background work")
    page.wait_for_selector("text=Background work is paused.")
    page.click("text=Resume background work")
    page.wait_for_selector("text=Pause background work")
    page.click("nav button[data-view=models]")
    page.wait_for_selector("#models td")
    page.screenshot(path=folder / "models.png")


def documents(page: Page, folder: Path) -> None:
    """Boxes lie over their lines, and what a file or a page says is no markup."""
    page.click("nav button[data-view=documents]")
    page.set_input_files("#documents input", folder / PICTURE)
    with page.expect_response("**/v1/ocr") as answered:
        page.wait_for_selector("#documents polygon", state="attached", timeout=90_000)
    answer = answered.value.json()["pages"][0]
    assert "Invoice 2026-117" in page.inner_text("#documents .page")
    assert PICTURE in page.inner_text("#documents h2")
    sheet = page.locator("#documents .sheet img").first.bounding_box()
    assert sheet is not None
    scale = sheet["width"] / answer["dimensions"]["width"]
    for shown, corner in zip(page.evaluate(CORNERS), answer["lines"][0]["polygon"], strict=True):
        expected = [sheet["x"] + scale * corner[0], sheet["y"] + scale * corner[1]]
        assert max(abs(a - b) for a, b in zip(shown, expected, strict=True)) <= TOLERANCE, (shown, expected)
    page.screenshot(path=folder / "documents.png")


def jobs(page: Page, url: str, key: str, folder: Path) -> None:
    """A document's job waits while background work is paused, survives a reload of the page, and ends."""
    call(url, key, "/api/gpu/pause", b"{}")
    page.set_input_files("#documents input", folder / "thirty.pdf")
    page.wait_for_selector("#documents article:has-text('thirty.pdf') progress")
    until(page, "localStorage.getItem('stoker-jobs') !== null")
    page.reload()
    page.click("nav button[data-view=documents]")
    page.wait_for_selector("#documents article:has-text('thirty.pdf') progress")
    call(url, key, "/api/gpu/resume", b"{}")
    page.wait_for_selector("#documents article:has-text('thirty.pdf') .page >> nth=29", timeout=120_000)
    assert "page 30" in page.locator("#documents article:has-text('thirty.pdf') .page").last.inner_text()
    with page.expect_download() as download:
        page.click("#documents article:has-text('thirty.pdf') button:text-is('html')")
    assert download.value.suggested_filename == "thirty.html"
    page.evaluate("localStorage.removeItem('stoker-jobs')")  # as another browser, which knows no file names
    page.reload()
    page.click("nav button[data-view=documents]")
    page.click("#documents article:has-text('ocr-') button:text-is('Show')")
    page.wait_for_selector("#documents article:has-text('ocr-') .page >> nth=29", timeout=60_000)


def background(page: Page, url: str, key: str, folder: Path) -> None:
    """A batch that waits for the pause to end is shown, and done after it."""
    call(url, key, "/api/gpu/pause", b"{}")
    body = {"model": "demo", "max_tokens": 4, "messages": [{"role": "user", "content": "Where are the logs?"}]}
    lines = [
        json.dumps({"custom_id": f"{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})
        for number in range(3)
    ]
    form = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % part
        for part in ((b"purpose", b"", b"batch"), (b"file", b'; filename="in.jsonl"', "\n".join(lines).encode()))
    )
    file = call(url, key, "/v1/files", form + b"--b--\r\n", "multipart/form-data; boundary=b")
    order = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    batch = call(url, key, "/v1/batches", json.dumps(order).encode())
    page.click("nav button[data-view=background]")
    page.wait_for_selector(f"#background td:text-is('{batch['id']}')")
    page.screenshot(path=folder / "background.png")
    page.click("#background >> text=Resume background work")
    page.wait_for_selector("#background td:text-is('completed')", timeout=60_000)


def logs_and_settings(page: Page, folder: Path) -> None:
    page.click("nav button[data-view=logs]")
    page.wait_for_selector("#logs pre div")
    page.select_option("#logs select >> nth=1", "ERROR")
    until(page, "![...document.querySelectorAll('#logs pre div')].some((one) => one.textContent.includes(' INFO '))")
    page.screenshot(path=folder / "logs.png")
    page.click("nav button[data-view=settings]")
    page.fill("#settings input[type=search]", "api_keys")
    page.wait_for_selector("#settings td:text-is('********')")
    page.screenshot(path=folder / "settings.png")


def fetching(page: Page) -> None:
    """A name that no hub and no starter has is refused in words; the default model is not deleted."""
    page.click("nav button[data-view=models]")
    page.fill("#models form input", "no-such-starter")
    page.click("#models form button")
    page.wait_for_selector("#models p.bad", timeout=60_000)
    page.click("#models button[data-act='delete demo']")
    page.wait_for_selector("#notice.bad:has-text('demo')")


def trying(page: Page, url: str, folder: Path) -> None:
    """From the reference into the page, which asks the route."""
    page.goto(f"{url}/#api/{quote('POST /v1/chat/completions')}")
    page.reload()
    until(page, "document.querySelector('#api textarea').value.includes('messages')")
    page.click("#api button.main")
    until(page, "!['', 'Reading…'].includes(document.querySelector('#api pre').textContent)")
    assert "chat.completion" in page.inner_text("#api pre"), page.inner_text("#api pre")
    page.screenshot(path=folder / "api.png")


def accessible(page: Page) -> None:
    """axe finds nothing serious in any view. It is loaded past the page's policy, by the browser."""
    axe = Path(axe_playwright_python.__file__).parent / "axe.min.js"
    for view in VIEWS:
        page.click(f"nav button[data-view={view}]")
        page.wait_for_timeout(500)
        page.evaluate(axe.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run().then((result) => result.violations)")
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        told = [(view, one["id"], [node["html"] for node in one["nodes"]][:3]) for one in serious]
        assert not told, told


def pictures(page: Page, folder: Path) -> None:
    """Of every view, light and dark."""
    (folder / "views").mkdir()
    for view in VIEWS:
        page.click(f"nav button[data-view={view}]")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(200)
            page.screenshot(path=folder / "views" / f"{view}-{scheme}.png")
    page.emulate_media(color_scheme="light")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2].rstrip("/"), sys.argv[3], Path(sys.argv[4]))
