"""Tables of the report's own pages in Markdown."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; columns of numbers stand on the right."""
    texts = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    columns = list(zip(*texts, strict=True)) if texts else [() for _ in head]
    rules = ["---:" if column and all(_is_number(cell) for cell in column) else "---" for column in columns]
    lines = [list(head), rules, *texts]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def csv_table(path: Path, names: Mapping[str, str] | None = None, decimals: int = 3) -> str:
    """A CSV file as a Markdown table.

    Parameters
    ----------
    names : headings by column, for the columns that are wanted; those that the file lacks are left out
    decimals : of numbers below 100
    """
    with path.open(newline="", encoding="utf-8") as stream:
        head, *rows = list(csv.reader(stream)) or [[""]]
    wanted = [name for name in names or head if name in head]
    places = [head.index(name) for name in wanted]
    return markdown_table(
        [names[name] if names else name.replace("_", " ") for name in wanted],
        [[_short(row[place], decimals) for place in places] for row in rows],
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text == ""
    return True


def _short(text: str, decimals: int) -> str:
    if not _is_number(text) or not text or text.lstrip("-").isdigit():
        return text
    value = float(text)
    return f"{value:.{decimals}f}" if abs(value) < 100 else f"{value:.1f}"
