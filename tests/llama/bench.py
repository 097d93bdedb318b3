"""`python -m tests.llama.bench FOLDER`: tokens a second through the service against llama-server itself, in turns.

FOLDER is where `make test-llama` built llama.cpp. Both run the same binary on the same file with the same arguments;
each measure is the median of ROUNDS, taken by turns, so that whatever else the machine does meets both.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from src.settings import ROOT
from tests.running import free_port, service
from training.demo.checkpoint import write_random_checkpoint

ROUNDS = 5
TOKENS = 200
SHAPES = {"2M": (256, 3), "75M": (768, 12)}  # hidden size and layers


def stream(url: str, number: int) -> tuple[int, float]:
    """Tokens of one streamed answer, and seconds until its first."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": f"question number {number}"}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, first, made = time.perf_counter(), 0.0, 0
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=300) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                made = (chunk.get("usage") or {}).get("completion_tokens", made)
                if not first and any(choice["delta"].get("content") for choice in chunk["choices"]):
                    first = time.perf_counter() - began
    return made, first


def measure(url: str, streams: int) -> tuple[float, float]:
    """Tokens a second of so many streams together, and the median time to the first token."""
    began = time.perf_counter()
    with ThreadPoolExecutor(streams) as crowd:
        made = list(crowd.map(lambda number: stream(url, number), range(streams)))
    seconds = time.perf_counter() - began
    return sum(tokens for tokens, _ in made) / seconds, statistics.median(first for _, first in made)


def compare(name: str, gguf: Path, binary: Path) -> None:
    port = free_port()
    direct = [str(binary), "-m", str(gguf), "--host", "127.0.0.1", "--port", str(port), "-c", "2048"]
    command = f"{binary} -m {{model}} --host {{host}} --port {{port}} -c 2048"
    own = subprocess.Popen(direct, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with service(default_model=gguf, llama_cpp_command=command, ocr_workers=0) as running:
            urls = {"llama-server": f"http://127.0.0.1:{port}", "through us": running.url}
            for streams in (1, 4, 16):
                found: dict[str, list[tuple[float, float]]] = {label: [] for label in urls}
                for _ in range(ROUNDS):
                    for label, url in urls.items():
                        found[label].append(measure(url, streams))
                for label, figures in found.items():
                    speed, first = (statistics.median(column) for column in zip(*figures, strict=True))
                    print(f"{name:5} {streams:2} streams  {label:13} {speed:7.1f} tok/s  first {first * 1000:6.1f} ms")
    finally:
        own.kill()
        own.wait()


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        for name, (hidden, layers) in SHAPES.items():
            checkpoint, gguf = Path(scratch) / name, Path(scratch) / f"{name}.gguf"
            write_random_checkpoint(checkpoint, hidden=hidden, layers=layers)
            convert = [str(folder / "bin" / "python"), "-m", "tests.llama.gguf_model", str(checkpoint), str(gguf)]
            subprocess.run(convert, cwd=ROOT, check=True)
            compare(name, gguf, (folder / "llama.cpp" / "bin" / "llama-server").absolute())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
