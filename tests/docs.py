"""Keeps generated text in step with the code: docs/settings.md, docs/errors.md, docs/compatibility.md.

`python -m tests.docs --write` writes them (`make example`); `tests/unit/test_docs.py` fails when one is stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from src.api.openai import fields
from src.api.openai.fields import ALWAYS, FIELDS, REFUSES, SETS_ASIDE, WIRES
from src.api.openai.schemas import ChatCompletionRequest, Labels
from src.engine.families.formats import Tools
from src.engine.families.forms import FORMS
from src.engine.families.table import FAMILIES
from src.engine.families.tool_formats import TOOLS
from src.engine.mlx.text import chosen_calls
from src.errors import ServiceError
from src.ipc.messages.chat import Tool
from src.settings import GROUPS, ROOT

SETTINGS = ROOT / "docs" / "settings.md"
ERRORS = ROOT / "docs" / "errors.md"
COMPATIBILITY = ROOT / "docs" / "compatibility.md"

_SETTINGS_HEAD = """# Settings

Settings come from the environment or from `.env` in the checkout, or in an installed package's home
([install.md](install.md#where-it-keeps-things)); the environment wins. Relative paths are relative to that folder.
Every setting is listed in `.env.example`. A bad value stops the start with all problems listed. `python run.py config`
shows the effective values and where each comes from. (Generated from `src/settings` by `make example`.)
"""
_ERRORS_HEAD = """# Errors

Every error is `{"error": {"message", "type", "param", "code"}, "request_id"}`; `param` names the field, `code` is one
of these. Before the first byte of an answer it is an HTTP status; in a stream that has begun it is one event, after
which nothing follows. A 429 or 503 says in `Retry-After` when to try again. (Generated from `src/errors.py`; each row
has its test in `tests/contract/test_error_table.py`.)

"""
_COMPATIBILITY_HEAD = """# Compatibility

(Generated from `src/api/openai/fields.py`; `tests/contract/test_compatibility.py` tries the cells of `mlx` and `fake`.)

## Classes of fields

Each field of a request is of one class:

* **honoured**: it does what its API says;
* **translated**: it is honoured under another name;
* **advisory**: leaving it aside does not change what the answer means. It is set aside and disclosed: named in
  `X-Ignored-Fields`, counted in `stoker_ignored_fields_total{field}`, in the debug log; a 400 under
  `STRICT_FIELDS=true`. Fields that nobody knows are treated likewise, also inside turns, calls and tools;
* **refused**: a 400 that names it.

`docs/adr/0020-three-classes-of-fields.md` says why each advisory field is one. Beside them, hosted tools (types that
begin with {hosted}) are advisory beside the client's own tools, and refused alone.

"""
_ENGINES_HEAD = """
## Fields by engine

What each engine does with the fields of `POST /v1/chat/completions`. `/v1/completions`, `/v1/responses` and
`/v1/messages` are translations onto it: under their own names, the same is true of theirs.

"""

_FAMILIES_HEAD = """
## Model families

How models write their thinking and their calls; [families.md](families.md) says how a family is recognised, and how it
is named by hand. (Generated from `src/engine/families`; `tests/families` reads each, whole and cut at every place.)

*Constrained*: a call that must be made (`required`, a name) is written in the family's own `form`, or as bare `JSON`;
with `strict`, one that the model chooses to make keeps to its tool's schema as well. *Vision*: mlx-vlm's architectures
of its models that see.

"""

_COMPATIBILITY_TAIL = """
## Embeddings

A chat model's vectors are the mean of its last hidden state over a text's tokens, brought to length 1
(`embeddings` in the model's entry of `/v1/models` says so, and how many numbers they have). They compare texts roughly;
a model made for it does so better. `dimensions` keeps the first so many numbers and brings them to length 1 again: the
size is kept, but a chat model was not trained to be cut, so that it costs more of the meaning than with OpenAI's.

## Clients

`make test-clients` runs other people's clients against the service, each in an environment of its own that it makes
first. In the first part of the table the model's weights are random, so that nothing passes because it was clever:
text, streams, tools that must be called, forms. In the second a scripted model decides: loops of tools, whole and
streamed, and where the client has them, pictures and PDFs. `make test-agents` runs coding agents
([clients.md](clients.md#what-was-run)). All of it on Linux.

| Client | Version | Passed on | What was run |
|---|---|---|---|
| `openai` (Node) | 6.49.0 | 2026-12-01 | chat, streams, tools, forms, responses, embeddings, errors, files, batches |
| `langchain-openai` | 1.7.4 | 2026-12-01 | `langchain-tests` 1.1.9 (below) |
| `litellm` | 1.110.2 | 2026-12-01 | chat, streams, tools, forms |
| `instructor` | 1.17.0 | 2026-12-01 | forms by tools and by schema |
| `pydantic-ai` | 2.68.0 | 2026-12-01 | text, forms by tools and by schema, streams |
| `openai-agents` | 0.24.0 | 2026-12-01 | chat and responses: text, a tool, a form, a stream |
| `lm-eval` | 0.4.13 | 2026-12-01 | a log-likelihood task, a generation task |
| `guidellm` | 0.8.1 | 2026-11-30 | a benchmark of chat, completions and responses |
| `mistralai` | 3.7.0 | 2026-12-01 | OCR with all its fields, annotations, files |
| `anthropic` | 2.14.0 | 2026-12-01 | `tool_runner` whole and streamed, a stream, a picture, a PDF, counting |
| Vercel's AI SDK: `ai` | 6.0.326 | 2026-12-01 | four providers (below): a loop with two tools, a picture, a PDF |
| `langchain` | 1.5.2 | 2026-12-01 | agents by chat, responses and messages (below) |
| `openai-agents` | 0.24.0 | 2026-12-01 | an agent by chat and by responses, whole and streamed |
| LiteLLM's proxy | 1.108.7 | 2026-12-01 | models, chat, a tool, responses, messages, whole and streamed |
| LlamaIndex: `llama-index-llms-openai-like` | 0.8.1 | 2026-12-01 | text, a stream, an agent whole and streamed |
| `dspy` | 3.4.1 | 2026-12-01 | text, a program's fields, also as a JSON schema |
| `smolagents` | 1.26.0 | 2026-12-01 | text, a stream, an agent |
| `haystack-ai` | 3.4.1 | 2026-12-01 | text, a stream, an agent |
| `semantic-kernel` | 1.45.0 | 2026-12-01 | text, a stream, functions called whole and streamed |
| `autogen-agentchat` | 0.7.5 | 2026-12-01 | text, a stream, an assistant whole and streamed |
| `crewai` | 1.15.30 | 2026-12-01 | text, a stream, an agent |
| `promptfoo` | 0.120.27 | 2026-12-01 | an evaluation by chat and by responses (later versions need Node 22) |

Of LangChain's standard tests 39 passed; 12 were skipped (pictures, sound, PDF, Anthropic's blocks, JSON mode, recorded
answers, another model's name); 3 are expected to fail, since a model without knowledge cannot end an agent's loop or
fill a structure with sense. Its agents run by `langchain-openai` 1.7.4 and `langchain-anthropic` 1.7.10. The AI SDK's
providers are `@ai-sdk/openai` 3.0.141 (chat and responses), `@ai-sdk/anthropic` 3.0.140 and
`@ai-sdk/openai-compatible` 2.0.92.
"""


def settings() -> str:
    """docs/settings.md."""
    return _SETTINGS_HEAD + "".join(_group(group) for group in GROUPS)


def _group(group: type[BaseModel]) -> str:
    title, _, purpose = (group.__doc__ or "").partition(": ")
    rows = [f"\n## {title}\n", f"{purpose[0].upper()}{purpose[1:]}\n"]
    rows += ["| Setting | Default | Values | Meaning |", "|---|---|---|---|"]
    for name, field in group.model_fields.items():
        default = "" if field.default is None else str(field.default)
        shown = default.lower() if isinstance(field.default, bool) else default
        cells = [f"`{name.upper()}`", f"`{shown}`" if shown else "", _values(field.annotation, field.metadata)]
        rows.append(" | ".join(["|", *cells, f"{field.description}".replace("|", "\\|"), "|"]).replace("| |", "|"))
    return "\n".join(rows) + "\n"


def _values(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """What a setting takes: choices, or bounds of a number."""
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is Annotated:
        base, *more = get_args(annotation)
        return _values(base, [each for one in more for each in getattr(one, "metadata", [one])])
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(filter(None, map(_values, get_args(annotation))))
    if annotation is bool:
        return "`true`, `false`"
    found = {name: getattr(one, name) for one in metadata for name in ("ge", "gt", "le", "lt") if hasattr(one, name)}
    return f"{'above ' if 'gt' in found else ''}{found.get('ge', found.get('gt'))} to {found['le']}" if found else ""


def kinds(kind: type[ServiceError] = ServiceError) -> list[type[ServiceError]]:
    """Every class of error that can be answered, parents first."""
    below = [leaf for one in kind.__subclasses__() for leaf in kinds(one)]
    return below if kind is ServiceError else [kind, *below]


def error_table() -> str:
    """docs/errors.md."""
    rows = ["| Status | `code` | `type` | Meaning |", "|---|---|---|---|"]
    for kind in sorted(kinds(), key=lambda kind: (kind.status, kind.code)):
        meaning = " ".join((kind.__doc__ or "").split()).replace("|", "\\|")
        rows.append(f"| {kind.status} | `{kind.code}` | `{kind.type}` | {meaning} |")
    return _ERRORS_HEAD + "\n".join(rows) + "\n"


def compatibility() -> str:
    """docs/compatibility.md."""
    hosted = ", ".join(f"`{kind}`" for kind in fields.HOSTED_TOOLS)
    head = _COMPATIBILITY_HEAD.replace("{hosted}", hosted)
    return head + _wires() + _ENGINES_HEAD + _engines() + _FAMILIES_HEAD + _families() + _COMPATIBILITY_TAIL


def _families() -> str:
    """What each family speaks."""
    columns = ("Family", "Models", "Reasoning", "Tool calls", "Arguments streamed", "Constrained", "Vision")
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in FAMILIES:
        tools = TOOLS[row.tools] if row.tools else None
        harmony = row.tools == "harmony"  # its calls are a message each
        grows = "–" if tools is None else "yes" if harmony or tools.growth is not None else "at the call's end"
        reasoning = ", ".join(f"`{name}`" for name in row.reasoning) or "–"
        cells = (row.name, row.models, reasoning, f"`{row.tools}`" if tools else "–", grows, _constrained(tools))
        rows.append(f"| {' | '.join(cells)} | {', '.join(f'`{name}`' for name in row.vision) or '–'} |")
    return "\n".join(rows) + "\n"


def _constrained(tools: Tools | None) -> str:
    """How calls that must be made are written, and whether those that may be keep to a strict schema."""
    if tools is None:
        return "–"
    if tools.name not in FORMS:
        return "JSON"
    tool = Tool("f", None, '{"type":"object","properties":{"n":{"type":"integer"}}}', strict=True)
    sure = tools.name == "harmony" or chosen_calls.chosen(tools, (tool,), lambda schema, _: schema, json.dumps)
    return "form, strict" if sure else "form"


def _wires() -> str:
    """The classes of all fields, a column for each wire."""
    rows = [f"| Field | {' | '.join(f'`{wire}`' for wire in WIRES)} | |", "|---" * (len(WIRES) + 2) + "|"]
    for name in dict.fromkeys(field.name for field in FIELDS):
        by_wire = {wire: field for field in FIELDS if field.name == name for wire in field.wires}
        cells = [by_wire[wire].kind if wire in by_wire else "–" for wire in WIRES]
        notes = "; ".join(dict.fromkeys(field.why for field in by_wire.values() if field.why))
        rows.append(f"| `{name}` | {' | '.join(cells)} | {notes} |")
    return "\n".join(rows) + "\n"


def _engines() -> str:
    engines = list(REFUSES)
    rows = [f"| Field | {' | '.join(f'`{engine}`' for engine in engines)} |", "|---" * (len(engines) + 1) + "|"]
    names = [name for name in ChatCompletionRequest.model_fields if name not in Labels.model_fields]
    for name in (*names, "echo", "suffix", "POST /v1/embeddings"):
        cells = [_cell(engine, name.removeprefix("POST ")) for engine in engines]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _cell(engine: str, name: str) -> str:
    refused, aside = REFUSES[engine].get(name), SETS_ASIDE[engine].get(name)
    if refused == ALWAYS:
        return "refused"
    parts = ["honoured", f"advisory {aside}" if aside else "", f"refused {refused}" if refused else ""]
    return "; ".join(filter(None, parts))


def generated() -> dict[Path, str]:
    """Each generated file and its text."""
    return {SETTINGS: settings(), ERRORS: error_table(), COMPATIBILITY: compatibility()}


if __name__ == "__main__" and "--write" in sys.argv:
    for file, text in generated().items():
        file.write_text(text, encoding="utf-8")
