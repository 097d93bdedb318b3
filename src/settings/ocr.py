"""Settings of OCR."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field


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
