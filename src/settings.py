"""Every setting, typed and bounded; the only reader of the environment.

Order: environment > `.env` > default. A function takes the group it needs, `EngineSettings` for example. `load()` lists
all problems at once; `.env.example` and docs/settings.md are generated from this file.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from src import installation

# onnxruntime (from 1.29) tells Microsoft of processes, sessions and models, and keeps an id of the machine in ~/.cache.
# It reads this when it is imported, in whichever process that is; an operator's own value stays.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

VERSION = "0.1.0"
SUPERVISED = "STOKER_SUPERVISED"
PROCESS = "STOKER_PROCESS"  # the kind of process the supervisor started: `load` gives it its groups alone
WEB_FD = "STOKER_WEB_FD"
_FIRST_FD = 3  # where systemd puts the sockets it hands over
SHIPPED_MODELS = installation.ROOT / "models"  # found by name wherever MODELS_DIR is
ROOT = installation.ROOT  # of the code; what is written belongs below `home()`
# two labels at least, the last of which no address ends with
_HOST_ENTRY = re.compile(r"(http://)?\.?([a-z0-9-]+\.)+[a-z][a-z0-9-]+")

# the formats of src/engine/families, by name; a test keeps them in step
ToolFormat = Literal[
    "auto",
    "none",
    "apertus",
    "command",
    "deepseek_v3",
    "deepseek_v31",
    "deepseek_v32",
    "deepseek_v4",
    "function_gemma",
    "functionary",
    "gemma4",
    "glm4",
    "glm4_moe",
    "granite",
    "harmony",
    "hermes",
    "hunyuan",
    "hunyuan_v3",
    "internlm",
    "kimi_k2",
    "kimi_k3",
    "lfm2",
    "llama3_json",
    "llama4_pythonic",
    "llama_function",
    "longcat",
    "minicpm5",
    "minimax_m2",
    "minimax_m3",
    "mistral",
    "mistral_v3",
    "muse_spark",
    "nemotron_json",
    "olmo3",
    "phi4_mini",
    "qwen3_coder",
    "seed_oss",
    "step3",
    "xlam",
]
ReasoningFormat = Literal[
    "auto",
    "none",
    "apertus",
    "apriel",
    "channels",
    "command",
    "gemma4",
    "granite",
    "kimi-k3",
    "kimi-vl",
    "longcat",
    "minimax-m3",
    "mistral",
    "seed",
    "think",
    "think-colon",
]


class SettingsError(Exception):
    """All problems of a configuration, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class WebSettings(BaseModel):
    """Web: HTTP only."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    debug: bool = Field(False, description="Log at DEBUG, whatever LOG_LEVEL says.")
    workers: int = Field(1, ge=1, le=1, description="Web processes. One gevent worker serves all connections.")
    worker_class: Literal["gevent"] = Field("gevent", description="Gunicorn worker class.")
    worker_connections: int = Field(
        1024, ge=16, le=16384, description="Open connections at most; beyond it the longest idle one is closed."
    )
    max_connections_per_address: int = Field(
        512,
        ge=0,
        le=16384,
        description="Open connections per address at most, TRUSTED_PROXIES exempt; 0 is no limit.",
    )
    max_concurrent_requests: int = Field(256, ge=1, le=8192, description="Chat and OCR requests in flight at most.")
    drain_notice: float = Field(
        5.0,
        ge=0,
        le=600,
        description="Seconds a service told to stop says so (/readyz 503, Connection: close) and still takes requests.",
    )
    graceful_timeout: float = Field(
        60.0, ge=1, le=3600, description="Seconds running requests get to finish at shutdown."
    )
    resume_max_wait: float = Field(
        60.0, ge=0, le=3600, description="Seconds a request waits for a crashed engine to come back."
    )
    resume_progress_tokens: int = Field(
        8, ge=1, le=4096, description="New tokens after which a request is no longer a crash suspect."
    )
    client_timeout: float = Field(60.0, gt=0, le=3600, description="Seconds a client may neither send nor read.")
    keep_alive_timeout: float = Field(75.0, ge=1, le=3600, description="Seconds an idle connection is kept.")
    max_body_mb: int = Field(32, ge=1, le=1024, description="Largest request body, MiB.")
    response_store_mb: int = Field(
        32, ge=0, le=4096, description="Memory for stored responses (previous_response_id), MiB."
    )
    strict_fields: bool = Field(
        False, description="Refuse advisory and unknown fields instead of naming them in X-Ignored-Fields."
    )
    max_bodies_mb: int = Field(
        256,
        ge=1,
        le=65536,
        description="Memory the bodies of all requests may hold, MiB, or MAX_BODY_MB where that is more; beyond it 429."
        " A body's first 256 KiB are free.",
    )
    body_timeout: float = Field(60.0, gt=0, le=3600, description="Seconds a client may take to send its body.")
    sse_ping_seconds: float = Field(
        15.0, gt=0, le=600, description="Seconds of silence after which a stream sends a keep-alive."
    )
    otel_exporter_otlp_endpoint: str = Field(
        "",
        max_length=2048,
        description="OpenTelemetry collector that traces go to, by OTLP over HTTP (http://127.0.0.1:4318); empty: off.",
    )

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _collector(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("a collector's URL begins with http:// or https://")
        return value


class EngineSettings(BaseModel):
    """Engine: one process per model."""

    inference_engine: Literal["auto", "mlx", "vllm", "llama.cpp", "fake"] = Field(
        "auto", description="Chat engine; auto picks by the model's format and the machine."
    )
    upstream_url: str = Field(
        "", description="OpenAI-compatible server to use instead of starting one (engines vllm, llama.cpp)."
    )
    upstream_model: str = Field(
        "", max_length=512, description="The model's name there; empty is its only model, or DEFAULT_MODEL."
    )
    upstream_api_key: str = Field("", description="Key for UPSTREAM_URL.")
    upstream_vision: Literal["auto", "true", "false"] = Field(
        "auto",
        description="Whether models of the engines vllm and llama.cpp read images; auto is what their server says.",
    )
    vllm_command: str = Field(
        "vllm serve {model} --host {host} --port {port} --served-model-name {name} --max-model-len {context} "
        "--max-num-seqs {parallel} --disable-uvicorn-access-log",
        min_length=1,
        description="Command that starts vLLM; an option with an empty value is left out.",
    )
    llama_cpp_command: str = Field(
        "", description="Command that starts a GGUF server; empty is llama-server, else python -m llama_cpp.server."
    )
    engine_hosts: str = Field(
        "",
        max_length=4096,
        description="Ranks a text model is divided over, engine mlx: host names, comma-separated, this machine first;"
        " or an mlx.launch hostfile (.json); empty is one process.",
    )
    engine_parallel: Literal["tensor", "pipeline"] = Field(
        "tensor", description="How ENGINE_HOSTS divide a model: every layer's matrices, or the layers."
    )
    engine_transport: Literal["ring", "jaccl"] = Field(
        "ring", description="How ranks exchange data: TCP, or RDMA over Thunderbolt 5 (needs a hostfile)."
    )
    engine_launcher: str = Field(
        "ssh -T -o BatchMode=yes -o ConnectTimeout=10 {host}",
        min_length=1,
        max_length=4096,
        description="Program that runs a shell command on another host of ENGINE_HOSTS, and passes its input on.",
    )
    engine_ports: str = Field(
        "",
        pattern=r"^(\d{1,5}-\d{1,5})?$",
        description="Ports that ranks may listen on, such as 18470-18489; empty is any that is free.",
    )
    device_type: Literal["auto", "gpu", "cpu"] = Field("auto", description="Device MLX computes on.")
    device_turns: Literal["auto", "on", "off"] = Field(
        "auto", description="Chat and OCR_MODEL take turns on the device; auto does so where they share a GPU."
    )
    require_gpu: bool = Field(False, description="Refuse to start without a GPU.")
    cuda_device: Annotated[int, Field(ge=0, le=1023)] | Literal["auto"] = Field(
        "auto", description="NVIDIA GPU by its number in nvidia-smi; auto takes the least used one at start."
    )
    nvidia_visible_devices: str = Field(
        "",
        max_length=4096,
        description="NVIDIA GPUs that may be used, numbers or UUIDs, comma-separated; empty is all.",
    )
    default_model: str = Field(
        "demo", min_length=1, description="Folder under MODELS_DIR (OWNER/NAME from run.py pull), or a path."
    )
    models_dir: Path = Field(Path("models"), description="Folder of the local models.")
    modelscope_endpoint: str = Field("https://modelscope.cn", description="ModelScope's address, for run.py pull.")
    chat_template: Path | None = Field(
        None, description="Jinja file used instead of the models' own chat template; empty is the models' own."
    )
    tool_format: ToolFormat = Field(
        "auto", description="How the models write tool calls (docs/families.md); auto asks template and vocabulary."
    )
    reasoning_format: ReasoningFormat = Field(
        "auto", description="Marks around the models' thinking (docs/families.md); auto asks template and vocabulary."
    )
    max_num_seqs: int = Field(32, ge=1, le=1024, description="Sequences in a batch at most.")
    max_queue_size: int = Field(256, ge=1, le=65536, description="Chat requests waiting at most; beyond it 429.")
    prefill_step_size: int = Field(
        512, ge=16, le=16384, description="Prompt tokens per prefill chunk, between two decode steps."
    )
    prefill_pause: float = Field(
        0.5,
        ge=0,
        le=60,
        description="Seconds one prefill chunk may delay running streams, or a live request beside a background one;"
        " 0 leaves it to PREFILL_STEP_SIZE.",
    )
    prefix_cache_mb: int = Field(
        2048, ge=0, le=1 << 24, description="Memory for the prefix cache, MiB; 0 turns it off."
    )
    prefix_cache_dir: Path | None = Field(
        None,
        description="Folder for a prefix cache that survives restarts; prompts can be read from it; empty is none.",
    )
    prefix_cache_disk_mb: int = Field(
        8192, ge=64, le=1 << 24, description="Size of PREFIX_CACHE_DIR at most, all models together, MiB."
    )
    kv_bits: Literal["off", "8", "4"] = Field(
        "off", description="KV-cache quantization in bits, engine mlx: more and longer chats in the same memory."
    )
    kv_group_size: Literal["32", "64", "128"] = Field(
        "64", description="Values that share a scale with KV_BITS; must divide the model's head size."
    )
    speculative_method: Literal["off", "ngram", "draft_model"] = Field(
        "off", description="Speculative decoding, engine mlx: drafts come from the text so far, or from DRAFT_MODEL."
    )
    num_speculative_tokens: int = Field(4, ge=1, le=16, description="Draft tokens per step and sequence at most.")
    draft_model: str = Field(
        "", max_length=512, description="Small model with the same vocabulary that drafts for DEFAULT_MODEL."
    )
    max_model_len: int = Field(0, ge=0, le=10_000_000, description="Context limit in tokens; 0 is the model's own.")
    default_max_tokens: int = Field(
        0, ge=0, le=1_000_000, description="max_tokens of a request that names none; 0 is what the context has left."
    )
    mlx_memory_fraction: float = Field(0.75, gt=0, le=1, description="Share of device memory MLX may take.")
    memory_budget_mb: int = Field(
        0, ge=0, le=1 << 24, description="Memory an engine may take, MiB; 0 is MLX_MEMORY_FRACTION."
    )
    wired_limit: int = Field(
        0,
        ge=0,
        le=1 << 24,
        description="Memory an engine may keep wired on a Mac, MiB; 0 is its share of what all engines may take.",
    )
    memory_low_watermark: float = Field(
        0.5,
        gt=0,
        le=1,
        validation_alias=AliasChoices("memory_low_watermark", "pytorch_mps_low_watermark_ratio"),
        description="Share of the memory beside the model above which caches are cleared.",
    )
    memory_high_watermark: float = Field(
        0.7,
        gt=0,
        le=1,
        validation_alias=AliasChoices("memory_high_watermark", "pytorch_mps_high_watermark_ratio"),
        description="Share of the memory beside the model above which nothing is admitted.",
    )
    memory_tidy_interval: float = Field(
        300.0, ge=0, le=86400, description="Seconds between two releases of unused memory; 0 is never."
    )
    cpu_dequantize: Literal["auto", "always", "never"] = Field(
        "auto", description="Convert weights to fp32 on a Linux CPU; auto does so when memory allows."
    )
    cpu_kernels: Literal["auto", "fp32", "int8", "mlx"] = Field(
        "auto",
        description="Kernels for quantised weights on a Linux CPU: BLAS after conversion to fp32, onnxruntime's int8, "
        "or MLX's own; auto is int8 where that is faster or fp32 has no room, else fp32.",
    )
    blas_library: Path | None = Field(None, description="BLAS to load before MLX on a Linux CPU; empty finds one.")
    request_timeout: float = Field(300.0, gt=0, le=86400, description="Seconds any response may take at most.")
    answer_timeout: float = Field(
        30.0, gt=0, le=86400, description="Response without streaming: base of its time budget, seconds."
    )
    answer_token_timeout: float = Field(
        0.2, ge=0, le=600, description="Response without streaming: seconds added per token of max_tokens."
    )
    answer_timeout_max: float = Field(
        180.0, gt=0, le=86400, description="Response without streaming: largest time budget, seconds."
    )
    stream_timeout: float = Field(60.0, gt=0, le=86400, description="Stream: base of its time budget, seconds.")
    stream_token_timeout: float = Field(0.3, ge=0, le=600, description="Stream: seconds added per token of max_tokens.")
    stream_timeout_max: float = Field(300.0, gt=0, le=86400, description="Stream: largest time budget, seconds.")
    stream_gap_timeout: float = Field(30.0, gt=0, le=3600, description="Stream: seconds between two tokens at most.")
    image_timeout: float = Field(
        30.0, ge=0, le=3600, description="Seconds added to the time budget of a request with images."
    )
    queue_timeout: float = Field(120.0, gt=0, le=86400, description="Seconds a chat request may wait in the queue.")
    priority_ageing: float = Field(
        30.0, gt=0, le=3600, description="Seconds in the queue that make up for one priority class."
    )
    grammar_timeout: float = Field(5.0, gt=0, le=600, description="Seconds a schema may take to compile.")
    grammar_max_kb: int = Field(
        256, ge=1, le=16384, description="Largest schema or grammar of a structured output, KiB."
    )
    image_max_megapixels: float = Field(40.0, gt=0, le=400, description="Largest image of a chat, megapixels.")
    image_max_side: int = Field(
        2048, ge=64, le=16384, description="Longer side to which images of a chat are scaled down, pixels."
    )
    client_buffer_kb: int = Field(
        1024, ge=16, le=1 << 20, description="Output buffered for a slow client, KiB; beyond it the client is dropped."
    )


class ModelSettings(BaseModel):
    """Models: which can be requested, and when they are loaded, offloaded and unloaded."""

    lazy_load: bool = Field(True, description="Load a model at its first request; false loads DEFAULT_MODEL at start.")
    pinned_models: str = Field("", description="Models loaded at start and never evicted, comma-separated.")
    allowed_models: str = Field(
        "", description="Hugging Face ids that requests may name besides local models, comma-separated."
    )
    model_aliases: str = Field(
        "",
        max_length=8192,
        description="Other names for models, as `claude-*=MODEL,gpt-*=MODEL`; `*` is any text; empty is none.",
    )
    max_concurrent_models: int = Field(2, ge=1, le=64, description="Models on the device at once.")
    max_warm_models: int = Field(
        2,
        ge=0,
        le=64,
        description="Offloaded models that stay warm in host memory; beyond it the longest idle is unloaded.",
    )
    models_memory_mb: int = Field(
        0, ge=0, le=1 << 24, description="Weights on the device together, MiB; 0 is MLX_MEMORY_FRACTION of the memory."
    )
    model_turn: float = Field(
        5.0, ge=0, le=3600, description="Seconds a busy model keeps the device while requests wait for another."
    )
    gpu_idle_timeout: float = Field(
        600.0,
        ge=0,
        le=31_536_000,
        description="Seconds without requests until a model is offloaded from the device; 0 is never.",
    )
    model_unload_timeout: float = Field(
        3600.0,
        ge=0,
        le=31_536_000,
        description="Seconds without requests until a model is unloaded and its process ends; 0 is never.",
    )
    offload_after_request: bool = Field(False, description="Offload the model after each request, for a shared device.")
    background_idle_seconds: float = Field(
        300.0, ge=0, le=86400, description="Seconds without other requests until background requests run."
    )
    background_max_seqs: int = Field(16, ge=1, le=1024, description="Background requests that run at once at most.")
    background_pause_seconds: float = Field(
        0.0, ge=0, le=86400, description="Seconds after a background request until the next one begins."
    )
    background_hours: str = Field(
        "",
        pattern=r"^((([01]\d|2[0-3]):[0-5]\d)-(([01]\d|2[0-3]):[0-5]\d))?$",
        description="Local time in which background requests begin, such as 22:00-07:00; empty is all day.",
    )
    background_on_battery: bool = Field(False, description="Begin background requests on a Mac's battery, too.")
    background_gpu_watermark: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Utilisation of the GPU by others from which no background request begins; 0 is any.",
    )
    background_timeout: float = Field(
        3600.0, gt=0, le=31_536_000, description="Seconds a background request may wait in the queue."
    )


class OcrSettings(BaseModel):
    """OCR: a broker and its pool."""

    ocr_engine: Literal["auto", "rapidocr", "mlx_vlm", "tesseract", "vision", "fake"] = Field(
        "auto", description="Recognizer; auto is mlx_vlm on a GPU with OCR_MODEL set, else rapidocr."
    )
    ocr_model: str = Field(
        "", max_length=512, description="OCR model for mlx_vlm: a folder, or its name in MODELS_DIR."
    )
    ocr_language: str = Field(
        "en",
        pattern=r"^[a-z]{2}(-[A-Za-z]{2,8})?$",
        description="Language tesseract reads when a request names none.",
    )
    ocr_other_scripts: bool = Field(
        True, description="Read pages in scripts that rapidocr lacks by Tesseract, where it is installed."
    )
    ocr_fallback: bool = Field(True, description="Read pages on which a model loops or crashes with rapidocr.")
    ocr_max_tokens: int = Field(4096, ge=16, le=65536, description="Tokens a model may generate for one page.")
    ocr_layout_model: bool = Field(
        True, description="Find tables, titles and figures with a model, too, where a page's structure is requested."
    )
    ocr_batch: int = Field(
        4,
        ge=1,
        le=32,
        description="Pages of a document a vision model reads in one batch, if its batches give the right text.",
    )
    ocr_workers: Annotated[int, Field(ge=0, le=64)] | Literal["auto"] = Field(
        "auto", description="Worker processes, one loaded model each; 0 turns OCR off; auto follows load and memory."
    )
    ocr_nice: int = Field(10, ge=0, le=19, description="Niceness of OCR workers: higher values leave the CPU to chat.")
    ocr_max_concurrent: int = Field(8, ge=1, le=256, description="Pages in the workers at once.")
    ocr_queue_size: int = Field(128, ge=1, le=4096, description="Pages waiting at most; beyond it 429.")
    ocr_queue_timeout: float = Field(30.0, gt=0, le=3600, description="Seconds a page may wait before it gets 429.")
    ocr_page_timeout: float = Field(160.0, gt=0, le=3600, description="Seconds a worker may spend on one page.")
    ocr_draw_timeout: float = Field(
        20.0, gt=0, le=3600, description="CPU seconds a PDF page may take to be opened or drawn; beyond it 400."
    )
    ocr_max_megapixels: float = Field(
        40.0, gt=0, le=400, description="Largest page that is read, megapixels; larger images are reduced to it."
    )
    ocr_max_image_mb: int = Field(256, ge=1, le=65536, description="Memory that decoding one image may take, MiB.")
    ocr_dpi: int = Field(150, ge=36, le=600, description="Resolution at which PDF pages are rendered, dots per inch.")
    ocr_max_pages: int = Field(1000, ge=1, le=100_000, description="Pages of one document at most.")
    ocr_sync_pages: int = Field(
        20, ge=1, le=1000, description="Pages of one synchronous request at most; beyond it, a job."
    )
    ocr_max_jobs: int = Field(100, ge=1, le=10_000, description="Unfinished OCR jobs at most; beyond it 429.")
    ocr_job_ttl: float = Field(86400.0, ge=1, le=31_536_000, description="Seconds a finished job is kept.")
    ocr_job_store_mb: int = Field(
        1024,
        ge=1,
        le=1 << 20,
        description="Results of all finished jobs, MiB; beyond it the key that stores the most loses its oldest jobs.",
    )
    ocr_recycle_pages: int = Field(500, ge=1, le=1_000_000, description="Pages after which a worker is replaced.")
    ocr_worker_memory_mb: int = Field(
        2048, ge=256, le=1 << 20, description="Memory a worker may take besides its model, MiB."
    )


class FileSettings(BaseModel):
    """Files and batches: what clients leave under /v1/files and /v1/batches, kept in STATE_DIR."""

    file_max_mb: int = Field(512, ge=1, le=1 << 20, description="Largest file, MiB.")
    files_per_key_mb: int = Field(8192, ge=1, le=1 << 30, description="Files of one key together, MiB.")
    files_mb: int = Field(32768, ge=1, le=1 << 30, description="All files together, MiB.")
    files_per_key: int = Field(10_000, ge=1, le=10_000_000, description="Files of one key at most.")
    file_ttl: float = Field(
        2_592_000.0, ge=0, le=3_153_600_000, description="Seconds a file is kept without expires_after; 0 is for ever."
    )
    usage_days: int = Field(400, ge=1, le=36_500, description="Days usage is kept, by day, key and model.")
    batch_max_lines: int = Field(100_000, ge=1, le=10_000_000, description="Requests of one batch at most.")
    batch_line_kb: int = Field(4096, ge=1, le=1 << 20, description="Largest request of a batch, KiB.")
    batches_per_key: int = Field(100, ge=1, le=100_000, description="Unfinished batches of one key at most.")
    background_responses_per_key: int = Field(
        1000, ge=1, le=1_000_000, description="Unfinished background responses of one key at most."
    )
    response_ttl: float = Field(
        2_592_000.0, ge=0, le=3_153_600_000, description="Seconds a background response is kept; 0 is for ever."
    )
    conversations_per_key: int = Field(10_000, ge=1, le=10_000_000, description="Conversations of one key at most.")
    conversation_items: int = Field(10_000, ge=1, le=1_000_000, description="Items of one conversation at most.")
    conversation_ttl: float = Field(
        31_536_000.0, ge=0, le=3_153_600_000, description="Seconds an unused conversation is kept; 0 is for ever."
    )
    file_upload_timeout: float = Field(
        600.0, ge=0, le=86400, description="Seconds that sending a file may take beyond BODY_TIMEOUT."
    )


class LogSettings(BaseModel):
    """Logs: one JSON line per record."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level that is logged.")
    console_log_level: Literal["AUTO", "DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "AUTO",
        description="Lowest level on the console; AUTO is LOG_LEVEL, and WARNING where files are written and no"
        " terminal reads along (a journal would hold every line twice).",
    )
    enable_log_file: bool = Field(True, description="Write files under LOG_DIR, not only the console.")
    log_dir: Path = Field(Path("logs"), description="Folder of the log files.")
    log_retention_days: int = Field(30, ge=1, le=3650, description="Days after which rotated logs are deleted.")
    log_max_mb: int = Field(200, ge=1, le=10240, description="Size at which a log file is rotated, MiB.")
    log_total_mb: int = Field(
        4096, ge=1, le=1 << 24, description="All rotated logs together, MiB; beyond it the oldest are deleted."
    )

    @field_validator("log_level", "console_log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


class SupervisorSettings(BaseModel):
    """Supervisor: keeps the others alive."""

    runtime_dir: Path | None = Field(None, description="Private folder for sockets; empty is one under /tmp.")
    state_dir: Path | None = Field(
        None,
        description="Private folder for OCR jobs and files; on a disk. Empty: state/, or RUNTIME_DIR if that is set.",
    )
    start_timeout: float = Field(600.0, gt=0, le=86400, description="Seconds a process may take until it is ready.")
    start_stall_timeout: float = Field(
        180.0, ge=0, le=86400, description="Seconds a start may make no progress, such as bytes read; 0: START_TIMEOUT."
    )
    prevent_sleep: Literal["off", "ac", "always"] = Field(
        "ac", description="Keep a Mac awake while the service runs: on mains, on a battery too, or not."
    )
    heartbeat_interval: float = Field(1.0, ge=0.05, le=60, description="Seconds between two heartbeats.")
    heartbeat_timeout: float = Field(
        10.0, ge=0.1, le=600, description="Seconds without a heartbeat after which a process counts as hung."
    )
    engine_stall_timeout: float = Field(
        60.0,
        ge=0.1,
        le=3600,
        description="Seconds one engine step may take at most, and while nothing is known of what it should take.",
    )
    engine_stall_min: float = Field(
        3.0,
        ge=0.1,
        le=3600,
        description="Seconds an engine step gets at least; beyond it and 20 times what it should take, it is a hang.",
    )
    health_probe_interval: float = Field(
        60.0,
        ge=0,
        le=86400,
        description="Seconds between health probes (test generations) of an idle engine; 0 turns them off.",
    )
    health_probe_timeout: float = Field(30.0, gt=0, le=3600, description="Seconds a health probe may take.")
    memory_recycle_after: float = Field(
        30.0, gt=0, le=86400, description="Seconds above MEMORY_HIGH_WATERMARK until an engine is replaced."
    )
    gpu_fallback: Literal["off", "cpu"] = Field(
        "off", description="Where an engine runs after repeated GPU errors; off waits for the GPU."
    )
    engine_max_tokens: int = Field(
        0, ge=0, le=1 << 50, description="Tokens after which an engine is recycled; 0 is never."
    )
    engine_max_requests: int = Field(
        0, ge=0, le=1 << 50, description="Requests after which an engine is recycled; 0 is never."
    )
    engine_max_growth_mb: int = Field(
        0, ge=0, le=1 << 24, description="Lasting memory growth after which an engine is recycled, MiB; 0 is never."
    )
    engine_drain_timeout: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="Seconds the requests of a recycled engine get before they move to the new one.",
    )
    engine_standby: Literal["auto", "true", "false"] = Field(
        "auto",
        description="Keep a process that has imported the engine's libraries for the next start; auto does so for the"
        " engine mlx while memory allows.",
    )
    restart_backoff_max: float = Field(60.0, gt=0, le=3600, description="Longest back-off before a restart, seconds.")
    restart_free: int = Field(3, ge=0, le=100, description="Restarts per minute without back-off.")
    crash_limit: int = Field(8, ge=1, le=1000, description="Crashes within CRASH_WINDOW that open the circuit breaker.")
    crash_window: float = Field(300.0, gt=0, le=86400, description="Seconds over which crashes are counted.")
    breaker_retry: float = Field(
        300.0, gt=0, le=86400, description="Seconds until an open circuit breaker allows another start."
    )
    stop_timeout: float = Field(10.0, gt=0, le=3600, description="Seconds a back end gets to stop before it is killed.")


def _networks(text: str) -> tuple[Network, ...]:
    """A list of addresses and networks; raises ValueError for an entry that is neither."""
    return tuple(ipaddress.ip_network(entry) for entry in map(str.strip, text.split(",")) if entry)


class SecuritySettings(BaseModel):
    """Security: authentication, limits and the response cache."""

    api_keys: str = Field(
        "",
        description="API keys, comma-separated, each `name:role:key` (docs/security.md); once set, requests need one.",
    )
    api_keys_file: Path | None = Field(
        None, description="File of `name digest role` lines, each with its key's expiry and budgets; `run.py key new`."
    )
    stoker_api_key: str = Field(
        "", description="Key that run.py mcp sends to the service over stdio, once keys are set."
    )
    bench_api_keys: str = Field(
        "",
        description="Keys that run.py bench sends to the servers it measures, in the order of --url, comma-separated.",
    )
    allow_unauthenticated: bool = Field(False, description="Listen beyond this machine although no key is set.")
    console: bool = Field(
        True, description="Serve the page at / to browsers: on this machine, or beyond it where keys are set."
    )
    trusted_proxies: str = Field(
        "",
        max_length=4096,
        description="Addresses and networks (10.0.0.0/8) whose X-Forwarded-For is trusted, comma-separated.",
    )
    cors_origins: str = Field(
        "", description="Origins of web pages allowed to call the API (CORS), comma-separated; empty is none."
    )
    rate_limit_requests: int = Field(
        0, ge=0, le=1_000_000, description="Requests per minute and key (or address); 0 is no limit."
    )
    rate_limit_tokens: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="Tokens, prompt and answer, per minute and key (or address); 0: no limit.",
    )
    rate_limit_concurrent: int = Field(
        0, ge=0, le=8192, description="Requests to engines and OCR in flight per key (or address); 0 is no limit."
    )
    key_tokens_per_day: int = Field(
        0,
        ge=0,
        le=1_000_000_000_000,
        description="Tokens, prompt and answer, of one user's key in a UTC day, unless its line in API_KEYS_FILE has"
        " its own budget; 0 is no limit.",
    )
    key_pages_per_day: int = Field(
        0, ge=0, le=1_000_000_000, description="OCR pages of one user's key in a UTC day, likewise; 0 is no limit."
    )
    rate_limit_failed_logins: int = Field(
        20, ge=1, le=1_000_000, description="Wrong keys per minute and address that are answered 401; beyond it 429."
    )
    enable_caching: bool = Field(
        False, description="Response cache for repeated requests at temperature 0 or with a seed."
    )
    cache_size: int = Field(1000, ge=1, le=1_000_000, description="Cached responses at most.")
    cache_mb: int = Field(64, ge=1, le=65536, description="Memory for cached responses, MiB.")
    cache_ttl: float = Field(3600.0, gt=0, le=31_536_000, description="Seconds a response is cached.")
    redis_url: str = Field(
        "", description="Redis in which several instances share limits and response cache; empty keeps both in memory."
    )
    max_messages: int = Field(2048, ge=1, le=65536, description="Messages of one request at most.")
    max_content_parts: int = Field(256, ge=1, le=65536, description="Content parts of one message at most.")
    max_images: int = Field(16, ge=0, le=1024, description="Images of one chat request at most.")
    chat_pdf_pages: int = Field(
        100, ge=0, le=10_000, description="PDF pages of one chat request at most; 0 refuses PDFs in chat."
    )
    chat_pdf_pictures: int = Field(
        20,
        ge=0,
        le=1024,
        description="PDF pages of one chat request that a vision model is shown as pictures; longer PDFs are text.",
    )
    chat_pdf_structure: bool = Field(
        False,
        description="Find tables, headings and lists in PDFs of chats; pages with text are ten times slower.",
    )
    chat_pdf_cache_mb: int = Field(
        64, ge=1, le=65536, description="Memory for texts and pages of PDFs that were read for chat, MiB."
    )
    max_tools: int = Field(128, ge=1, le=4096, description="Tools of one request at most.")
    max_schema_kb: int = Field(64, ge=1, le=4096, description="Largest JSON schema or tool definition, KiB.")
    image_url_hosts: str = Field(
        "",
        max_length=4096,
        description="Hosts whose https:// images are fetched for chat, `name` or `.suffix`, comma-separated;"
        " `http://name` for plain HTTP; empty is none.",
    )
    image_url_timeout: float = Field(
        10.0, gt=0, le=600, description="Seconds fetching the images of a request may take."
    )

    @field_validator("image_url_hosts")
    @classmethod
    def _hosts(cls, value: str) -> str:
        for entry in filter(None, map(str.strip, value.split(","))):
            if not _HOST_ENTRY.fullmatch(entry.lower()):
                raise ValueError(f"{entry!r} is no host (images.example.com, .example.com, http://example.com)")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: str) -> str:
        _networks(value)
        return value

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        return _networks(self.trusted_proxies)

    @property
    def api_keys_path(self) -> Path | None:
        """The file of keys; systemd's credential `api_keys` when none is set."""
        if self.api_keys_file is not None:
            return home() / self.api_keys_file
        credential = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / "api_keys"
        return credential if credential.is_file() else None


class Settings(
    WebSettings,
    EngineSettings,
    ModelSettings,
    OcrSettings,
    FileSettings,
    LogSettings,
    SupervisorSettings,
    SecuritySettings,
    BaseSettings,
):
    """The whole configuration. Frozen: a change needs a restart of the process that reads it."""

    model_config = SettingsConfigDict(
        env_file=installation.home(os.environ, sys.platform) / ".env",
        env_file_encoding="utf-8",
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
        populate_by_name=True,
    )

    @property
    def level(self) -> str:
        return "DEBUG" if self.debug else self.log_level

    @property
    def log_path(self) -> Path:
        return home() / self.log_dir

    @property
    def models_path(self) -> Path:
        return home() / self.models_dir

    @property
    def prefix_cache_path(self) -> Path | None:
        return home() / self.prefix_cache_dir if self.prefix_cache_dir is not None else None

    @property
    def runtime_path(self) -> Path:
        """Short on purpose: macOS allows 104 bytes for a socket's path."""
        if self.runtime_dir is not None:
            return home() / self.runtime_dir
        digest = hashlib.sha256(str(home()).encode()).hexdigest()[:8]
        return Path("/tmp") / f"stoker-{os.getuid()}-{digest}"  # noqa: S108  # made 0700 and its owner checked

    @property
    def stop_seconds(self) -> float:
        """How long a stop may take: the notice, running requests, then OCR and the engines."""
        return self.drain_notice + self.graceful_timeout + 2 * self.stop_timeout

    @property
    def state_path(self) -> Path:
        """Instances with one home differ in RUNTIME_DIR, and share no jobs."""
        return home() / (self.state_dir or self.runtime_dir or "state")


def home() -> Path:
    """The folder of `.env` and of relative paths in settings: the checkout, or a user's own beside a package."""
    return installation.home(os.environ, sys.platform)


GROUPS: tuple[type[BaseModel], ...] = (
    *(WebSettings, EngineSettings, ModelSettings, OcrSettings, FileSettings),
    *(LogSettings, SupervisorSettings, SecuritySettings),
)


def load(env_file: Path | None = None) -> Settings:
    """Read environment and `.env`.

    Raises:
        SettingsError: with every problem, one line each.
    """
    process = _process()
    try:
        if process in ("engine", "ocr"):  # what they may have stands in their environment
            return Settings(_env_file=None)
        settings = Settings(_env_file=env_file) if env_file else Settings()
    except ValidationError as error:
        raise SettingsError([_problem(dict(item)) for item in error.errors()]) from None
    if process is None:
        return settings
    withheld = Settings.model_fields.keys() - _names_for(process)
    return settings.model_copy(update={name: Settings.model_fields[name].default for name in withheld})


def _problem(item: dict[str, Any]) -> str:
    name = str(item["loc"][0]).upper() if item["loc"] else "settings"
    if item["type"] == "extra_forbidden":
        return f"{name}: no such setting (in .env)"
    got = "" if is_secret(name) else f" (got {item['input']!r})"
    return f"{name}: {item['msg'][0].lower()}{item['msg'][1:]}{got}"


def is_secret(name: str) -> bool:
    """Whether a setting's value must not be shown; a URL may hold a password."""
    return name.lower() in (
        "api_keys",
        "redis_url",
        "stoker_api_key",
        "bench_api_keys",
        "upstream_url",
        "upstream_api_key",
    )


def source_of(name: str, env_file: Path | None = None) -> str:
    """Where a setting's value comes from: `environment`, `.env` or `default`."""
    from dotenv import dotenv_values  # noqa: PLC0415  # only `run.py config` asks

    if any(key.lower() == name and value for key, value in os.environ.items()):
        return "environment"
    file = dotenv_values(env_file or home() / ".env")
    return ".env" if any(key.lower() == name and value for key, value in file.items()) else "default"


def example() -> str:
    """The text of `.env.example`: every setting with its help and default."""
    lines = ["# Every setting of Stoker with its default. Copy to .env and change what you need.", ""]
    for group in GROUPS:
        lines.append(f"# ---- {group.__doc__}")
        for name, field in group.model_fields.items():
            lines += [
                f"# {field.description}{_choices(field.annotation)}",
                f"{name.upper()}={_shown(field.default)}",
                "",
            ]
    return "\n".join(lines).rstrip() + "\n"


def _shown(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choices(annotation: Any) -> str:
    values = getattr(annotation, "__args__", ()) if getattr(annotation, "__origin__", None) is Literal else ()
    return f" One of: {', '.join(map(str, values))}." if len(values) > 1 else ""


def child_environment(**changes: str) -> dict[str, str]:
    """The environment for a process we start: ours, without what belongs to this process alone (systemd's sockets).

    It starts in another folder, where a relative STOKER_HOME would be another.
    """
    hidden = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")
    kept = {key: value for key, value in os.environ.items() if key not in hidden}
    if "STOKER_HOME" in kept:
        kept["STOKER_HOME"] = str(home())
    return kept | changes


ProcessKind = Literal["web", "engine", "ocr"]
_BACK_END = (EngineSettings, ModelSettings, OcrSettings, LogSettings, SupervisorSettings)
_COMMAND_LINE_KEYS = frozenset({"stoker_api_key", "bench_api_keys"})
# not settings of ours, but keys all the same; engine and OCR fetch nothing and know no client
_FOREIGN_KEYS = frozenset({"CREDENTIALS_DIRECTORY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MODELSCOPE_API_TOKEN"}) | {
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
}


def _names_for(kind: ProcessKind) -> frozenset[str]:
    """The settings a kind of process has. Who parses hostile files holds no key and no URL of a store."""
    if kind == "web":
        return frozenset(Settings.model_fields) - {"upstream_api_key"} - _COMMAND_LINE_KEYS
    names = frozenset(name for group in _BACK_END for name in group.model_fields) | {"debug"}
    return names if kind == "engine" else names - {"upstream_url", "upstream_api_key"}


def process_environment(kind: ProcessKind, settings: Settings, **changes: str) -> dict[str, str]:
    """The environment for a process of the service: the settings of its groups alone.

    Web reads `.env` itself, again at each reload. The others never do: what is set is handed to them.
    """
    ours, allowed, inherited = _setting_names(), _names_for(kind), child_environment()
    if kind == "web":
        kept = {key: value for key, value in inherited.items() if ours.get(key.lower(), "debug") in allowed}
        return kept | {PROCESS: kind} | changes
    kept = {key: value for key, value in inherited.items() if key.lower() not in ours and key not in _FOREIGN_KEYS}
    return kept | _handed(settings, allowed) | {PROCESS: kind} | changes


def _handed(settings: Settings, names: frozenset[str]) -> dict[str, str]:
    return {name.upper(): _shown(getattr(settings, name)) for name in settings.model_fields_set & names}


def rank_environment(settings: Settings) -> dict[str, str]:
    """The settings of an engine that another rank of its model is told, which may be on another machine."""
    names = frozenset(name for name in _names_for("engine") if not is_secret(name))
    return _handed(settings, names) | {PROCESS: "engine"}


def _setting_names() -> dict[str, str]:
    """Each name that a setting may have in the environment, and the setting."""
    aliases = {
        str(alias): name
        for name, field in Settings.model_fields.items()
        if isinstance(field.validation_alias, AliasChoices)
        for alias in field.validation_alias.choices
    }
    return {name: name for name in Settings.model_fields} | aliases


def _process() -> ProcessKind | None:
    """What the supervisor started this process as."""
    kinds: tuple[ProcessKind, ...] = ("web", "engine", "ocr")
    return next((kind for kind in kinds if os.environ.get(PROCESS) == kind), None)


def foreign_environment(**changes: str) -> dict[str, str]:
    """The environment for a program that is not ours: without our settings, which it may know under the same names."""
    ours = {name.upper() for name in Settings.model_fields}
    return {key: value for key, value in child_environment().items() if key.upper() not in ours} | changes


def work_offline() -> None:
    """Keep this process's Hugging Face libraries off the network: what they need lies in a folder."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")


def supervised() -> bool:
    """Whether the supervisor started this process: it sets `SUPERVISED` for its children."""
    return SUPERVISED in os.environ


def service_directories() -> list[Path]:
    """Runtime directories that the shipped units use: the system's, instances of `stoker@`, this user's."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    return [Path("/run/stoker"), *sorted(Path("/run").glob("stoker-*")), *([Path(own) / "stoker"] if own else [])]


def adopt(values: dict[str, str]) -> None:
    """Set the environment of a service's unit, for a command that acts on it; `load` reads it."""
    os.environ.update(values)
    if "STOKER_HOME" in values:
        Settings.model_config["env_file"] = home() / ".env"


def gevent_environment(platform: str = sys.platform) -> list[str]:
    """What gevent must know before its loop starts, as `NAME=value`.

    libev takes select on macOS, which fails beyond 1,024 descriptors; web may have twice WORKER_CONNECTIONS.
    """
    return ["GEVENT_BACKEND=kqueue"] if platform == "darwin" and "GEVENT_BACKEND" not in os.environ else []


def notify_socket() -> str | None:
    """systemd's notification socket, if it started us."""
    return os.environ.get("NOTIFY_SOCKET")


def listen_fd() -> int | None:
    """The listening socket that a systemd socket unit handed to this process."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS", "0") != "0":
        return _FIRST_FD
    return None


def cuda_visible_devices() -> str | None:
    """What the operator has left of the NVIDIA GPUs for this process, if anything."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def web_fd() -> int | None:
    """The same socket, as the supervisor hands it to web."""
    value = os.environ.get(WEB_FD, "")
    return int(value) if value.isdigit() else None
