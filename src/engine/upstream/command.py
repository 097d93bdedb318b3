"""From a command template of the settings to the argument list of a server. Pure but for a look at PATH."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from src.errors import ModelLoadFailed
from src.settings import EngineSettings

HOST = "127.0.0.1"
# no shell reads these: one place stays one argument, whatever is put there
_PLACE = re.compile(r"\{(model|name|host|port|context|parallel)\}")
_LLAMA_SERVER = "llama-server -m {model} --host {host} --port {port} -c {context} --jinja"
_LLAMA_CPP_PYTHON = (
    "{python} -m llama_cpp.server --model {model} --host {host} --port {port} --n_ctx {context} "
    "--interrupt_requests false --verbose false"
)


def template(engine: Literal["vllm", "llama.cpp"], settings: EngineSettings) -> str:
    """The template for an engine; for llama.cpp, unless one is set, of the server that is installed.

    Raises:
        ModelLoadFailed: when none is.
    """
    if engine == "vllm":
        return settings.vllm_command
    if settings.llama_cpp_command:
        return settings.llama_cpp_command
    if shutil.which("llama-server"):
        return _LLAMA_SERVER
    if find_spec("llama_cpp"):
        return _LLAMA_CPP_PYTHON.replace("{python}", shlex.quote(sys.executable))
    raise ModelLoadFailed(
        "Neither llama-server nor llama_cpp.server is installed. Install one (macOS: brew install llama.cpp; anywhere: "
        "pip install 'llama-cpp-python[server]'), or set LLAMA_CPP_COMMAND."
    )


def files(argv: Iterable[str]) -> list[Path]:
    """What the arguments name of this disk beside the program: weights, projectors, adapters, chat templates."""
    named = [Path(word.rpartition("=")[2]).expanduser() for word in list(argv)[1:]]
    adapters = [place for place in named if (place / "adapter_config.json").is_file()]
    return [place for place in named if place.is_file()] + adapters


def fill(text: str, values: dict[str, str]) -> tuple[str, ...]:
    """The arguments of a template. An argument that has come out empty goes, and with it the option before it.

    Raises:
        ModelLoadFailed: when the template is no command line, or its program is not there.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ModelLoadFailed(f"The engine's command is no command line ({error}): {text}") from None
    argv: list[str] = []
    for word in words:
        filled = _PLACE.sub(lambda place: values[place[1]], word)
        if filled:
            argv.append(filled)
        elif argv and argv[-1].startswith("-"):
            argv.pop()
    if not argv or shutil.which(argv[0]) is None:
        raise ModelLoadFailed(f"The engine's program is not installed: {argv[0] if argv else 'its command is empty'}.")
    return tuple(argv)
