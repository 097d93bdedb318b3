"""Bodies that attack: addresses to fetch, pictures that explode, numbers that are none, text that is code."""

from __future__ import annotations

import base64
import io
import json
import socket
import struct

import httpx
import pytest
from PIL import Image

from tests.e2e import pictures
from tests.running import Running
from tests.security.conftest import AUTH, post, refused, say

pytestmark = pytest.mark.e2e

SSRF = (
    "http://example.com/a.png",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://[::1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://localhost/",
    "https://example.com:22/",
    "https://a@127.0.0.1/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1\\@example.com/",
    "https://example.com\\.evil.com/",
    "file:///etc/passwd",
    "gopher://x/",
    "https://ex①ample.com/",
    "https://example.com./",
    "https://example.com%00.evil/",
    "https://\t127.0.0.1/",
    "https://metadata.google.internal/x",
    "/etc/passwd",
)


@pytest.mark.parametrize("url", SSRF)
def test_no_address_is_fetched(target: Running, url: str) -> None:
    """Image addresses are refused on both routes, by their text alone; IMAGE_URL_HOSTS lists example.com here."""
    error = refused(say(target, [{"type": "image_url", "image_url": {"url": url}}]))
    assert error["param"] == "messages[0].content[0].image_url.url"
    assert url not in error["message"]
    refused(post(target, "/v1/ocr", {"image": url}))


def test_nobody_is_called(target: Running) -> None:
    """A listener on this machine hears nothing, however its address is offered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.5)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.png"
        refused(post(target, "/v1/ocr", {"image": url}))
        say(target, "hi", api_base=url, base_url=url, callback=url, image_url=url)
        refused(say(target, "hi", model=url), 404)
        with pytest.raises(TimeoutError):
            listener.accept()


def image(kind: str, size: tuple[int, int], **more: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "white").save(buffer, kind, **more)
    return buffer.getvalue()


def ocr(target: Running, data: bytes, name: str = "x.png") -> httpx.Response:
    return httpx.post(f"{target.url}/v1/ocr", files={"file": (name, data)}, headers=AUTH, timeout=60)


def _header(width: int, height: int) -> bytes:
    good = image("PNG", (8, 8))
    return good[:16] + struct.pack(">II", width, height) + good[24:]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="only-magic"),
        pytest.param(image("PNG", (40, 40))[:60], id="cut"),
        pytest.param(_header(0, 0), id="zero-size"),
        pytest.param(_header(1 << 31, 1 << 31), id="lies-about-size"),
        pytest.param(pictures.bomb(20000), id="bomb-20000"),
        pytest.param(b"\x00\x00\x00\x0cjP  \r\n\x87\n" + b"\0" * 200, id="jpeg2000"),
        pytest.param(b"\x00\x00\x00\x18ftypmp42" + b"\0" * 200, id="video"),
        pytest.param(b"GIF89a" + b"\0" * 50, id="broken-gif"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="svg"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF", id="postscript"),
        pytest.param(b"\x1f\x8b\x08" + b"\0" * 50, id="gzip"),
    ],
)
def test_a_file_that_is_no_picture_is_refused_in_fixed_words(target: Running, data: bytes) -> None:
    """Damaged, oversized or foreign files get a 400 without a word of the decoder's."""
    refused(ocr(target, data), 400, 413)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 3)])
def test_odd_sizes_do_no_harm(target: Running, size: tuple[int, int]) -> None:
    """The smallest and thinnest pictures have no text, and crash nobody."""
    reply = ocr(target, image("PNG", size))
    assert reply.status_code in (200, 400), reply.text


def test_of_an_animation_one_frame_is_read(target: Running) -> None:
    """A thousand frames cost as much as one."""
    frames = [Image.new("RGB", (16, 16), (at % 256, 0, 0)) for at in range(1000)]
    data = image("WEBP", (16, 16), save_all=True, append_images=frames)
    assert ocr(target, data).status_code in (200, 400)


@pytest.mark.parametrize(
    "kind", ["prompt_embeds", "image_embeds", "input_audio", "video_url", "file", "tensor", "__class__", ""]
)
def test_content_of_an_unknown_kind_is_refused(target: Running, kind: str) -> None:
    """No tensors, no pickles: what is not text or a data URL is a 400 that names the part."""
    error = refused(say(target, [{"type": kind, kind or "x": base64.b64encode(b"\x80\x04.").decode()}]))
    assert "messages" in error["param"]


@pytest.mark.parametrize("name", ["temperature", "top_p", "frequency_penalty", "presence_penalty", "min_p"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"0.5"', "[]", "{}"])
def test_a_number_that_is_none(target: Running, name: str, value: str) -> None:
    """NaN, infinities and text are refused wherever a number is asked for."""
    body = f'{{"messages": [{{"role": "user", "content": "hi"}}], "{name}": {value}}}'
    refused(post(target, "/v1/chat/completions", body))


@pytest.mark.parametrize(
    "field",
    [
        {"n": 100_000},
        {"n": -1},
        {"max_tokens": 1 << 70},
        {"max_tokens": 0},
        {"stop": ["x"] * 1000},
        {"stop": "x" * 100_000},
        {"stop": [""]},
        {"logit_bias": {str(number): 1 for number in range(5000)}},
        {"tools": [{"type": "function", "function": {"name": "f"}}] * 200},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": "x" * 1_000_000}}},
        {"top_logprobs": 10**9},
        {"stream": "yes"},
        {"stream_options": {"include_usage": True, "evil": 1}},
        {"messages": []},
        {"messages": [{"role": "user", "content": "x"}] * 3000},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 300}]},
        {"messages": [{"role": "root", "content": "x"}]},
        {"messages": {"role": "user"}},
        {"messages": [["user", "x"]]},
    ],
    ids=lambda field: next(iter(field)),
)
def test_what_is_too_many_too_long_or_of_a_wrong_type(target: Running, field: dict[str, object]) -> None:
    """Lists, numbers and texts beyond their bounds are a 400 that names the field."""
    assert refused(say(target, "hi", **field))["param"]


def test_a_schema_without_end_is_refused(target: Running) -> None:
    """Deeply nested and self-referring schemas never reach a grammar compiler."""
    deep: object = {}
    for _ in range(300):
        deep = {"properties": {"a": deep}}
    endless = {"$ref": "#", "pattern": "(a+)+$"}
    for schema in (deep, endless):
        body = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        assert say(target, "hi", response_format=body, max_tokens=5).status_code in (200, 400)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"messages": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"messages": NaN}',
        "\x00",
        "{",
        "null",
        '"x"',
        "[]",
        b"\xff\xfe{\x00}\x00",
        "",
    ],
    ids=range(11),
)
def test_json_that_is_none(target: Running, text: str | bytes) -> None:
    """Nesting without end, broken encodings and half objects are a 400."""
    refused(post(target, "/v1/chat/completions", text))


def test_a_key_given_twice_is_the_last(target: Running) -> None:
    """Documented tolerance: of equal names the last counts, as in every JSON reader of the clients."""
    reply = post(
        target,
        "/v1/chat/completions",
        '{"messages": [{"role": "user", "content": "one"}], "messages": [{"role": "user", "content": "two"}]}',
    )
    assert reply.json()["choices"][0]["message"]["content"] == "two"


@pytest.mark.parametrize(
    "text",
    ["{{ 7*7 }}", "{% for i in range(10**9) %}x{% endfor %}", "{{ ''.__class__.__mro__ }}", "${jndi:ldap://x}", "%s%n"],
)
def test_a_prompt_is_never_a_template(target: Running, text: str) -> None:
    """What looks like code comes back as it was."""
    assert say(target, text).json()["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize(
    "name", ["chat_template", "chat_template_kwargs", "documents", "lora_path", "api_base", "guided_regex"]
)
def test_a_field_nobody_knows_changes_nothing_and_is_named(target: Running, name: str) -> None:
    """Templates, paths and addresses in unknown fields have no effect: they are refused, or named in a header."""
    reply = say(target, "hi", **{name: "{% for i in range(10**9) %}x{% endfor %}"})
    if reply.status_code == 200:
        assert name in reply.headers["X-Ignored-Fields"]
        assert reply.json()["choices"][0]["message"]["content"] == "hi"
    else:
        assert refused(reply)["param"] == name


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "demo\x00",
        "http://127.0.0.1/x",
        "x" * 4096,
        "..",
        ".",
        "models/demo",
        "demo/",
    ],
)
def test_a_model_is_one_of_ours_or_none(target: Running, name: str) -> None:
    """Names are compared, never used as paths or addresses."""
    refused(say(target, "hi", model=name), 400, 404)


@pytest.mark.parametrize("text", ["", " ", "\n", "\u202e\x1b[31m", "🜚" * 2000])
def test_prompts_at_the_edge(target: Running, text: str) -> None:
    """Empty and odd prompts are answered or refused, and crash nobody."""
    assert say(target, text, max_tokens=5).status_code in (200, 400)


def test_a_form_with_ten_thousand_parts(target: Running) -> None:
    """Multipart exhaustion: too many parts are refused at once."""
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    headers = {**AUTH, "Content-Type": "multipart/form-data; boundary=x"}
    reply = httpx.post(f"{target.url}/v1/ocr", content=part * 10_000 + b"--x--", headers=headers, timeout=30)
    refused(reply, 400, 413)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 3000, "text/plain", "application/xml"]
)
def test_a_body_of_another_type(target: Running, kind: str) -> None:
    """No boundary, an endless one, or a type nobody takes: refused."""
    reply = httpx.post(f"{target.url}/v1/ocr", content=b"--x", headers={**AUTH, "Content-Type": kind}, timeout=30)
    refused(reply, 400, 413, 415)


def test_embedded_names_of_files_are_no_paths(target: Running) -> None:
    """A file named like a path is read as a picture, and nothing is written anywhere."""
    reply = ocr(target, pictures.line("Berth 12"), "../../../tmp/stoker-evil\x00.png")
    assert json.loads(reply.text)["text"] == "Berth 12"
