"""Small pieces of Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table and an empty one; nothing where there are no rows."""
    lines = [_line(row) for row in rows]
    return [_line(head), _line(["---"] * len(head)), *lines, ""] if lines else []


def code(text: object) -> str:
    """Return a text as code, or nothing for none."""
    return f"`{text}`" if str(text) else ""


def one_line(text: str | None) -> str:
    """Return a text with its line breaks as spaces."""
    return " ".join((text or "").split())


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
