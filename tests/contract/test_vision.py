"""Vision chat through the real stack: the tiny model that reads words (models/ocr-tiny), alone and together."""

from __future__ import annotations

import base64
import io
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.api.openai import fetch
from src.engine import loading, pictures
from src.engine.mlx.vlm import VlmBackend
from src.engine.progress import LoadMeter
from src.errors import InvalidImage
from src.ipc.messages.chat import ChatMessage, GenerateRequest, Sampling
from src.settings import Settings
from tests.contract.conftest import Service, StartService
from training.ocr_tiny import words as printed

TASK = "Text Recognition:"


@pytest.fixture(scope="module")
def backend() -> VlmBackend:
    loaded = loading.load("ocr-tiny", Settings(_env_file=None), LoadMeter())
    assert isinstance(loaded, VlmBackend)
    return loaded


@pytest.fixture
def vision(start_service: StartService) -> Service:
    return start_service(inference_engine="mlx", default_model="ocr-tiny")


def drawn(seed: int, count: int) -> list[tuple[str, Image.Image]]:
    dice = np.random.default_rng(seed)
    return [printed.sample(dice) for _ in range(count)]


def url(picture: Image.Image, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def content(*pictures: Image.Image) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url(one)}} for one in pictures]
    return [*shown, {"type": "text", "text": TASK}]


def ask(service: Service, *shown: Image.Image, **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": content(*shown)}]
    return service.openai.chat.completions.create(
        model="ocr-tiny", messages=messages, temperature=0, max_tokens=20, **fields
    )


def test_words_are_read_alone_and_together(vision: Service) -> None:
    """Twelve pictures at once, and a text among them, get what each gets alone; most of it is what is written there."""
    items = drawn(21, 12)
    alone = [ask(vision, picture).choices[0].message.content for _, picture in items]
    right = sum(text == word for text, (word, _) in zip(alone, items, strict=True))
    assert right >= 11
    with ThreadPoolExecutor(13) as crowd:
        text = crowd.submit(vision.chat, "hello", model="ocr-tiny", temperature=0, max_tokens=5)
        together = list(crowd.map(lambda item: ask(vision, item[1]).choices[0].message.content, items))
        assert text.result().status_code == 200
    assert together == alone


def test_a_stream_is_the_whole_answer_in_pieces(vision: Service) -> None:
    ((word, picture),) = drawn(3, 1)
    whole = ask(vision, picture)
    pieces = [chunk.choices[0].delta.content or "" for chunk in ask(vision, picture, stream=True) if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content == word
    assert whole.usage.prompt_tokens > 8


def test_no_room_is_set_aside_for_what_it_does_not_keep(backend: VlmBackend) -> None:
    """It has no prefix cache: all memory beside the weights is for what runs."""
    room, total = backend.kv_room, backend.device.memory_total_bytes
    assert room is not None
    assert total is not None
    budget = int(Settings(_env_file=None).mlx_memory_fraction * total)
    assert room.limit_bytes == budget - (backend.info.weight_bytes or 0)


def test_what_a_text_model_can_this_can_too(vision: Service) -> None:
    """Choices, log-probabilities, penalties, a bias, a form."""
    ((word, picture),) = drawn(4, 1)
    answer = ask(vision, picture, n=2, logprobs=True, top_logprobs=3)
    assert [choice.message.content for choice in answer.choices] == [word, word]
    scores = answer.choices[0].logprobs.content
    assert "".join(score.token for score in scores) == word
    assert all(len(score.top_logprobs) == 3 and score.logprob <= 0 for score in scores)
    assert ask(vision, picture, extra_body={"repetition_penalty": 1.01}).choices[0].message.content == word
    banned = scores[0].top_logprobs[0].bytes[0]
    token = vision.http.post("/tokenize", json={"prompt": chr(banned), "model": "ocr-tiny"}).json()["tokens"][-1]
    changed = ask(vision, picture, logit_bias={str(token): -100}).choices[0].message.content
    assert changed[:1] != word[:1]
    schema = {"name": "word", "schema": {"type": "string", "enum": ["ABC", "XYZ"]}, "strict": True}
    formed = ask(vision, picture, response_format={"type": "json_schema", "json_schema": schema})
    assert formed.choices[0].message.content in ('"ABC"', '"XYZ"')


def test_the_other_forms_of_chat_take_pictures_too(vision: Service) -> None:
    """OpenAI's responses and Anthropic's messages, each in its own shape."""
    ((word, picture),) = drawn(8, 1)
    shown = url(picture)
    parts = [{"type": "input_image", "image_url": shown}, {"type": "input_text", "text": TASK}]
    body = {"model": "ocr-tiny", "input": [{"role": "user", "content": parts}], "temperature": 0}
    response = vision.http.post("/v1/responses", json={**body, "max_output_tokens": 20}).json()
    assert response["output"][0]["content"][0]["text"] == word
    source = {"type": "base64", "media_type": "image/png", "data": shown.partition(",")[2]}
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": TASK}]
    message = vision.http.post(
        "/v1/messages",
        json={
            "model": "ocr-tiny",
            "messages": [{"role": "user", "content": blocks}],
            "temperature": 0,
            "max_tokens": 20,
        },
    ).json()
    assert message["content"][0]["text"] == word


def test_a_picture_of_a_listed_host_is_fetched(start_service: StartService, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its URL, in the place of its bytes; the host is asked for nothing else."""
    ((word, picture),) = drawn(9, 1)
    image = base64.b64decode(url(picture).partition(",")[2])
    near, far = socket.socketpair()
    far.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(image) + image)
    network = fetch.Network(lambda *_: ["93.184.215.14"], lambda *_: near, lambda sock, _: sock)
    monkeypatch.setattr(fetch, "_NETWORK", network)
    service = start_service(inference_engine="mlx", default_model="ocr-tiny", image_url_hosts="images.example.com")
    shown = {"type": "image_url", "image_url": {"url": "https://images.example.com/word.png"}}
    messages: Any = [{"role": "user", "content": [shown, {"type": "text", "text": TASK}]}]
    answer = service.openai.chat.completions.create(model="ocr-tiny", messages=messages, temperature=0, max_tokens=20)
    assert answer.choices[0].message.content == word
    with far:
        assert far.recv(4096).startswith(b"GET /word.png HTTP/1.1\r\nHost: images.example.com\r\n")


def test_several_pictures_are_several_places_in_the_prompt(vision: Service) -> None:
    (_, one), (_, two) = drawn(5, 2)
    single, double = ask(vision, one).usage.prompt_tokens, ask(vision, one, two).usage.prompt_tokens
    assert double - single >= 8


def test_an_answer_goes_on_where_a_crash_cut_it(backend: VlmBackend) -> None:
    """Put back with its tokens as a prefix, the picture is looked at again and the rest is the same."""
    word, picture = next((word, picture) for word, picture in drawn(6, 20) if len(word) >= 6)
    request = GenerateRequest("x", "m", (ChatMessage("user", TASK, parts=(pictures.encode(picture), TASK)),))

    def read(prefix: list[int]) -> list[int]:
        prompt = backend.tokenizer.encode(request)
        media = backend.tokenizer.media(request)
        greedy = Sampling(temperature=0.0)
        backend.insert([*prompt, *prefix], 20 - len(prefix), greedy, len(prefix), media=media)
        made = list(prefix)
        while True:
            for token in backend.step().tokens:
                made.append(token.token)
                if token.finish:
                    return made

    whole = read([])
    assert backend.tokenizer.decode(whole[:-1]) == word
    assert [read(whole[:cut]) for cut in (1, 3, 5)] == [whole] * 3


def test_it_leaves_the_device_and_comes_back(backend: VlmBackend) -> None:
    import mlx.core as mx

    before = mx.get_active_memory()
    backend.to_host()
    assert before - mx.get_active_memory() >= 0.9 * (backend.info.weight_bytes or 0) > 0
    backend.to_device()
    test_an_answer_goes_on_where_a_crash_cut_it(backend)


@pytest.mark.parametrize(
    ("broken", "code", "words"),
    [
        ("data:image/png;base64,", "invalid_image", "holds no image"),
        ("data:image/png;base64,aGVsbG8gd29ybGQ=", "invalid_image", "holds no image"),
        ("data:text/html,<svg/>", "invalid_image", "holds no image"),
        (url(Image.effect_noise((64, 64), 90))[:2022], "invalid_image", "damaged"),
        ("http://127.0.0.1/x.png", "unsupported_value", "data: URL"),
        ("https://example.com/x.png", "unsupported_value", "data: URL"),
        ("file:///etc/passwd", "unsupported_value", "data: URL"),
    ],
)
def test_what_is_no_picture_is_refused(broken: str, code: str, words: str, vision: Service) -> None:
    """By name, without a library's words; nothing is fetched or opened; the engine serves on."""
    shown = [{"type": "image_url", "image_url": {"url": broken}}, {"type": "text", "text": TASK}]
    reply = vision.http.post(
        "/v1/chat/completions", json={"model": "ocr-tiny", "messages": [{"role": "user", "content": shown}]}
    )
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], words in error["message"]) == (400, code, True), error
    assert ask(vision, drawn(7, 1)[0][1]).choices[0].message.content


def test_bounds(start_service: StartService) -> None:
    service = start_service(inference_engine="mlx", default_model="ocr-tiny", max_images=2, image_max_megapixels=0.01)
    small, large = Image.new("RGB", (32, 32)), Image.new("RGB", (200, 200))
    for shown, words in (((small,) * 3, "MAX_IMAGES"), ((large,), "megapixels")):
        body = {"model": "ocr-tiny", "messages": [{"role": "user", "content": content(*shown)}]}
        reply = service.http.post("/v1/chat/completions", json=body)
        assert (reply.status_code, words in reply.json()["error"]["message"]) == (400, True), reply.text


@pytest.mark.parametrize("engine", ["fake", "mlx"])
def test_a_text_model_refuses_pictures(engine: str, start_service: StartService) -> None:
    service = start_service(inference_engine=engine)
    body = {"messages": [{"role": "user", "content": content(Image.new("RGB", (32, 32)))}]}
    reply = service.http.post("/v1/chat/completions", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "unsupported_value")
    assert "images" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("mode", "paper"), [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0)), ("P", 0), ("1", 1), ("CMYK", (0, 0, 0, 0))]
)
def test_any_mode_becomes_rgb_on_paper(mode: str, paper: Any) -> None:
    kind = "PNG" if mode != "CMYK" else "JPEG"
    picture = Image.new(mode, (8, 8), paper)
    decoded = pictures.decode(url(picture, kind).encode(), "p", max_megapixels=1, max_side=64)
    assert (decoded.mode, decoded.size) == ("RGB", (8, 8))
    if mode in ("RGBA", "LA"):
        assert decoded.getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    """A scanner's grey stays grey."""
    grey = Image.new("I;16", (8, 8), 0x8000)
    decoded = pictures.decode(url(grey).encode(), "p", max_megapixels=1, max_side=64)
    assert decoded.getpixel((0, 0)) in ((127, 127, 127), (128, 128, 128))


def test_a_picture_that_was_fetched_is_read_as_it_is() -> None:
    """Without base64: what IMAGE_URL_HOSTS brings is the file itself."""
    data = base64.b64decode(url(Image.new("RGB", (8, 6), "red")).partition(",")[2])
    assert pictures.decode(data, "p", max_megapixels=1, max_side=64).getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(InvalidImage, match="damaged"):
        pictures.decode(data[:40], "p", max_megapixels=1, max_side=64)


def test_a_large_picture_is_made_smaller_and_a_bomb_is_not_decoded() -> None:
    decoded = pictures.decode(url(Image.new("RGB", (900, 300))).encode(), "p", max_megapixels=1, max_side=300)
    assert decoded.size == (300, 100)
    with pytest.raises(InvalidImage, match="megapixels"):
        pictures.decode(url(Image.new("1", (4000, 4000))).encode(), "p", max_megapixels=1, max_side=300)
