"""Reads many SSE streams at once with plain sockets, in a process of its own: `python -m tests.bench.streams`.

A client library would be the bottleneck. Prints the events per second from the first byte to the last.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import sys
import time

_SELECT_S = 30.0


def request(path: str, tokens: int) -> bytes:
    body = json.dumps(
        {"messages": [{"role": "user", "content": f"fake:count={tokens}"}], "stream": True, "max_tokens": tokens + 1}
    ).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def read_all(port: int, path: str, streams: int, tokens: int) -> tuple[int, float]:
    """Events seen and seconds taken."""
    selector = selectors.DefaultSelector()
    for _ in range(streams):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(request(path, tokens))
        selector.register(sock, selectors.EVENT_READ)
    events, began = 0, 0.0
    while selector.get_map():
        ready = selector.select(_SELECT_S)
        if not ready:
            raise TimeoutError("no stream said anything")
        began = began or time.perf_counter()
        for key, _ in ready:
            reader = key.fileobj
            assert isinstance(reader, socket.socket)
            data = reader.recv(1 << 18)
            # an event may be cut between two reads, its "data:" line start never counts twice
            events += data.count(b'"content":') + data.count(b"data: x")
            if not data:
                selector.unregister(reader)
                reader.close()
    return events, time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("port", "streams", "tokens"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--path", default="/v1/chat/completions")
    args = parser.parse_args()
    count, seconds = read_all(args.port, args.path, args.streams, args.tokens)
    sys.stdout.write(f"{count} {seconds}\n")
