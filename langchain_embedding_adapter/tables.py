"""The one table, base against adapted, that the terminal, a notebook, the README and an adapter's card all show.

It is aligned Markdown: readable as it stands, rendered where Markdown is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_embedding_adapter.metrics import label


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns padded to one width: the first to the left, the others to the right.

    >>> print(aligned(["metric", "base"], [["nDCG@10", "0.512"]]))
    | metric  |  base |
    |---------|------:|
    | nDCG@10 | 0.512 |
    """
    table = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = "|".join(
        "-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths)
    )
    return "\n".join([line(table[0]), f"|{rule}|", *(line(row) for row in table[1:])])


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


def format_p_value(value: float) -> str:
    """A p-value as tables print it.

    >>> format_p_value(0.0312)
    '.031'
    """
    return "<.001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
