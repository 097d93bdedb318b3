"""Settings of the engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, Field

from src.settings.formats import ReasoningFormat, ToolFormat


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
        "off",
        description="Speculative decoding, engine mlx: drafts come from the text so far and a request's "
        "prediction, or from DRAFT_MODEL.",
    )
    num_speculative_tokens: int = Field(4, ge=1, le=16, description="Draft tokens per step and sequence at most.")
    draft_model: str = Field(
        "",
        max_length=512,
        description="Small model with the same vocabulary (MLX or GGUF) that drafts for DEFAULT_MODEL.",
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
        "or MLX's own; auto is int8 where that is faster or fp32 has no room, else fp32. Of BERT and XLM-R, auto has "
        "onnxruntime compute the layers.",
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
