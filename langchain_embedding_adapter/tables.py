"""The one table, base against adapted, that the terminal, a notebook, the README and an adapter's card all show.

It is aligned Markdown: readable as it stands, rendered where Markdown is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_embedding_adapter.metrics import label

_FIGURE = re.compile(r"[-+<]?[\d.,]+(e[-+]\d+)?")


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns padded to one width: figures to the right, words to the left.

    >>> print(aligned(["metric", "base"], [["nDCG@10", "0.512"]]))
    | metric  |  base |
    |---------|------:|
    | nDCG@10 | 0.512 |
    """
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    figures = [all(map(_FIGURE.fullmatch, filter(None, column[1:]))) for column in columns]

    def line(row: Sequence[str]) -> str:
        cells = zip(row, widths, figures, strict=True)
        return f"| {' | '.join(cell.rjust(width) if figure else cell.ljust(width) for cell, width, figure in cells)} |"

    rule = "|".join("-" * (width + 1) + ("-:"[figure]) for width, figure in zip(widths, figures, strict=True))
    return "\n".join([line(header), f"|{rule}|", *map(line, rows)])


def comparison(rows: Sequence[Mapping[str, Any]]) -> str:
    """Base against adapted, a metric a line.

    Args:
        rows: Mappings with ``metric`` and ``base``, and where an adapter was compared ``adapted``, ``gain``,
            ``p_value``, ``better``, ``same`` and ``worse``; the rows of a report's ``to_dict()``.
    """
    if not rows or rows[0].get("adapted") is None:
        return aligned(["metric", "base"], [[label(row["metric"]), f"{row['base']:.3f}"] for row in rows])
    header = ["metric", "base", "adapted", "gain", "p", "better", "same", "worse"]
    return aligned(
        header,
        [
            [
                label(row["metric"]),
                f"{row['base']:.3f}",
                f"{row['adapted']:.3f}",
                f"{row['gain']:+.3f}",
                format_p_value(row["p_value"]),
                *(str(row[count]) for count in ("better", "same", "worse")),
            ]
            for row in rows
        ],
    )


def side_by_side(base: Sequence[str], adapted: Sequence[str]) -> str:
    """What a question finds, a rank a line, base beside adapted."""
    rows = zip(base, adapted, strict=True)
    return aligned(["rank", "base", "adapted"], [[str(rank), *hits] for rank, hits in enumerate(rows, start=1)])


def start_of(text: str, width: int = 44) -> str:
    r"""The start of a text, on one line that a table can hold.

    >>> start_of("A Mars year\nlasts 687 days.", width=12)
    'A Mars year…'
    """
    line = " ".join(text.replace("|", " ").split())
    return line if len(line) <= width else line[: width - 1] + "…"


def format_p_value(value: float) -> str:
    """A p-value as tables print it.

    >>> format_p_value(0.0312)
    '.031'
    """
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
