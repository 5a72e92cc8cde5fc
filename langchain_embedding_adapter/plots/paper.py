"""What all pictures share: a sheet to draw on, inks that differ in grey too, and the interval of a mean."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter._extras import require_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, PALE = "0.15", "0.6"
BLUE, ORANGE, GREEN = "#08519c", "#f0a03c", "#20876b"
WORSE_HATCH = "////"

RESAMPLES = 2_000
MOST_DRAWS = 2**22
"""Draws of a bootstrap that are held at a time."""


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


def interval(figures: NDArray[np.float64], confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Where the mean lies, by a bootstrap of the questions (percentiles of the means of samples with replacement).

    Args:
        figures: One a question, ``(questions,)``.
        confidence: How sure.
        seed: Of the samples.

    >>> interval(np.array([0.5, 0.5, 0.5]))
    (0.5, 0.5)
    """
    draw = np.random.default_rng(seed)
    size = max(1, MOST_DRAWS // len(figures))
    parts = [min(size, RESAMPLES - start) for start in range(0, RESAMPLES, size)]
    means = np.concatenate([figures[draw.integers(len(figures), size=(n, len(figures)))].mean(axis=1) for n in parts])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
