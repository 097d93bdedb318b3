"""GET /v1/models as Anthropic's clients read it: pages of models, by id. `operations.models` asks for it.

Its clients say who they are with `anthropic-version`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from src.api.anthropic.schemas import AnthropicModel, AnthropicModels
from src.api.page_size import page_size

_PAGE = 20
_LARGEST_PAGE = 1000


def model(name: str, created: float, context_length: int | None) -> AnthropicModel:
    at = datetime.fromtimestamp(int(created), UTC).isoformat().replace("+00:00", "Z")
    return AnthropicModel(name, name, at, context_length, context_length)


def page(models: Sequence[AnthropicModel], limit: str | None, after: str | None, before: str | None) -> AnthropicModels:
    """Those behind `after`, or in front of `before`, `limit` of them at most.

    Raises:
        InvalidRequest: for a limit that is none.
    """
    size = page_size(limit, _PAGE, _LARGEST_PAGE)
    names = [one.id for one in models]
    first = names.index(after) + 1 if after in names else 0
    last = names.index(before) if before in names else len(names)
    if before in names and after not in names:
        first = max(0, last - size)
    shown = tuple(models[first:last][:size])
    more = first > 0 if before in names else first + len(shown) < last
    ids = [one.id for one in shown]
    return AnthropicModels(shown, ids[0] if ids else None, ids[-1] if ids else None, more)
