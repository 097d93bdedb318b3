"""OCR jobs, which the OCR broker writes: here they are only read. Functions over one transaction of `Database.read`."""

from __future__ import annotations

from src.api.state.rows import OwnedRows
from src.state.ocr_rows import SELECT, job_of

ROWS = OwnedRows("ocr_jobs", SELECT, job_of, "OCR job", "after")
