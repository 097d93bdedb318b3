"""All messages as one type, as `framing` decodes them."""

from __future__ import annotations

from src.ipc.messages.base import Accepted, Failed
from src.ipc.messages.chat import (
    Admitted,
    ChoiceEnded,
    Delta,
    Detokenized,
    DetokenizeRequest,
    Embedded,
    EmbedRequest,
    Finished,
    GenerateRequest,
    HandedOver,
    PromptProgress,
    Scored,
    ScoreRequest,
    Tokenized,
    TokenizeRequest,
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
    OcrPage,
    OcrPageCounts,
    OcrPageCountsRequest,
    OcrRequest,
    OcrResult,
    OcrTaken,
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
from src.ipc.messages.status import Health, SystemStatus

BackendRequest = GenerateRequest | EmbedRequest | ScoreRequest | OcrRequest | OcrDocument | OcrJobRequest


AnyMessage = (
    GenerateRequest
    | EmbedRequest
    | ScoreRequest
    | TokenizeRequest
    | DetokenizeRequest
    | Tokenized
    | Detokenized
    | OcrRequest
    | OcrInspect
    | OcrDocument
    | OcrJobRequest
    | OcrPageCountsRequest
    | Ping
    | StatusRequest
    | SettingsRequest
    | SettingsTable
    | RestartRequest
    | AcquireModel
    | MoveModel
    | SetIdleTimeout
    | PauseBackground
    | MoveWeights
    | ServeModel
    | TrimRequest
    | StopRequest
    | Accepted
    | Admitted
    | Delta
    | Embedded
    | Scored
    | ChoiceEnded
    | HandedOver
    | PromptProgress
    | Finished
    | Failed
    | OcrResult
    | OcrContents
    | OcrGivenUp
    | OcrTaken
    | OcrPage
    | OcrFinished
    | OcrJob
    | OcrPageCounts
    | Health
    | SystemStatus
    | PrepareRank
    | RankPrepared
    | JoinRanks
    | RankAlive
    | RankInsert
    | RankStep
    | RankRemove
    | RankTidy
    | RankMove
)
