"""Names of MLX that `src/` uses, looked up in the text of wheels' stubs and sources. Nothing of a wheel is run."""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOTS = ("mlx", "mlx_lm", "mlx_vlm")


class Wheels:
    """What the modules of some wheels define, by their text alone."""

    def __init__(self, files: list[Path]) -> None:
        self._texts: dict[str, str] = {}
        for file in files:
            with zipfile.ZipFile(file) as archive:
                # a stub says more than what is beside it, a compiled module
                for name in sorted(archive.namelist()):
                    if name.endswith((".py", ".pyi")):
                        self._texts[_module(name)] = archive.read(name).decode()
        self.names = cache(self._names)

    def has_module(self, module: str) -> bool:
        return module in self._texts or any(name.startswith(f"{module}.") for name in self._texts)

    def has(self, module: str, name: str) -> bool:
        return self.has_module(f"{module}.{name}") or name in self.names(module)

    def _names(self, module: str) -> frozenset[str]:
        text = self._texts.get(module)
        return frozenset(self._defined(module, ast.parse(text))) if text is not None else frozenset()

    def _defined(self, module: str, tree: ast.AST) -> Iterator[str]:
        """Whatever is bound anywhere but inside functions and classes; under `if` and `try` too."""
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Import):
                yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from self._imported(module, node)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            else:
                yield from self._defined(module, node)

    def _imported(self, module: str, node: ast.ImportFrom) -> Iterator[str]:
        for alias in node.names:
            if alias.name == "*":
                yield from self.names(self._absolute(module, node))
            else:
                yield alias.asname or alias.name

    def _absolute(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        is_package = any(name.startswith(f"{module}.") for name in self._texts)
        parts = module.split(".")
        base = parts[: len(parts) - node.level + (1 if is_package else 0)]
        return ".".join([*base, *([node.module] if node.module else [])])


def _module(name: str) -> str:
    return name.rpartition(".")[0].replace("/", ".").removesuffix(".__init__")


def used(folder: Path) -> Iterator[tuple[str, str]]:
    """(`src/engine/mlx/draw.py`, `mlx.core.random.categorical`) for each name that a file takes from one of `ROOTS`."""
    for file in sorted(folder.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        aliases = dict(_aliases(tree))
        where = file.relative_to(folder.parent).as_posix()
        yield from {(where, name): None for name in (*aliases.values(), *_chains(tree, aliases))}


def _aliases(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ROOTS and not node.level:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in ROOTS:
                    yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2


def _chains(tree: ast.AST, aliases: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (chain := _dotted(node)) and chain[0] in aliases:
            yield ".".join([aliases[chain[0]], *chain[1:]])


def _dotted(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [*inner, node.attr] if (inner := _dotted(node.value)) else []
    return []


def missing(wheels: Wheels, folder: Path) -> list[tuple[str, str]]:
    """Names that these wheels do not have; attributes of a class or an object are not followed."""
    return [(where, name) for where, name in used(folder) if not _exists(wheels, name)]


def _exists(wheels: Wheels, dotted: str) -> bool:
    """The longest module of it, and the name after that."""
    parts = dotted.split(".")
    module = next(
        (known for end in range(len(parts), 0, -1) if wheels.has_module(known := ".".join(parts[:end]))), None
    )
    if module is None:
        return False
    rest = parts[module.count(".") + 1 :]
    return not rest or wheels.has(module, rest[0])
