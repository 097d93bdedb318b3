"""`run.py batch IN.jsonl -o OUT.jsonl`: answers a file of requests through the running service, with a progress bar.

The batch's id is kept beside the output until that is written: after ^C, or a restart of anything, the same command
goes on with it.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import ExitCode
from src.settings import Settings

if TYPE_CHECKING:
    import httpx2

NAME, HELP = "batch", "answer a file of requests (JSONL) through the running service"
_CONNECT_S, _READ_S = 5.0, 120.0
_POLL_S = 1.0
_ENDED = ("completed", "failed", "expired", "cancelled")
_FIRST_LINE = 64 << 20


class BatchFailed(Exception):
    """Why there is no output."""


def configure(parser: ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="IN", help="requests, one a line, as OpenAI's Batch API has them")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", required=True, help="where the answers are written")
    parser.add_argument("--window", default="24h", help="until when it may run: hours or days (default: 24h)")


def run(options: Namespace, settings: Settings) -> ExitCode:
    import httpx2  # for this command only

    from src.supervisor.specs import base_url  # as above

    headers = {"Authorization": f"Bearer {settings.stoker_api_key}"} if settings.stoker_api_key else {}
    timeout = httpx2.Timeout(_READ_S, connect=_CONNECT_S)
    try:
        with httpx2.Client(base_url=base_url(settings), headers=headers, timeout=timeout, trust_env=False) as http:
            return _BatchRun(http, options.input, options.output, options.window).run()
    except httpx2.HTTPError as error:
        print(f"The service at {base_url(settings)} does not answer: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    except BatchFailed as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("The batch goes on in the service; the same command shows it again.", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.FAILURE


class _BatchRun:
    """One input, its batch, and what becomes of it."""

    def __init__(
        self,
        http: httpx2.Client,
        source: Path,
        target: Path,
        window: str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http, self._source, self._target, self._window = http, source, target, window
        self._sleep = sleep
        self._kept = target.with_name(target.name + ".batch")
        self._errors = target.with_name(target.name + ".errors")

    def run(self) -> ExitCode:
        batch = self._wait(self._earlier() or self._begin())
        if batch["status"] == "failed":
            self._kept.unlink()
            problems = [error["message"] for error in batch["errors"]["data"]]
            raise BatchFailed("\n".join([f"{self._source}: the batch failed", *problems]))
        for name, path in (("output_file_id", self._target), ("error_file_id", self._errors)):
            self._download(batch[name], path)
        self._kept.unlink()
        counts = batch["request_counts"]
        print(f"{batch['status']}: {counts['completed']} of {counts['total']} in {self._target}", file=sys.stderr)
        if counts["failed"]:
            print(f"{counts['failed']} failed: {self._errors}", file=sys.stderr)
        return ExitCode.OK if counts["completed"] == counts["total"] else ExitCode.FAILURE

    def _earlier(self) -> dict[str, Any] | None:
        """The batch that this command began before."""
        if not self._kept.exists():
            return None
        response = self._http.get(f"/v1/batches/{self._kept.read_text().strip()}")
        return None if response.status_code == 404 else _checked(response)

    def _begin(self) -> dict[str, Any]:
        endpoint = _endpoint(self._source)
        with self._source.open("rb") as file:
            form = {"purpose": "batch"}
            sent = _checked(self._http.post("/v1/files", data=form, files={"file": (self._source.name, file)}))
        body = {"input_file_id": sent["id"], "endpoint": endpoint, "completion_window": self._window}
        batch = _checked(self._http.post("/v1/batches", json=body))
        self._kept.write_text(batch["id"])
        return batch

    def _wait(self, batch: dict[str, Any]) -> dict[str, Any]:
        from tqdm import tqdm

        with tqdm(unit="req", desc=batch["status"]) as bar:
            while True:
                counts = batch["request_counts"]
                bar.total = counts["total"] or None
                bar.set_description(batch["status"], refresh=False)
                bar.update(counts["completed"] + counts["failed"] - bar.n)
                if batch["status"] in _ENDED:
                    return batch
                self._sleep(_POLL_S)
                batch = _checked(self._http.get(f"/v1/batches/{batch['id']}"))

    def _download(self, name: str | None, path: Path) -> None:
        if name is None:
            path.unlink(missing_ok=True)
            return
        partial = path.with_name(path.name + ".part")
        with self._http.stream("GET", f"/v1/files/{name}/content") as response, partial.open("wb") as file:
            if response.status_code != 200:
                response.read()
                _checked(response)
            for piece in response.iter_bytes():
                file.write(piece)
        partial.rename(path)


def _endpoint(source: Path) -> str:
    """The first request's; the service checks that all name it."""
    with source.open("rb") as file:
        for raw in iter(lambda: file.readline(_FIRST_LINE), b""):
            if raw.strip():
                return _url(source, raw)
    raise BatchFailed(f"{source} has no requests.")


def _url(source: Path, raw: bytes) -> str:
    try:
        request = json.loads(raw.decode("utf-8-sig"))
    except ValueError:
        request = None
    url = request.get("url") if isinstance(request, dict) else None
    if not isinstance(url, str):
        raise BatchFailed(f"{source}: the first request has no url, such as /v1/chat/completions.")
    return url


def _checked(response: httpx2.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.status_code == 200 and isinstance(body, dict):
        return body
    error = body.get("error") if isinstance(body, dict) else None
    text = error.get("message") if isinstance(error, dict) else response.reason_phrase
    raise BatchFailed(f"{response.status_code}: {text}")
