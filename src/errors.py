"""All errors that clients can get, and the exit codes of the processes.

An error crosses the wire as `Failed(code, message, param)`; `from_code` rebuilds its class on the other side.
Only `api/error_handlers.py` turns one into HTTP.

    ServiceError
    ├─ InvalidRequest 400
    │  ├─ UnsupportedValue         a known field that this engine cannot honour
    │  │  └─ ThreadsUnsupported    Anthropic's `thread`
    │  ├─ ContextLengthExceeded    prompt and max_tokens do not fit the model
    │  ├─ InvalidImage             not an image, damaged, or too large to decode
    │  ├─ InvalidDocument          a PDF, TIFF or ZIP that cannot be opened, or a page of one
    │  ├─ NotFound 404 ── ModelNotFound
    │  ├─ MethodNotAllowed 405
    │  ├─ RequestTimeout 408        the body did not arrive in time
    │  ├─ PayloadTooLarge 413
    │  └─ UnsupportedMedia 415
    ├─ AuthenticationFailed 401     no key, or an unknown one
    ├─ PermissionDenied 403         a key whose role does not reach so far
    ├─ Overloaded 429              + Retry-After
    │  └─ RateLimited              this key or address has used up its share
    │     └─ InsufficientQuota     this key has used up its budget of the day
    ├─ BackendUnavailable 503      + Retry-After
    │  ├─ EngineCrashed            the engine crashed during this request
    │  ├─ OcrCrashed               the OCR worker crashed on this page, twice
    │  ├─ ModelLoadFailed          the model cannot be loaded; the reason is in the text
    │  └─ ShuttingDown             the service is draining
    ├─ ClientTooSlow 408           the answer was not read; nobody sees this one but the log
    ├─ DeadlineExceeded 504
    └─ InternalError 500           a fixed text; the detail is in the log, under the request id
"""

from __future__ import annotations

from enum import IntEnum


class ServiceError(Exception):
    """Base of all errors that are answered to a client; `message` is safe to show."""

    status = 500
    type = "server_error"
    code = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s


class InvalidRequest(ServiceError):
    """The request itself is wrong; sending it again will not help."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class UnsupportedValue(InvalidRequest):
    """A field of the API that this engine does not support: an error, never ignored."""

    code = "unsupported_value"


class ThreadsUnsupported(UnsupportedValue):
    """Threads of messages are not kept here: the whole history is sent (Anthropic's SDK then does so by itself)."""

    code = "thread_unsupported_request"


class ContextLengthExceeded(InvalidRequest):
    """The prompt, or the prompt and max_tokens, exceed the model's context."""

    code = "context_length_exceeded"


class InvalidImage(InvalidRequest):
    """Not an image we read, a damaged one, one beyond the pixel limit, or one that could not be fetched."""

    code = "invalid_image"


class InvalidDocument(InvalidRequest):
    """A document that cannot be opened (damaged, encrypted, too large), or a page of one that cannot be read."""

    code = "invalid_document"


class NotFound(InvalidRequest):
    """No such route or object."""

    status = 404
    code = "not_found"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        sought: str | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.sought = sought  # the object's id, where another instance may have it


class ModelNotFound(NotFound):
    """No model of that name is configured here."""

    code = "model_not_found"


class MethodNotAllowed(InvalidRequest):
    """The route exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class RequestTimeout(InvalidRequest):
    """The client took longer than BODY_TIMEOUT to send its body."""

    status = 408
    code = "request_timeout"


class PayloadTooLarge(InvalidRequest):
    """The body exceeds MAX_BODY_MB."""

    status = 413
    code = "payload_too_large"


class UnsupportedMedia(InvalidRequest):
    """A content type this route does not take, or a Content-Encoding that is not supported."""

    status = 415
    code = "unsupported_media_type"


class Overloaded(ServiceError):
    """A queue or a cap is full; try again after `retry_after_s`."""

    status = 429
    type = "rate_limit_error"
    code = "overloaded"


class AuthenticationFailed(ServiceError):
    """No key, or an unknown one, which is not repeated in the message."""

    status = 401
    type = "invalid_request_error"  # as OpenAI calls it
    code = "invalid_api_key"


class PermissionDenied(ServiceError):
    """The key is valid, but its role does not allow this route."""

    status = 403
    type = "invalid_request_error"
    code = "permission_denied"


class RateLimited(Overloaded):
    """One key or address exceeds its rate limit."""

    code = "rate_limit_exceeded"


class InsufficientQuota(RateLimited):
    """A key has used up its budget of tokens or pages for this UTC day."""

    type = "insufficient_quota"  # as OpenAI calls it
    code = "insufficient_quota"


class BackendUnavailable(ServiceError):
    """The back end is not available (yet)."""

    status = 503
    code = "backend_unavailable"


class EngineCrashed(BackendUnavailable):
    """The engine crashed while it ran this request."""

    code = "engine_crashed"


class OcrCrashed(BackendUnavailable):
    """The OCR worker crashed on this page, and on its retry."""

    code = "ocr_crashed"


class ModelLoadFailed(BackendUnavailable):
    """The model cannot be loaded."""

    code = "model_load_failed"


class ShuttingDown(BackendUnavailable):
    """The service is stopping and takes no new work."""

    code = "server_shutdown"


class ClientTooSlow(ServiceError):
    """The client did not read its answer."""

    status = 408
    type = "invalid_request_error"
    code = "client_too_slow"


class DeadlineExceeded(ServiceError):
    """The request ran past its time budget and was stopped."""

    status = 504
    code = "deadline_exceeded"


class InternalError(ServiceError):
    """An unexpected error of the service; clients get a fixed text."""

    def __init__(self, message: str = "Internal error. The log has the details under this request id.") -> None:
        super().__init__(message)


def _tree(cls: type[ServiceError]) -> list[type[ServiceError]]:
    return [cls, *(leaf for sub in cls.__subclasses__() for leaf in _tree(sub))]


_BY_CODE = {cls.code: cls for cls in reversed(_tree(ServiceError))}


def from_code(code: str, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> ServiceError:
    """Rebuild an error that crossed the wire; an unknown code is an `InternalError`."""
    cls = _BY_CODE.get(code, InternalError)
    if cls in (ServiceError, InternalError):
        return InternalError()
    return cls(message, param=param, retry_after_s=retry_after_s)


class ExitCode(IntEnum):
    """Exit codes of the processes. The supervisor retries all but CONFIG and MODEL."""

    OK = 0
    FAILURE = 1
    CONFIG = 2  # a bad setting; all problems were printed
    MODEL = 3  # the model cannot be loaded: missing, corrupt, unknown architecture
    ENGINE_FAULT = 4  # a step failed; the process exits for a restart
    ALREADY_RUNNING = 5  # another instance holds the runtime directory
    PARENT_GONE = 6
    GPU_FAULT = 7  # a step failed with an error of the GPU
    NO_MEMORY = 8  # the model does not fit now, beside what else is loaded; it may later
    RUNTIME_LOST = 9  # the runtime directory was removed and could not be created again
    INTERRUPTED = 130  # ^C, as shells count it
    CLOSED_PIPE = 141  # whoever read the output has gone (`run.py check | head -1`)
