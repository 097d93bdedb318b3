"""deploy/nginx in a real nginx: TLS, HTTP/2, unbuffered streams, limits, closed routes, envelope, three instances."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import httpx
import pytest

from src.settings import Settings
from tests.deploy import tools
from tests.deploy.conftest import Site
from tests.running import free_port, service
from tests.security.test_wire import SMUGGLING

pytestmark = pytest.mark.e2e


def client(folder: Path) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(folder / "stoker.crt"))
    return httpx.Client(verify=context, timeout=30)


def curl(site: Site, path: str, *options: str) -> str:
    argv = ["curl", "-sS", "--http2", "--cacert", str(site.folder / "stoker.crt"), *options, site.url + path]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30).stdout


MODEL = "demo"


def chat(text: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 1000, **more}


def test_the_files_differ_in_their_upstreams_alone() -> None:
    """What is mended in one is mended in the others."""
    names = ("one.conf", "three.conf", "machines.conf")
    one, three, machines = ((tools.DEPLOY / "nginx" / name).read_text().partition("keepalive 32;")[2] for name in names)
    assert one == three == machines.replace("$stoker_upstream;", "stoker;")
    assert "non_idempotent;" not in one


def test_an_instance_that_is_back_is_asked_before_another_one_stops() -> None:
    """nginx passes over a failed one for fail_timeout and up to a second more; else there would be none to ask."""
    texts = [(tools.DEPLOY / "nginx" / name).read_text() for name in ("three.conf", "machines.conf")]
    found = re.findall(r"fail_timeout=(\d+)s", "".join(texts))
    assert len(found) == 9
    assert max(map(int, found)) + 1 < Settings(_env_file=None).drain_notice


def test_every_log_of_ours_is_rotated() -> None:
    """nginx's package rotates *.log alone; what has another name has a rule of ours, which nginx is told of."""
    rule = (tools.DEPLOY / "nginx" / "logrotate.conf").read_text()
    logs = set(re.findall(r"(/var/log/nginx/\S+?)[ ;]", (tools.DEPLOY / "nginx" / "one.conf").read_text()))
    assert {log for log in logs if not log.endswith(".log")} == set(re.findall(r"^(/\S+) {", rule, re.MULTILINE))
    assert "kill -USR1" in rule


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "/api/chat"])
def test_a_stream_arrives_chunk_by_chunk_over_http2(path: str, site: Site) -> None:
    """Tokens made 0.1 s apart arrive 0.1 s apart: nothing between buffers them."""
    body = json.dumps(chat("fake:delay=0.1 fake:count=8 abcdefghijkl", stream=True, model=MODEL))
    argv = ["curl", "-sSN", "--http2", "-D", "-", "--cacert", str(site.folder / "stoker.crt")]
    argv += ["-H", "Content-Type: application/json", "-d", body, site.url + path]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout is not None
    arrivals: list[float] = []
    head = process.stdout.readline()
    arrivals.extend(time.monotonic() for line in process.stdout if line.startswith((b"data: {", b"{")))
    process.wait(20)
    assert head.startswith(b"HTTP/2 200")
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    assert len([gap for gap in gaps if 0.04 < gap < 0.4]) >= 6, gaps


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/version", 200),
        ("GET", "/docs", 200),
        ("GET", "/favicon.ico", 200),
        ("GET", "/openapi.json", 200),
        ("HEAD", "/", 200),
        ("GET", "/models", 200),
        ("GET", "/v1/v1/models", 200),
        ("GET", "/api/tags", 200),
        ("POST", "/tokenize", 200),
        ("POST", "/v1/tokenize", 200),
        ("POST", "/chat/completions", 200),
        ("POST", "/messages", 200),
        ("GET", "/models/load", 404),
    ],
)
def test_what_the_service_serves_passes(method: str, path: str, status: int, site: Site) -> None:
    """Also what is meant by a path with a `/v1` too many or too few; a 404 is the service's own."""
    body = {"prompt": "hi"} if "tokenize" in path else chat("hi")
    with client(site.folder) as http:
        reply = http.request(method, site.url + path, json=body if method == "POST" else None)
    assert reply.status_code == status, reply.text
    assert status == 200 or "did you mean" in reply.text


def test_metrics_are_for_this_machine_alone(site: Site) -> None:
    """From 127.0.0.1 they are served; from another address, here 127.0.0.3, nginx refuses with our envelope."""
    assert "stoker_http_requests_total" in curl(site, "/metrics")
    refused = json.loads(curl(site, "/metrics", "--interface", "127.0.0.3"))
    assert refused["error"]["code"] == "forbidden"
    assert json.loads(curl(site, "/etc/passwd"))["error"]["code"] == "not_found"


def test_too_large_and_too_many_are_refused_in_the_envelope(site: Site) -> None:
    """33 MiB get 413; of forty requests at once those beyond the burst get 429, as OpenAI's clients expect it."""
    with client(site.folder) as http:
        too_large = http.post(f"{site.url}/v1/ocr", content=b"x" * (33 << 20), headers={"Content-Type": "image/png"})
        assert too_large.status_code == 413
        assert too_large.json()["error"]["code"] == "payload_too_large"
        with ThreadPoolExecutor(20) as crowd:
            replies = list(crowd.map(lambda _: http.get(f"{site.url}/v1/models"), range(40)))
    refused = [reply for reply in replies if reply.status_code == 429]
    assert 5 <= len(refused) <= 25
    assert {reply.status_code for reply in replies} == {200, 429}
    assert refused[0].json()["error"]["type"] == "rate_limit_error"
    assert refused[0].headers["Retry-After"] == "1"
    time.sleep(2.1)  # the burst of 20 is free again for the tests that follow


def test_the_client_address_and_id_reach_the_service(site: Site) -> None:
    """Our access log has the client's address, not nginx's, and nginx's request id; forged headers do not count."""
    forged = ("--interface", "127.0.0.5", "-H", "X-Forwarded-For: 8.8.8.8", "-H", "X-Request-Id: forged")
    head = curl(site, "/v1/models", "-D", "-", "-o", "/dev/null", *forged)
    ids = [line.split(": ")[1].strip() for line in head.splitlines() if line.lower().startswith("x-request-id")]
    assert len(ids) == 1
    assert ids[0] != "forged"
    time.sleep(1.1)  # nginx flushes its log every second; ours is written after the answer's last byte
    records = map(json.loads, (site.running.logs / "api_requests.log").read_text().splitlines())
    assert [record["client"] for record in records if record.get("client_request_id") == ids[0]] == ["127.0.0.5"]
    lines = [json.loads(line) for line in (site.folder / "stoker.json").read_text().splitlines()]
    assert ids[0] in {line["request_id"] for line in lines}


@pytest.mark.parametrize(("version", "good"), [("1.1", False), ("1.2", True), ("1.3", True)])
def test_old_tls_is_refused(site: Site, version: str, *, good: bool) -> None:
    """TLS before 1.2 gets no connection."""
    out = curl(site, "/livez", f"--tlsv{version}", "--tls-max", version)
    assert ("alive" in out or "ok" in out) == good


def test_nothing_is_smuggled_through(site: Site) -> None:
    """Requests that two parsers read differently get one answer at most: none reaches what hides inside."""
    answered = 0
    context = ssl.create_default_context(cafile=str(site.folder / "stoker.crt"))
    for name, data in SMUGGLING.items():
        with (
            socket.create_connection(("127.0.0.1", site.tls), 5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as sock,
        ):
            sock.sendall(data)
            sock.settimeout(0.7)
            answer = b""
            with suppress(TimeoutError, ConnectionError, ssl.SSLError):
                while chunk := sock.recv(65536):
                    answer += chunk
        statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", answer)
        answered += len(statuses)
        assert len(statuses) <= 1, (name, answer[:600])
        assert b"children" not in answer, name
    assert answered > 15


def test_without_the_service_it_is_a_502_in_the_envelope(folder: Path) -> None:
    """Nobody upstream: 502 with OpenAI's error body, a request id and Retry-After."""
    with tools.nginx("one.conf", folder, [free_port()]) as tls, client(folder) as http:
        reply = http.post(f"https://localhost:{tls}/v1/chat/completions", json=chat("hi"))
    assert reply.status_code == 502
    assert reply.json()["error"]["code"] == "bad_gateway"
    assert reply.json()["request_id"] == reply.headers["X-Request-Id"]
    assert reply.headers["Retry-After"] == "3"


class _Named(BaseHTTPRequestHandler):
    """Answers with the port it was asked at."""

    def do_GET(self) -> None:
        body = str(self.connection.getsockname()[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def named(name: str, folder: Path, balancing: str = "least_conn;") -> Iterator[tuple[str, httpx.Client]]:
    """nginx before three that answer with their ports; its address, and a client for it."""
    with ExitStack() as stack:
        three = [stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), _Named)) for _ in range(3)]
        for one in three:
            Thread(target=one.serve_forever, daemon=True).start()
            stack.callback(one.shutdown)
        tls = stack.enter_context(tools.nginx(name, folder, [one.server_port for one in three], balancing))
        yield f"https://localhost:{tls}", stack.enter_context(client(folder))


KEPT = (
    "/v1/files/file-1",
    "/v1/batches",
    "/v1/responses/resp_1",
    "/v1/conversations/conv_1",
    "/v1/ocr/jobs/ocr-1",
    "/v1/v1/batches",
)


def test_what_a_machine_keeps_of_a_key_is_at_one_of_several(folder: Path) -> None:
    """Whichever header brings the key, however the path is spelled; all else goes to the least busy."""
    with named("machines.conf", folder) as (url, http):

        def machines(headers: dict[str, str], *paths: str) -> set[str]:
            return {http.get(url + path, headers=headers).text for path in paths}

        forms = {"Authorization": "Bearer {}", "authorization": "bearer  {}", "X-Api-Key": "{}"}
        of_keys = [[machines({name: form.format(key)}, *KEPT) for name, form in forms.items()] for key in "abcd"]
        others = machines({"X-Api-Key": "other"}, *("/v1/models", "/v1/models/kept", "/v1/filesystem") * 3)
    assert all(len(found) == 1 for by_header in of_keys for found in by_header)
    assert all(found == by_header[0] for by_header in of_keys for found in by_header)
    assert len(others) == 3


@pytest.mark.parametrize("balancing", ["hash $stoker_affinity consistent;", "hash $stoker_who consistent;"])
def test_affinity_as_the_comments_have_it(balancing: str, folder: Path) -> None:
    """A key's requests are at one instance, or each of its conversations that are named; all together at several."""
    assert balancing in (tools.DEPLOY / "nginx" / "three.conf").read_text()
    with named("three.conf", folder, balancing) as (url, http):

        def instance(key: int, session: int) -> str:
            headers = {"Authorization": f"Bearer client-{key}", "X-Session-Id": f"session-{session}"}
            return http.get(f"{url}/v1/models", headers=headers).text

        by_key = [{instance(key, session) for session in range(16)} for key in range(16)]
    assert len(set[str]().union(*by_key)) > 1  # of sixteen: where each goes is chance, by the ports
    assert all(len(found) == 1 for found in by_key) is (balancing == "hash $stoker_who consistent;")
    assert all(found == by_key[0] for found in by_key) is (balancing == "hash $stoker_affinity consistent;")


def test_one_of_three_instances_killed_under_load(folder: Path) -> None:
    """kill -9 of one: what it had begun gets the 502 envelope, everything else is answered by the other two."""
    with ExitStack() as stack:
        three = [
            stack.enter_context(service(inference_engine="fake", ocr_workers=0, trusted_proxies="127.0.0.1"))
            for _ in range(3)
        ]
        tls = stack.enter_context(tools.nginx("three.conf", folder, [one.port for one in three]))
        crowd, http = stack.enter_context(ThreadPoolExecutor(12)), stack.enter_context(client(folder))

        def ask(number: int) -> tuple[int, str]:
            headers = {"Authorization": f"Bearer client-{number % 12}"}  # a share of nginx's limits each
            body = chat("fake:delay=0.05 fake:count=8 ok")
            reply = http.post(f"https://localhost:{tls}/v1/chat/completions", json=body, headers=headers)
            return reply.status_code, str(reply.json().get("error", {}).get("code"))

        asked = [crowd.submit(ask, number) for number in range(72)]
        time.sleep(0.8)
        # web first: an instance that loses power does not tell its clients of a crashed engine
        for process in sorted(three[0].processes(), key=lambda one: "gunicorn" not in " ".join(one.cmdline())):
            process.kill()
        results = [future.result(60) for future in asked]
    lost = [result for result in results if result[0] != 200]
    assert len(lost) <= 6, lost  # the third of twelve in flight that it was at work on, and a moment's more
    assert set(lost) <= {(502, "bad_gateway")}
