"""Frames: whatever way the bytes come, the same messages come out, or a clear error."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.effective_settings import EffectiveSetting
from src.ipc.framing import MAX_FRAME_BYTES, Decoder, FramingError, encode
from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.chat import (
    Admitted,
    Alternative,
    ChatMessage,
    ChoiceEnded,
    Delta,
    Detokenized,
    DetokenizeRequest,
    Embedded,
    EmbedRequest,
    Finished,
    GenerateRequest,
    HandedOver,
    PredictionUsage,
    PromptProgress,
    RawPrompt,
    Sampling,
    Scored,
    ScoreRequest,
    Timings,
    Tokenized,
    TokenizeRequest,
    TokenLogprob,
    Usage,
)
from src.ipc.messages.control import (
    AcquireModel,
    MoveModel,
    MoveWeights,
    PauseBackground,
    Ping,
    RestartRequest,
    ServeModel,
    SetIdleTimeout,
    SettingsRequest,
    SettingsTable,
    StatusRequest,
    StopRequest,
    TrimRequest,
)
from src.ipc.messages.ocr import (
    OcrContents,
    OcrDocument,
    OcrFinished,
    OcrGivenUp,
    OcrInspect,
    OcrJob,
    OcrJobRequest,
    OcrLine,
    OcrPage,
    OcrPageCounts,
    OcrPageCountsRequest,
    OcrRequest,
    OcrResult,
    OcrTaken,
    OcrTimings,
)
from src.ipc.messages.ranks import (
    JoinRanks,
    PrepareRank,
    RankAlive,
    RankInsert,
    RankMove,
    RankPrepared,
    RankRemove,
    RankStep,
    RankTidy,
)
from src.ipc.messages.status import (
    ChildStatus,
    DeviceReading,
    EngineLoad,
    Health,
    LoadProgress,
    MemoryReading,
    ModelInfo,
    ModelStatus,
    OcrLoad,
    SystemStatus,
)
from src.ipc.messages.wire import AnyMessage

HEALTH = Health(
    "ready",
    42,
    MemoryReading(1, 2, 3, 4, 5),
    engine="mlx",
    model=ModelInfo("demo", 2048),
    device=DeviceReading("cpu", blas="OpenBLAS"),
    load=EngineLoad(1, 2, 0.5, 3, 4),
    ocr=OcrLoad(2, 1, 0, 2, 10, 0, 0),
)
MODEL = ModelStatus("demo", "loading", "engine:demo", progress=LoadProgress(1, 4, 0.5))
MESSAGES: list[AnyMessage] = [
    GenerateRequest(
        "id", "demo", (ChatMessage("user", "héllo 你好 🎉"),), Sampling(0.5), 10, ("a", "b"), prefix=(1, 2)
    ),
    GenerateRequest("id", "demo", ()),
    GenerateRequest("id", "demo", (), prediction="likely text"),
    TokenizeRequest(GenerateRequest("id", "demo", ())),
    DetokenizeRequest("demo", (1, 2)),
    Tokenized((1, 2), 2048),
    Detokenized("hi"),
    OcrRequest("id", b"\x00\xff" * 100, base64=True),
    Ping(),
    StatusRequest(),
    SettingsRequest(),
    SettingsTable((EffectiveSetting("PORT", "default", "8000", "Port."),)),
    ServeModel(("--model", "demo")),
    RestartRequest("engine"),
    OcrInspect("id", "/nowhere/x"),
    OcrDocument("id", b"%PDF", pages=((0, 2), (4, 4)), as_job="always"),
    OcrJobRequest("id", "job", "watch", 3),
    OcrContents("pdf", 7),
    OcrGivenUp(Failed("invalid_document", "The page is too complex.")),
    OcrTaken("pdf", (0, 2)),
    OcrPage(3, Failed("ocr_crashed", "twice"), 1),
    OcrFinished(),
    OcrJob("job", "running", "json", 1.0, 2.0, 100),
    TrimRequest(),
    AcquireModel("demo", background=True),
    MoveModel("cpu", "demo"),
    SetIdleTimeout(300),
    PauseBackground(True),
    MoveWeights("gpu"),
    StopRequest(),
    Accepted(),
    Admitted(3, 100),
    Delta((1, 2, 300_000), "text"),
    ChoiceEnded(2, "length"),
    HandedOver(),
    PromptProgress(1000, 512, 256, 0.5),
    EmbedRequest("id", "demo", (RawPrompt("text"),), dimensions=8),
    Embedded(0, b"\0\0\0\0"),
    ScoreRequest("id", "demo", (RawPrompt("text"),), top=2),
    Scored(0, (TokenLogprob(Alternative(1, b"a", 0.0)),), ends=True),
    Finished("stop", Usage(1, 2), Timings(0.1, 0.2, 0.3)),
    Finished("stop", Usage(1, 2, 0, PredictionUsage(3, 4)), Timings(0.1, 0.2, 0.3)),
    Failed("overloaded", "too many", "messages", 1.5),
    OcrResult(
        "rapidocr", "a", (OcrLine("a", 0.5, ((0, 0), (1, 0), (1, 1), (0, 1))),), 9, 9, 90, 0.1, OcrTimings(1, 2, 3)
    ),
    OcrInspect("id", "/run/x/ocr-documents/1"),
    OcrDocument("id", b"%PDF-", pages=((0, 2), (4, 4)), as_job="beyond_limit", max_pages=20),
    OcrJobRequest("id", "ocr-1", "watch", after=3),
    OcrPageCountsRequest("2027-01-31"),
    OcrPageCounts((("2027-01-31", "app", 7),), 1),
    OcrContents("pdf", 3),
    OcrTaken("pdf", (0, 1, 2)),
    OcrPage(1, Failed("invalid_document", "The page is damaged.", "file"), 2),
    OcrFinished(),
    OcrJob("ocr-1", "running", "json", 1.0, 2.0, 99, total=3, done=1, eta_s=0.5),
    PrepareRank(1, 2, "127.0.0.1", "demo", {"MODELS_DIR": "models"}),
    RankPrepared("0.32.2", "ab12", 18470, None),
    JoinRanks({"MLX_RANK": "1"}, {"MLX_HOSTFILE": "[]"}, 2),
    RankAlive(MemoryReading(1, 2, 3, 4, 5)),
    RankInsert(7, [1, 2, 3], 16, "app"),
    RankStep(512, 99),
    RankRemove([7]),
    RankTidy(evict=True),
    RankMove("cpu"),
    HEALTH,
    SystemStatus(
        "0.1.0", 1, 2.0, (ChildStatus("engine", "ready", 42, 1.0, {"exit": 1}, None, HEALTH),), models=(MODEL,)
    ),
]
WIRE = b"".join(map(encode, MESSAGES))
TWO: list[AnyMessage] = [Delta((1,), "né"), Finished("stop", Usage(1, 2), Timings(0.1, 0.2, 0.3))]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_out_as_it_went_in(message: AnyMessage) -> None:
    """Every type survives the wire, its type and all its fields included."""
    (received,) = Decoder().feed(encode(message))
    assert type(received) is type(message)
    assert received == message


def test_every_message_is_tried_here() -> None:
    """A new message type is added to the list above."""
    assert {type(message) for message in MESSAGES} == set(AnyMessage.__args__)


@pytest.mark.parametrize("size", [*range(1, 9), 64, 1000, len(WIRE)])
def test_short_reads(size: int) -> None:
    """Messages come out whole and in order, however few bytes each read gives."""
    decoder = Decoder()
    received = [m for at in range(0, len(WIRE), size) for m in decoder.feed(WIRE[at : at + size])]
    assert received == MESSAGES
    decoder.eof()


@given(st.lists(st.integers(0, len(WIRE)), max_size=40))
def test_any_cut(cuts: list[int]) -> None:
    """Messages come out whole and in order, wherever the stream is cut, empty reads included."""
    decoder = Decoder()
    edges = [0, *sorted(cuts), len(WIRE)]
    assert [m for a, b in pairwise(edges) for m in decoder.feed(WIRE[a:b])] == MESSAGES


def test_every_end_of_file() -> None:
    """The end of the stream is fine between frames and an error at every other byte."""
    wire = b"".join(map(encode, TWO))
    between = {0, len(encode(TWO[0])), len(wire)}
    for end in range(len(wire) + 1):
        decoder = Decoder()
        decoder.feed(wire[:end])
        if end in between:
            decoder.eof()
        else:
            with pytest.raises(FramingError, match="inside a frame"):
                decoder.eof()


def test_a_frame_over_the_limit_is_refused_at_its_header() -> None:
    """Nobody can make us collect a huge frame: four bytes are enough to refuse it."""
    with pytest.raises(FramingError, match="exceeds the limit"):
        Decoder().feed(struct.pack(">I", MAX_FRAME_BYTES + 1))
    frame = encode(OcrRequest("id", b"x" * 100))
    assert len(Decoder(len(frame) - 4).feed(frame)) == 1
    with pytest.raises(FramingError):
        Decoder(len(frame) - 5).feed(frame)


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x80", b"\xa5hello", b"\x81\xa4type\xa3xyz", b"\x81\xa4type\xa5Delta", encode(Ping())[4:] + b"x"],
    ids=["empty", "never used byte", "no type", "a string", "unknown type", "missing fields", "trailing byte"],
)
def test_a_body_that_is_no_message(body: bytes) -> None:
    """A peer that speaks something else gets an error, not a crash."""
    with pytest.raises(FramingError, match="not a message"):
        Decoder().feed(struct.pack(">I", len(body)) + body)


@given(st.binary(max_size=200))
def test_junk_never_surprises(junk: bytes) -> None:
    """Whatever bytes come, the decoder waits for more, gives messages, or raises FramingError."""
    try:
        received = Decoder(max_bytes=1000).feed(junk)
    except FramingError:
        return
    assert all(isinstance(message, AnyMessage) for message in received)
