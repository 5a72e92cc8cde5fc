"""What became of each question: how many are answered better, how many worse, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.plots.gains import Reported, differences, report_of
from langchain_embedding_adapter.plots.paper import BLUE, INK, ORANGE, PALE, WORSE_HATCH, interval, sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHANGED = 1e-12


def plot_changes(
    report: Reported,
    *,
    metric: str = "ndcg@10",
    kind: Literal["bars", "scatter"] = "bars",
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Every question, base against adapted: a mean hides who pays for it.

    Args:
        report: A report, or a training result for the questions that decided.
        metric: Which of its metrics.
        kind: ``"bars"``, one a question, from what gained most to what lost most, or ``"scatter"``, base against
            adapted, larger dots for more questions.
        confidence: Of the interval of the mean, a bootstrap over the questions.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: If the report has the base alone, or ``kind`` is neither.
    """
    if kind not in ("bars", "scatter"):
        raise ValueError(f"expected kind='bars' or 'scatter', got {kind!r}")
    changes = differences(report, metric)
    better, worse = int((changes > CHANGED).sum()), int((changes < -CHANGED).sum())
    same = len(changes) - better - worse
    if kind == "bars":
        axes = _bars(np.sort(changes)[::-1], sheet(ax, height=3.4))
        low, high = interval(changes, confidence)
        known = not np.isnan(low)
        if known:
            axes.axhspan(low, high, color=PALE, alpha=0.35, linewidth=0)
        axes.axhline(float(changes.mean()), color=INK, linestyle="--", linewidth=1)
        axes.set(xlabel="questions, by change", ylabel=f"{label(metric)}, adapted − base")
        title = f"mean {changes.mean():+.3f}" + f" ({confidence:.0%}: {low:+.3f} … {high:+.3f})" * known
    else:
        found = report_of(report)
        base = found.base_scores[metric]
        axes = _scatter(base, base + changes, sheet(ax, width=4.6, height=4.6))
        axes.set(xlabel=f"{label(metric)}, base", ylabel=f"{label(metric)}, adapted")
        title = f"{len(changes)} questions"
    axes.set_title(f"{title}\n{better} better, {same} same, {worse} worse", fontsize="medium", loc="left")
    return axes


def _bars(changes: np.ndarray, axes: Axes) -> Axes:
    """Bars from the highest to the lowest; those below zero are hatched."""
    places = np.arange(len(changes))
    edge = 0.4 if len(changes) <= 60 else 0
    up, down = changes > CHANGED, changes < -CHANGED
    axes.bar(places[up], changes[up], width=1, color=BLUE, edgecolor="white", linewidth=edge)
    axes.bar(places[down], changes[down], width=1, color="white", edgecolor=ORANGE, hatch=WORSE_HATCH, linewidth=0.6)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xlim(-0.5, len(changes) - 0.5)
    return axes


def _scatter(base: np.ndarray, adapted: np.ndarray, axes: Axes) -> Axes:
    """A dot for all questions with the same two figures, its area their number."""
    dots, counts = np.unique(np.round(np.stack([base, adapted], axis=1), 6), axis=0, return_counts=True)
    change = dots[:, 1] - dots[:, 0]
    axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8, linestyle=":")
    for chosen, colour, marker in (
        (np.abs(change) <= CHANGED, PALE, "o"),
        (change > CHANGED, BLUE, "^"),
        (change < -CHANGED, ORANGE, "v"),
    ):
        axes.scatter(
            dots[chosen, 0],
            dots[chosen, 1],
            s=14 + 10 * counts[chosen],
            color=colour,
            marker=marker,
            alpha=0.85,
            edgecolors="white",
            linewidths=0.5,
        )
    axes.set_aspect("equal")
    axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06))
    return axes
