"""What all pictures share: a sheet to draw on, inks that differ in grey too, and the interval of a mean."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra
from langchain_embedding_adapter.report.intervals import bootstrap_intervals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, PALE = "0.15", "0.6"
BLUE, ORANGE, GREEN = "#08519c", "#f0a03c", "#20876b"
WORSE_HATCH = "////"


@dataclass(frozen=True)
class Pen:
    """How one line is drawn: colour, mark and dashes all differ from the next one's."""

    colour: str
    marker: str
    line: str


PENS = (
    Pen(BLUE, "o", "-"),
    Pen(ORANGE, "s", "--"),
    Pen(GREEN, "^", "-."),
    Pen("#7b3294", "D", ":"),
    Pen("0.35", "v", (0, (5, 1, 1, 1, 1, 1))),  # type: ignore[arg-type]
    Pen("#b5651d", "P", "-"),
)


def pens() -> Iterator[Pen]:
    """One after the other, over again when all are used."""
    return itertools.cycle(PENS)


def sheet(axes: Axes | None, width: float = 6.4, height: float = 4.0) -> Axes:
    """The axes given, or those of a new figure of this size in inches, in a plain frame.

    Raises:
        ImportError: If matplotlib is not installed (the extra ``report``).
    """
    require_extra("matplotlib", "report")
    if axes is None:
        from matplotlib import pyplot  # it is what shows a figure in a notebook, and keeps it until it is closed

        axes = pyplot.subplots(figsize=(width, height), layout="constrained")[1]
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def interval(figures: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float]:
    """Where the mean of one figure a question lies, as on the report page; not a number where questions are too few."""
    low, high = bootstrap_intervals(figures[:, None], confidence=confidence)[:, 0].tolist()
    return low, high
