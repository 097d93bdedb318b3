"""Attacks below the body: the HTTP parser, slow clients, headers, logs, keys."""

from __future__ import annotations

import json
import random
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e import pictures
from tests.running import Running
from tests.security.conftest import AUTH, CANARY, KEY, post, raw, refused, say

pytestmark = pytest.mark.e2e

_POST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
    + KEY.encode()
    + b"\r\n"
)
_GET = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"
_SMUGGLED = b"GET /v1/system/status HTTP/1.1\r\nHost: x\r\n\r\n"

SMUGGLING = {
    "cl-and-te": _POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "two-lengths": _POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd" + _SMUGGLED,
    "same-length-twice": _POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd" + _SMUGGLED,
    "plus-length": _POST + b"Content-Length: +3\r\n\r\nabc" + _SMUGGLED,
    "negative-length": _POST + b"Content-Length: -1\r\n\r\n" + _SMUGGLED,
    "xchunked": _POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "chunked-identity": _POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "te-http10": _POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
    "space-before-colon": _POST + b"Content-Length : 4\r\n\r\nabcd" + _SMUGGLED,
    "obs-fold": _GET + b"X-A: b\r\n  c\r\n\r\n" + _SMUGGLED,
    "bare-lf": _GET.replace(b"\r\n", b"\n") + b"\n" + _SMUGGLED,
    "nul-in-header": _GET + b"X-A: b\x00c\r\n\r\n" + _SMUGGLED,
    "two-hosts": _GET + b"Host: y\r\n\r\n" + _SMUGGLED,
    "chunk-0x5": _POST + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n" + _SMUGGLED,
    "huge-chunk": _POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\nabc",
    "bad-chunk": _POST
    + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabcde\r\n0\r\n\r\n",
    "header-9000": _GET + b"X-A: " + b"a" * 9000 + b"\r\n\r\n",
    "headers-120": _GET + b"".join(b"X-%d: a\r\n" % number for number in range(120)) + b"\r\n",
    "uri-9000": _GET.replace(b"/v1/models", b"/" + b"a" * 9000) + b"\r\n",
    "lower-case-method": _GET.replace(b"GET", b"get") + b"\r\n",
    "no-version": b"GET /\r\n\r\n",
    "binary": bytes(range(256)) * 8,
    "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "h2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_a_request_that_two_parsers_read_differently(target: Running, name: str) -> None:
    """It gets one refusal, or one answer and a closed connection: never a second answer to what hides inside."""
    answer = raw(target, SMUGGLING[name], 4.0)
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", answer)
    assert len(statuses) <= 1, (name, statuses)
    assert b"children" not in answer
    assert b"Traceback" not in answer
    if statuses:
        assert int(statuses[0]) in (400, 404, 408, 413, 414, 415, 431, 501, 505), (name, statuses)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit(target: Running, *, chunked: bool) -> None:
    """3 MiB where 2 are allowed: 413, whether its length was told or not."""
    data = b'{"x": "' + b"a" * (3 << 20) + b'"}'
    content = (data[at : at + 65536] for at in range(0, len(data), 65536)) if chunked else data
    headers = {**AUTH, "Content-Type": "application/json"}
    try:
        reply = httpx.post(f"{target.url}/v1/chat/completions", content=content, headers=headers, timeout=20)
    except httpx.TransportError:
        return  # it was answered and closed before we had sent it all
    refused(reply, 413)


def test_slow_heads_and_bodies_hold_nobody_up(target: Running) -> None:
    """Sixty clients that send a byte and wait: others are served at once, and the slow ones are sent away."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
    body = (
        _POST.replace(b"Connection: close\r\n", b"") + b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
    )
    slow = [socket.create_connection(("127.0.0.1", target.port), 10) for _ in range(60)]
    try:
        for at, sock in enumerate(slow):
            sock.sendall(head if at % 2 else body)
        began = time.monotonic()
        assert say(target, "hi").status_code == 200
        assert time.monotonic() - began < 2
        for sock in slow:
            sock.settimeout(12)
        answers = [sock.recv(400) for sock in slow[:2]]
    finally:
        for sock in slow:
            sock.close()
    assert b" 408 " in answers[0]
    assert answers[1] == b"" or b" 408 " in answers[1] or b" 400 " in answers[1]


def test_a_client_that_does_not_read(target: Running) -> None:
    """Its long stream stalls nobody else's."""
    request = {
        "messages": [{"role": "user", "content": "fake:count=20000 " + "y" * 200}],
        "stream": True,
        "max_tokens": 20000,
    }
    text = json.dumps(request).encode()
    with socket.create_connection(("127.0.0.1", target.port), 10) as sock:
        sock.sendall(_POST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        time.sleep(0.5)
        began = time.monotonic()
        assert say(target, "hi").status_code == 200
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PUT", "DELETE", "PROPFIND", "OPTIONS"])
def test_methods_nobody_asked_for(target: Running, method: str) -> None:
    """None of them does anything."""
    answer = raw(target, _POST.replace(b"POST", method.encode()) + b"\r\n", 3.0)
    assert answer.startswith((b"HTTP/1.1 405", b"HTTP/1.1 501", b"HTTP/1.1 400", b"HTTP/1.1 200 OK")), answer[:100]
    assert KEY.encode() not in answer
    if answer.startswith(b"HTTP/1.1 200"):
        assert method == "OPTIONS"
        assert b"\r\nContent-Length: 0" in answer


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/v1/models/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/models/..%2f..%2fetc",
        "/static/x",
        "/.env",
        "//evil.example/",
        "/v1/models/%00",
        "/v1/models/%ff",
    ],
)
def test_no_path_leads_out(target: Running, path: str) -> None:
    """Routes are a table, not a folder."""
    answer = raw(target, _GET.replace(b"/v1/models", path.encode()) + b"\r\n", 3.0)
    assert re.match(rb"HTTP/1\.1 (404|400|308)", answer), answer[:200]
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "path", ["/metrics", "/v1/models", "/v1/system/status", "/api/gpu-status", "/v1/chat/completions", "/nothing"]
)
def test_without_a_key_nothing_is_told(target: Running, path: str) -> None:
    """Neither figures nor names nor which routes there are."""
    for headers in (
        {},
        {"Authorization": "Bearer " + "x" * 500},
        {"Authorization": "Bearer \xe9\xff"},
        {"Authorization": f"Basic {KEY}"},
    ):
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        reply = httpx.get(target.url + path, headers=encoded, timeout=10)
        assert refused(reply, 401)["code"] == "invalid_api_key"


def slower(target: Running, one: str, other: str, pairs: int = 400) -> float:
    """In which share of pairs the first key's answer took longer: half of them when nothing tells the keys apart.

    The two of a pair come right after each other, in an order that is drawn: whatever else the machine does meanwhile
    is as likely to hit either.
    """
    with httpx.Client(base_url=target.url, timeout=10) as client:

        def seconds(key: str) -> float:
            began = time.perf_counter()
            client.get("/v1/models", headers={"Authorization": f"Bearer {key}"})
            return time.perf_counter() - began

        longer = 0
        for _ in range(pairs):
            took = {key: seconds(key) for key in random.sample((one, other), 2)}
            longer += took[one] > took[other]
    return longer / pairs


def test_the_time_of_a_refusal_tells_nothing_of_the_key(target: Running) -> None:
    """A key that is right but for its last character takes as long as one that is wrong from the first.

    The share of heads of 400 fair coins has a deviation of 0.025: chance leaves 0.5 ± 0.12 once in 600 000 runs. What
    a difference looks like is shown by the right key, whose answer is more work.
    """
    nothing_right = "x" * len(KEY)
    assert abs(slower(target, KEY[:-1] + "x", nothing_right) - 0.5) < 0.12
    assert slower(target, KEY, nothing_right, 200) > 0.58


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1@evil", "x" * 200, "a b"])
def test_a_forged_host_is_used_for_nothing(target: Running, host: str) -> None:
    """The Host header is in no answer and decides nothing."""
    answer = raw(target, _GET.replace(b"Host: x", b"Host: " + host.encode()) + b"\r\n", 3.0)
    assert host.encode() not in answer


def test_lines_cannot_be_forged_in_the_logs(target: Running) -> None:
    """Line breaks, escapes and format strings in path, agent and id stay one JSON line each."""
    marker = "FORGEDENTRY"
    evil = f"%0a%1b[31m{{extra}}{{nosuch}}{marker}"
    headers = {**AUTH, "User-Agent": f"{{0.__class__}}\x1b[2J{marker}", "X-Request-Id": f"a\tb{marker}"}
    httpx.get(f"{target.url}/v1/models/{evil}", headers=headers, timeout=10)
    time.sleep(0.2)
    for path in target.logs.glob("*.log"):
        for line in path.read_text().splitlines():
            assert isinstance(json.loads(line), dict)
    assert "\x1b[2J" not in target.console()


def test_many_wrong_requests_at_once(target: Running) -> None:
    """A hundred broken bodies from twenty clients: every one gets its 400, good ones in between are answered."""

    def one(number: int) -> int:
        if number % 10 == 0:
            return say(target, "good").status_code - 200 + 400
        return post(target, "/v1/chat/completions", "{" * (number + 1)).status_code

    with ThreadPoolExecutor(20) as crowd:
        assert set(crowd.map(one, range(100))) == {400}


def test_the_canary_is_in_no_log(target: Running) -> None:
    """Prompt, answer, picture text, file name and key: none of them reaches a log file or the console, at DEBUG."""
    say(target, f"{CANARY} prompt", user=CANARY, metadata={"x": CANARY})
    say(target, f"fake:raise {CANARY}", stream=True)
    refused(post(target, "/v1/chat/completions", f'{{"{CANARY}": {CANARY}'))
    say(target, [{"type": CANARY, "text": CANARY}])
    say(target, [{"type": "image_url", "image_url": {"url": f"https://{CANARY}.example.org/{CANARY}.png"}}])
    page = {"file": (f"{CANARY}.png", pictures.line(f"{CANARY} text"))}
    reply = httpx.post(f"{target.url}/v1/ocr", files=page, headers=AUTH, timeout=60)
    assert CANARY in reply.json()["text"].upper()
    httpx.get(f"{target.url}/v1/models?key={CANARY}", headers=AUTH, timeout=10)
    httpx.get(f"{target.url}/v1/models", headers={"Authorization": f"Bearer {CANARY}-wrong"}, timeout=10)
    time.sleep(0.5)
    written = {path.name: path.read_text() for path in target.logs.iterdir()} | {"console": target.console()}
    assert {name for name, text in written.items() if CANARY in text} == set()
    assert written["api_requests.log"]
