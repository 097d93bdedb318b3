"""A hub on this machine: the routes of Hugging Face and of ModelScope that `run.py pull` asks, and their misbehaviour.

Shapes as huggingface_hub 2.4 (`HfApi.model_info`, `hf_raise_for_status`) and modelscope-hub 0.4 (`_legacy_api.py`) read
them.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

MODEL = "owner/tiny"


def safetensors(content: bytes) -> bytes:
    """One tensor of bytes, as the format has it."""
    tensor = {"dtype": "U8", "shape": [len(content)], "data_offsets": [0, len(content)]}
    head = json.dumps({"__metadata__": {"format": "pt"}, "w": tensor}).encode()
    return struct.pack("<Q", len(head)) + head + content


def sharded(seed: int = 0, size: int = 200_000) -> dict[str, bytes]:
    """A model in two shards, with much beside it that nobody needs."""
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    config = {"model_type": "qwen3", "max_position_embeddings": 2048, "revision": seed}
    return {
        "config.json": json.dumps(config).encode(),
        "tokenizer.json": b"{}",
        "model.safetensors.index.json": json.dumps({"weight_map": {"a": names[0], "b": names[1]}}).encode(),
        names[0]: safetensors(bytes(size)),
        names[1]: safetensors(bytes([seed + 1]) * size),
        "modeling_tiny.py": b"raise SystemExit",
        "pytorch_model.bin": b"pickle",
        "README.md": b"# tiny",
        "onnx/config.json": b"{}",
    }


@dataclass
class Repository:
    """What the hub holds, and how it behaves."""

    files: dict[str, bytes] = field(default_factory=sharded)
    status: int | None = None  # of every answer
    error_code: str = ""  # Hugging Face's X-Error-Code
    cut_after: int | None = None  # bytes of weights, then the connection ends
    cut_once: bool = False  # what has been cut is a 503 from then on
    whole_only: bool = False  # Range is not honoured
    cdn: str | None = None  # weights are elsewhere
    lies: bool = False  # weights are not what was listed
    cut: set[str] = field(default_factory=set)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def revision(self) -> str:
        return hashlib.sha256(b"".join(self.files[name] for name in sorted(self.files))).hexdigest()[:40]

    def ranges(self) -> list[str]:
        """What was asked for in parts."""
        return [headers["range"] for _, headers in self.asked if "range" in headers]

    def fetched(self) -> list[str]:
        """Names of the files that were asked for."""
        paths = [urlsplit(path) for path, _ in self.asked]
        named = [parse_qs(path.query).get("FilePath", [path.path.rpartition("/")[2]])[0] for path in paths]
        return [name for name in named if name in self.files]


@contextmanager
def hub(repository: Repository) -> Iterator[str]:
    """Its URL, while it runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            repository.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
            _answer(self, repository)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _answer(handler: BaseHTTPRequestHandler, repository: Repository) -> None:
    url = urlsplit(handler.path)
    name = re.fullmatch(rf"(?:/{MODEL}/resolve/[0-9a-f]+|/cdn)/(.+)", url.path)
    if repository.status is not None:
        _send(handler, b"<html>", repository.status, error_code=repository.error_code)
    elif url.path == f"/api/models/{MODEL}":
        _send(handler, json.dumps(_model_info(repository)).encode())
    elif url.path == f"/api/v1/models/{MODEL}/repo/files":
        _send(handler, json.dumps(_listing(repository)).encode())
    elif url.path == f"/api/v1/models/{MODEL}/repo":
        _send_file(handler, repository, parse_qs(url.query)["FilePath"][0])
    elif name is not None and repository.cdn is not None:
        _send(handler, b"", 302, location=f"{repository.cdn}/cdn/{name[1]}")
    elif name is not None:
        _send_file(handler, repository, name[1])
    else:
        _send(handler, b"{}", 404, error_code="RepoNotFound")


def _model_info(repository: Repository) -> dict[str, object]:
    siblings = [
        {"rfilename": name, "size": len(data), "blobId": _blob_id(data)}
        | ({"lfs": _lfs(data)} if name.endswith((".safetensors", ".bin")) else {})
        for name, data in repository.files.items()
    ]
    return {"id": MODEL, "sha": repository.revision, "siblings": siblings}


def _blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _lfs(data: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}


def _listing(repository: Repository) -> dict[str, object]:
    files: list[dict[str, object]] = [
        {"Name": name, "Path": name, "Type": "blob", "Size": len(data), "Sha256": hashlib.sha256(data).hexdigest()}
        for name, data in repository.files.items()
    ]
    return {"Code": 200, "Success": True, "Data": {"Files": [*files, {"Path": "onnx", "Type": "tree", "Size": 0}]}}


def _send_file(handler: BaseHTTPRequestHandler, repository: Repository, name: str) -> None:
    data = repository.files[name]
    if repository.lies and name.endswith(".safetensors"):
        data = data[:-1] + b"?"
    start = 0 if repository.whole_only else _start(handler)
    status = 206 if start else 200
    body = data[start:]
    cut = repository.cut_after
    if cut is None or not name.endswith(".safetensors") or len(body) <= cut:
        _send(handler, body, status)
    elif repository.cut_once and name in repository.cut:
        _send(handler, b"", 503)
    else:
        repository.cut.add(name)
        _send(handler, body[:cut], status, length=len(body))
        handler.close_connection = True


def _start(handler: BaseHTTPRequestHandler) -> int:
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    return int(asked[1]) if asked else 0


def _send(
    handler: BaseHTTPRequestHandler,
    body: bytes,
    status: int = 200,
    *,
    length: int | None = None,
    error_code: str = "",
    location: str = "",
) -> None:
    handler.send_response(status)
    for key, value in (("X-Error-Code", error_code), ("Location", location)):
        if value:
            handler.send_header(key, value)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    handler.wfile.flush()
