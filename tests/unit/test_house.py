"""The house rules that a test can hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.settings import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))
TEXTS = {file: file.read_text(encoding="utf-8") for file in SOURCES}
TREES = {file: ast.parse(text) for file, text in TEXTS.items()}

# each stands at a boundary of a process, a thread or a foreign library. Before you raise this number: could the new
# one name what it catches?
MAX_BROAD_EXCEPTS = 22
# lines of a function, its decorators not counted: an upper bound for nine in ten, and for all
MAX_LINES_P90, MAX_LINES = 15, 45
# `noqa` and `type: ignore` in src, each with its reason
MAX_SUPPRESSIONS = 90
# class names that two rooms still share
SHARED_CLASS_NAMES: set[str] = set()
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "manager", "handler", "misc"}
# the one exception: Flask's own word for what it registers
ALLOWED_NAMES = {"error_handlers"}


def shown(file: Path) -> str:
    return str(file.relative_to(ROOT / "src"))


def each(*kinds: type[ast.AST]) -> Iterator[tuple[Path, ast.AST]]:
    for file, tree in TREES.items():
        yield from ((file, node) for node in ast.walk(tree) if isinstance(node, kinds))


def broad(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or (isinstance(handler.type, ast.Name) and handler.type.id == "Exception")


def broad_excepts() -> list[tuple[Path, int]]:
    return [(f, n.lineno) for f, n in each(ast.ExceptHandler) if isinstance(n, ast.ExceptHandler) and broad(n)]


def imports() -> Iterator[tuple[Path, str]]:
    for file, node in each(ast.Import, ast.ImportFrom):
        if isinstance(node, ast.Import):
            yield from ((file, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield file, node.module or ""


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph() -> dict[str, set[str]]:
    """Module → modules of ours that it imports, at its top or inside a function; type-checking imports count, too."""
    modules = {module_name(file) for file in SOURCES}
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for file, node in each(ast.Import, ast.ImportFrom):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            named = [
                child if (child := f"{node.module}.{alias.name}") in modules else node.module for alias in node.names
            ]
        graph[module_name(file)] |= (set(named) & modules) - {module_name(file)}
    return graph


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    ahead = [*graph[start]]
    while ahead:
        if (module := ahead.pop()) not in found:
            found.add(module)
            ahead += graph[module]
    return found


def suppressions() -> list[tuple[Path, int, str]]:
    """Comments that silence ruff or mypy, with the reason that stands behind them on the same line."""
    found = re.compile(r"(?:# (?:noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])\s*)+(?P<rest>.*)")
    lines = ((file, number, line) for file, text in TEXTS.items() for number, line in enumerate(text.splitlines(), 1))
    return [(file, number, match["rest"].strip(" #")) for file, number, line in lines if (match := found.search(line))]


def function_lengths() -> list[tuple[int, str]]:
    functions = [(f, n) for f, n in each(ast.FunctionDef, ast.AsyncFunctionDef)]
    return sorted(
        ((n.end_lineno or 0) - n.lineno + 1, f"{shown(f)}: {n.name}")
        for f, n in functions
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def loaded_by(module: str) -> set[str]:
    """The modules a fresh interpreter has after importing one of ours."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_broad_excepts_are_few() -> None:
    """Errors are swallowed at boundaries alone, and their number does not creep up."""
    found = broad_excepts()
    assert len(found) <= MAX_BROAD_EXCEPTS, [f"{shown(file)}:{line}" for file, line in found]


@pytest.mark.parametrize(("file", "line"), broad_excepts(), ids=lambda value: str(getattr(value, "name", value)))
def test_a_broad_except_says_why(file: Path, line: int) -> None:
    """Whoever reads `except Exception` finds the reason on the same line."""
    _, _, comment = TEXTS[file].splitlines()[line - 1].partition("# noqa: BLE001")
    assert len(comment.strip(" #")) > 15


def test_functions_are_short() -> None:
    """Constructors included: nine in ten within MAX_LINES_P90 lines, all within MAX_LINES."""
    lengths = function_lengths()
    assert lengths[int(0.9 * len(lengths))][0] <= MAX_LINES_P90
    assert [name for lines, name in lengths if lines > MAX_LINES] == []


def test_a_class_name_is_used_once() -> None:
    """Private classes included: who greps for one finds one."""
    names = Counter(node.name for _, node in each(ast.ClassDef) if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1} <= SHARED_CLASS_NAMES


def test_suppressions_are_few() -> None:
    """`noqa` and `type: ignore`: their number does not creep up, and each names the rule that it silences."""
    assert len(suppressions()) <= MAX_SUPPRESSIONS
    unnamed = [
        f"{shown(file)}:{number}"
        for file, text in TEXTS.items()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(r"# noqa(?!: [A-Z])|# type: ignore(?!\[)", line)
    ]
    assert unnamed == []


def test_every_suppression_has_its_reason() -> None:
    """Behind the rule, on the same line."""
    found = suppressions()
    assert len(found) > 30
    assert [f"{shown(file)}:{number}" for file, number, reason in found if not re.search(r"[a-z]{4}", reason)] == []


def test_nothing_is_caught_and_dropped_without_a_word() -> None:
    """No `except: pass` for every exception there is."""
    silent = [
        f"{shown(file)}:{node.lineno}"
        for file, node in each(ast.ExceptHandler)
        if isinstance(node, ast.ExceptHandler) and broad(node) and all(isinstance(s, ast.Pass) for s in node.body)
    ]
    assert silent == []


@pytest.mark.parametrize("file", SOURCES, ids=shown)
def test_a_file_is_named_for_its_idea(file: Path) -> None:
    """No file or folder has a name that could hold anything."""
    parts = {part for name in (file.stem, file.parent.name) for part in (name, *name.split("_"))}
    assert file.stem in ALLOWED_NAMES or not parts & NAMES_THAT_SAY_NOTHING


@pytest.mark.parametrize("file", [file for file in SOURCES if TREES[file].body], ids=shown)
def test_a_file_opens_with_what_it_owns(file: Path) -> None:
    """Each module begins with a docstring."""
    assert ast.get_docstring(TREES[file])


@pytest.mark.parametrize(
    ("keyword", "value"), [("enqueue", True), ("trust_remote_code", True), ("shell", True), ("diagnose", True)]
)
def test_an_argument_nobody_passes(keyword: str, value: bool) -> None:
    """`enqueue` deadlocks under gevent, `trust_remote_code` runs foreign code, `diagnose` logs what users wrote."""
    passed = [
        f"{shown(file)}:{node.lineno}"
        for file, node in each(ast.Call)
        if isinstance(node, ast.Call)
        for argument in node.keywords
        if argument.arg == keyword and isinstance(argument.value, ast.Constant) and argument.value.value is value
    ]
    assert passed == []
    assert not any(f'"{keyword}": {value}' in text for text in TEXTS.values())


@pytest.mark.parametrize("module", ["pickle", "marshal", "shelve", "dill", "cloudpickle"])
def test_a_module_nobody_imports(module: str) -> None:
    """What is read from a socket or a file can never become code."""
    assert [shown(file) for file, name in imports() if name.partition(".")[0] == module] == []


def test_no_import_circle() -> None:
    """No module reaches itself by imports, those inside functions counted."""
    graph = import_graph()
    assert len(graph) > 100
    assert sorted(module for module in graph if module in reachable(graph, module)) == []


def test_an_import_inside_a_function_counts() -> None:
    """`loading` imports an engine where it runs; the graph knows it."""
    assert "src.engine.mlx.lm" in import_graph()["src.engine.loading"]


def test_one_reader_of_the_environment() -> None:
    """Only the package `settings` reads environment variables."""
    readers = {
        shown(file)
        for file, node in each(ast.Attribute)
        if isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv", "environb")
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert {reader.partition("/")[0] for reader in readers} == {"settings"}


def test_multiprocessing_stays_in_ocr() -> None:
    """multiprocessing freezes a gevent hub: the OCR pool alone uses it."""
    users = {shown(file) for file, name in imports() if name.partition(".")[0] == "multiprocessing"}
    assert all(name.startswith("ocr/") for name in users)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("src.api.app", {"mlx", "mlx_lm", "cv2", "numpy", "transformers", "rapidocr", "onnxruntime", "PIL"}),
        ("src.api.app", {"opentelemetry.exporter", "opentelemetry.sdk.trace", "src.api.tracing.otlp"}),
        ("src.api.process.worker", {"flask", "pydantic", "loguru", "src.settings"}),
        ("src.supervisor.main", {"mlx", "mlx_lm", "flask", "gevent", "gunicorn", "numpy", "cv2", "prometheus_client"}),
        ("src.ocr.main", {"mlx", "mlx_lm", "flask", "gevent", "gunicorn"}),
        ("src.engine.main", {"mlx", "flask", "gevent", "gunicorn"}),
        ("src.cli", {"mlx", "flask", "huggingface_hub", "httpx2", "mcp", "uvicorn"}),
        ("src.hub.pull", {"mlx", "mlx_lm", "transformers", "flask", "gevent"}),
        ("src.bench.main", {"mlx", "mlx_lm", "transformers", "flask", "gevent", "httpx2"}),
        ("src.mcp.main", {"mlx", "mlx_lm", "transformers", "flask", "gevent"}),
    ],
)
def test_what_a_process_never_loads(module: str, unwanted: set[str]) -> None:
    """The web process and the supervisor stay small and unpatched; an engine loads its BLAS before it imports MLX."""
    assert loaded_by(module) & unwanted == set()
