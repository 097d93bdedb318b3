"""A grammar of plain text as the grammar of that text inside a JSON string: a custom tool's input is one. Pure.

Literals and regexes of a Lark grammar are rewritten; its rules stay. A run of characters (`/.*/`) becomes a rule of
plain runs and escapes, for a lexer looks one byte ahead and an escape has two; terminals that hold one become rules.
Control characters beyond tab, line ends, backspace and form feed are left out: a model has no use for them.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from src.errors import UnsupportedValue

# what a JSON string escapes, and how
_ESCAPES = {character: json.dumps(character)[1:-1] for character in '"\\\n\r\t\b\f'}
_PLAIN = r'[^"\\\x00-\x1f]'
_TOKEN = re.compile(
    r"""(?P<comment>(?://|\#)[^\n]*)
    |(?P<string>"(?:\\.|[^"\\\n])*")(?P<folded>i?)
    |(?P<regex>/(?!/)(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\])+/)(?P<flags>[a-z]*)
    |(?P<imported>%import[^\n]*)
    |(?P<foreign>%(?:json|lark|regex|llguidance|override|declare|extend)|<[^<>\s]+>|@\w+)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_IMPORTED = re.compile(r"^[ \t]*%import[^\n]*", re.MULTILINE)
_IMPORT = re.compile(r"%import\s+common\.(\w+)\s*(?:->\s*(\w+))?\s*$")
_IMPORTS = re.compile(r"%import\s+common\s*\(([\w\s,]+)\)\s*$")
# terminals of Lark's `common` that hold what JSON escapes
_COMMON = {
    "LF": r"/\n/",
    "CR": r"/\r/",
    "NEWLINE": r"/(\r?\n)+/",
    "WS": r"/[ \t\f\r\n]+/",
    "WS_INLINE": r"/[ \t]+/",
}
_HARMLESS = frozenset(
    (
        *("DIGIT", "HEXDIGIT", "INT", "SIGNED_INT", "DECIMAL", "FLOAT", "SIGNED_FLOAT", "NUMBER", "SIGNED_NUMBER"),
        *("LCASE_LETTER", "UCASE_LETTER", "LETTER", "WORD", "CNAME"),
    )
)
_ATOM = re.compile(
    r"\\x\{[0-9a-fA-F]+\}|\\x[0-9a-fA-F]{2}|\\u\{[0-9a-fA-F]+\}|\\u[0-9a-fA-F]{4}|\\[pP](?:\{[^}]*\}|\w)|\\."
    r"|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?[a-zA-Z-]*[:)]|\(\?P?<\w+>|.",
    re.DOTALL,
)
_CLASSES = frozenset(("\\d", "\\D", "\\w", "\\W", "\\s", "\\S"))
_NAMED = {"\\n": "\n", "\\r": "\r", "\\t": "\t", "\\f": "\f", "\\v": "\v", "\\0": "\0", "\\a": "\a"}
_TRIED = range(0x20, 0x3000)


# a class, once or repeated: what a lexer of plain text takes as one run
_RUN = re.compile(r"(\(\?:|\()?(\.|\\[dDwWsS]|\[\^?\]?(?:\\.|[^\]\\])*\])([*+])(?(1)\))")
_DEFINED = re.compile(r"^[?!]*([A-Za-z_]\w*)(?:\.\d+)?\s*:", re.MULTILINE)


def escaped(grammar: str) -> str:
    """The Lark grammar of the same texts as they stand inside a JSON string's quotes.

    Raises:
        UnsupportedValue: naming what of it cannot be rewritten.
    """
    whole = _IMPORTED.sub(lambda found: _import(found[0]), grammar)
    return "".join(_rewritten(whole, _with_runs(whole)))


def _with_runs(grammar: str) -> set[str]:
    """Names of terminals that hold a run, themselves or by another."""
    starts = [*_DEFINED.finditer(grammar)]
    bodies = {
        found[1]: [*_TOKEN.finditer(grammar, found.end(), following)]
        for found, following in zip(starts, [*(each.start() for each in starts[1:]), len(grammar)], strict=False)
        if found[1].isupper()
    }
    runs = {name for name, body in bodies.items() if any(_run(each) for each in body)}
    while more := {name for name, body in bodies.items() if runs & {each["name"] for each in body}} - runs:
        runs |= more
    return runs


def _run(found: re.Match[str]) -> re.Match[str] | None:
    return _RUN.fullmatch(found["regex"][1:-1]) if found["regex"] and found["flags"] in ("", "s") else None


def _rewritten(grammar: str, runs: set[str]) -> Iterator[str]:
    for found in _TOKEN.finditer(grammar):
        if found["string"]:
            yield _literal(found["string"], folded=bool(found["folded"]))
        elif (run := _run(found)) is not None:
            yield _as_rule(run, dotall="s" in found["flags"])
        elif found["regex"]:
            yield _regex(found["regex"][1:-1], found["flags"])
        elif found["imported"]:
            yield found["imported"]
        elif found["foreign"]:
            raise _unsupported(found["foreign"])
        elif found["name"] in runs:
            yield f"run_{found['name'].lower()}"
        else:
            yield found["name"] or found["other"] or "\n" * found["comment"].count("\n")


def _as_rule(run: re.Match[str], *, dotall: bool) -> str:
    """`C*` as plain runs and escapes, as often as they come."""
    plain, escapes = _members(_as_class(run[2], dotall=dotall))
    parts = [f"/{plain}+/"] if plain else []
    parts += [json.dumps(_ESCAPES[character]) for character in escapes]
    return f"({' | '.join(parts)}){run[3]}"


def _unsupported(what: str) -> UnsupportedValue:
    return UnsupportedValue(f"A tool's grammar cannot hold {what[:64]!r} here.", param="tools")


def _literal(text: str, *, folded: bool) -> str:
    try:
        value = str(ast.literal_eval(text.replace("\\/", "/")))
    except (ValueError, SyntaxError):
        raise _unsupported(text) from None
    if not folded:
        return json.dumps(json.dumps(value, ensure_ascii=False)[1:-1], ensure_ascii=False)
    runs = re.split(r'(["\\\x00-\x1f])', value)
    parts = [
        json.dumps(json.dumps(run)[1:-1]) if at % 2 else json.dumps(run, ensure_ascii=False) + "i"
        for at, run in enumerate(runs)
        if run
    ]
    return f"({' '.join(parts)})" if parts else '""'


def _import(line: str) -> str:
    """What an import stands for, where it holds what is rewritten."""
    line = line.strip()
    single, several = _IMPORT.match(line), _IMPORTS.match(line)
    if single is not None:
        return _terminal(single[1], single[2] or single[1])
    if several is None:
        raise _unsupported(line)
    return "\n".join(_terminal(name, name) for name in re.findall(r"\w+", several[1]))


def _terminal(name: str, called: str) -> str:
    if name in _COMMON:
        return f"{called}: {_COMMON[name]}"
    if name not in _HARMLESS:
        raise _unsupported(f"%import common.{name}")
    return f"%import common.{name}" + (f" -> {called}" if called != name else "")


def _regex(pattern: str, flags: str) -> str:
    if set(flags) - {"i", "s"}:
        raise _unsupported(f"/{pattern}/{flags}")
    made = "".join(_atom(atom, dotall="s" in flags) for atom in _ATOM.findall(pattern))
    return f"/{made}/{'i' if 'i' in flags else ''}"


def _atom(atom: str, *, dotall: bool) -> str:
    """One character, class or sign of a regex."""
    if atom == "." or atom in _CLASSES or atom[0] == "[":
        plain, escapes = _members(_as_class(atom, dotall=dotall))
        return f"(?:{'|'.join([*([plain] if plain else []), *map(_escape, escapes)])})"
    if atom.startswith(("\\p", "\\P")):
        raise _unsupported(atom)
    character = _character(atom)
    return atom if character is None or (character not in _ESCAPES and character >= " ") else _escape(character)


def _as_class(atom: str, *, dotall: bool) -> str:
    if atom == ".":
        return r"[\s\S]" if dotall else r"[^\n]"
    return atom if atom[0] == "[" else f"[{atom}]"


def _character(atom: str) -> str | None:
    """The one character that an atom stands for; None for signs and anchors."""
    if atom in _NAMED:
        return _NAMED[atom]
    if atom[:2] in ("\\x", "\\u") and len(atom) > 2:
        return chr(int(atom[2:].strip("{}"), 16))
    if atom[0] == "\\":
        return None if atom[1].isalnum() else atom[1]
    return atom if len(atom) == 1 and atom in _ESCAPES else None


def _escape(character: str) -> str:
    made = _ESCAPES.get(character) or json.dumps(character)[1:-1]
    return f"(?-i:{re.escape(made)})"


def _members(text: str) -> tuple[str, list[str]]:
    """A class's plain members as a class, "" without any, and those that are escaped."""
    if "[" in text[1:] or "&&" in text:
        raise _unsupported(text)
    try:
        members = re.compile(text)
    except re.error:
        raise _unsupported(text) from None
    escapes = [character for character in _ESCAPES if members.fullmatch(character)]
    plain = any(members.fullmatch(chr(code)) for code in _TRIED if chr(code) not in _ESCAPES)
    if not plain and not escapes:
        raise _unsupported(text)
    return f"[{text}&&{_PLAIN}]" if plain else "", escapes
