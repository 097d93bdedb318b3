"""The evaluation table, as text and in the model card between its markers."""

from __future__ import annotations

from pathlib import Path

BEGIN = "<!-- evaluation: begin (make eval-demo --card) -->"
END = "<!-- evaluation: end -->"
HEAD = ("measured", "result", "asked for")


def table(rows: list[tuple[str, str, str]]) -> str:
    """A Markdown table."""
    lines = [" | ".join(cells) for cells in (HEAD, ("---", "---", "---"), *rows)]
    return "\n".join(f"| {line} |" for line in lines)


def rewrite(path: Path, text: str) -> None:
    """Put the table between the markers of the card."""
    card = path.read_text(encoding="utf-8")
    before, rest = card.split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
