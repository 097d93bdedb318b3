"""Text on layers that are switched off (optional content): PDFium does not draw it, but tells it. Called by `pdf`, in
an OCR worker, before a page is opened.

Only documents that switch a layer off are looked into. What shows text within one is left out; positions, and what is
drawn, stay: drawing knows of layers by itself.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pikepdf
from pikepdf import Name

from src.ocr.nested_forms import UNREADABLE

_SHOWS_TEXT = frozenset(("Tj", "TJ", "'", '"'))
_OPENS, _CLOSES = frozenset(("BMC", "BDC")), "EMC"
_MOST = 32 << 20  # packed bytes of contents that are looked into
Hidden = Callable[[pikepdf.Object], bool]


def cleared(document: pikepdf.Pdf) -> bytes | None:
    """The document without the text of switched-off layers; None where it has none, or cannot be read here."""
    try:
        if not (off := _off(document)):
            return None
        found = [_clear(document, one, _is_hidden(off)) for one in _contents(document)]
        if not any(found):
            return None
        made = io.BytesIO()
        document.save(made)
    except UNREADABLE:
        return None
    return made.getvalue()


def _off(document: pikepdf.Pdf) -> frozenset[tuple[int, int]]:
    """The layers that are switched off when the document is opened."""
    properties = document.Root.get(Name.OCProperties)
    if properties is None:
        return frozenset()
    shown = properties.get(Name.D, pikepdf.Dictionary())
    off = {layer.objgen for layer in shown.get(Name.OFF, [])}
    if shown.get(Name.BaseState) == Name.OFF:
        on = {layer.objgen for layer in shown.get(Name.ON, [])}
        off |= {layer.objgen for layer in properties.get(Name.OCGs, []) if layer.objgen not in on}
    return frozenset(off)


def _is_hidden(off: frozenset[tuple[int, int]]) -> Hidden:
    """Of a layer, or of what belongs to several: by its policy, of which `AnyOn` is the usual one."""

    def hidden(member: pikepdf.Object) -> bool:
        if member.get(Name.Type) != Name.OCMD:
            return member.objgen in off
        given = member.get(Name.OCGs, [])
        layers = [given] if isinstance(given, pikepdf.Dictionary) else list(given)
        shown = [layer.objgen not in off for layer in layers]
        policy = str(member.get(Name.P, "/AnyOn"))
        visible = {"/AllOn": all(shown), "/AnyOff": not all(shown), "/AllOff": not any(shown)}
        return bool(shown) and not visible.get(policy, any(shown))

    return hidden


def _contents(document: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    """All pages, and forms that they may draw."""
    yield from (page.obj for page in document.pages)
    for one in document.objects:
        if isinstance(one, pikepdf.Stream) and one.get(Name.Subtype) == Name.Form:
            yield one


def _clear(document: pikepdf.Pdf, content: pikepdf.Object, hidden: Hidden) -> bool:
    """Leave the hidden text out of a page's content, or a form's; whether there is any."""
    resources = content.get(Name.Resources, pikepdf.Dictionary())
    groups = {name for name, group in resources.get(Name.Properties, {}).items() if hidden(group)}
    forms = {name for name, form in resources.get(Name.XObject, {}).items() if Name.OC in form and hidden(form.OC)}
    if not (groups or forms) or _packed(content) > _MOST:
        return False
    instructions = list(pikepdf.parse_content_stream(content))
    kept = list(_kept(instructions, groups, forms))
    if len(kept) == len(instructions):
        return False
    made = pikepdf.unparse_content_stream(kept)
    if isinstance(content, pikepdf.Stream):
        content.write(made)
    else:
        content.Contents = document.make_stream(made)
    return True


def _kept(instructions: list[Any], groups: set[str], forms: set[str]) -> Iterator[Any]:
    nested: list[bool] = []  # of marked content, whether it is hidden
    for instruction in instructions:
        name = str(instruction.operator)
        operands = list(instruction.operands)
        if name in _OPENS:
            nested.append(name == "BDC" and operands[0] == Name.OC and str(operands[1]) in groups)
        elif name == _CLOSES and nested:
            nested.pop()
        drawn = name == "Do" and str(operands[0]) in forms
        if not (drawn or (name in _SHOWS_TEXT and any(nested)) or (name == "Do" and any(nested))):
            yield instruction


def _packed(content: pikepdf.Object) -> int:
    streams = [content] if isinstance(content, pikepdf.Stream) else content.get(Name.Contents, [])
    each = [streams] if isinstance(streams, pikepdf.Stream) else list(streams)
    return sum(int(one.get(Name.Length, 0)) for one in each)
