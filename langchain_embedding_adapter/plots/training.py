"""How an adapter came about: the epochs or steps of its fit, and what it was chosen among."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from langchain_embedding_adapter.metrics import METRICS, label
from langchain_embedding_adapter.plots.paper import BLUE, INK, ORANGE, pens, sheet
from langchain_embedding_adapter.result import TrainingResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from langchain_embedding_adapter.selection.choice import Selection


def plot_history(history: TrainingResult | Sequence[Mapping[str, float]], *, ax: Axes | None = None) -> Axes:
    """The fit, step by step: its loss, and for adapters trained in epochs the figure that decides.

    Args:
        history: A training result or its ``history``. Of a linear map it has the loss at every evaluation of the
            objective, of an adapter trained in epochs loss and figure after every epoch, the base's first.
        ax: Where to draw; a new figure by default. The loss of epochs gets a second scale, on the right.

    Raises:
        ValueError: If nothing was fitted: the base was kept, or the winner has a closed form.
    """
    rows = history.history if isinstance(history, TrainingResult) else history
    step = next((name for name in ("epoch", "step") if rows and name in rows[0]), None)
    if step is None or not any("loss" in row for row in rows):
        raise ValueError("the history has no losses: the base was kept, or what was chosen has a closed form")
    metric = next((name for name in rows[0] if name.partition("@")[0] in METRICS), None)
    losses = [(row[step], row["loss"]) for row in rows if "loss" in row]
    axes = sheet(ax, height=3.4)
    axes.set_xlabel(step if step == "epoch" else "evaluations of the objective")
    if step == "step" or metric is None:
        axes.plot(*zip(*losses, strict=True), color=BLUE, marker=".", label="loss")
        axes.set_ylabel("loss")
        if metric is not None:
            axes.set_title(
                f"{label(metric)} {rows[0][metric]:.3f} → {rows[-1][metric]:.3f} on questions not fitted",
                fontsize="medium",
                loc="left",
            )
        return axes
    figures = [(row[step], row[metric]) for row in rows]
    best = max(range(len(figures)), key=lambda row: figures[row][1])
    axes.plot(*zip(*figures, strict=True), color=BLUE, marker="o", label=label(metric))
    axes.axhline(figures[0][1], color=INK, linewidth=0.8, linestyle=":", label="base")
    axes.plot(*figures[best], marker="o", markersize=13, markerfacecolor="none", markeredgecolor=BLUE, linestyle="none")
    word, aside, side = ("kept", (0, 11), "center") if best else ("the base is kept", (11, 8), "left")
    axes.annotate(word, figures[best], aside, textcoords="offset points", ha=side)
    axes.margins(y=0.18)
    axes.set_ylabel(f"{label(metric)}, held-out questions")
    second = axes.twinx()
    second.spines["top"].set_visible(False)
    second.plot(*zip(*losses, strict=True), color=ORANGE, marker="s", markersize=4, linestyle="--", label="loss")
    second.set_ylabel("loss")
    handles, names = axes.get_legend_handles_labels()
    further = second.get_legend_handles_labels()
    handles, names = handles + further[0], names + further[1]
    axes.legend(handles, names, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=len(names))
    return axes


def plot_selection(selection: TrainingResult | Selection, *, most: int = 12, ax: Axes | None = None) -> Axes:
    """What was tried and what won: each candidate's gain in both futures, best first, with standard errors.

    Args:
        selection: A training result or its ``selection``.
        most: How many candidates to show; the winner and the base are among them in any case.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: If there was none: adapters trained in epochs are examined alone (:func:`plot_history`).
    """
    from langchain_embedding_adapter.selection.candidates import BASE
    from langchain_embedding_adapter.selection.rule import standard_error

    found = selection.selection if isinstance(selection, TrainingResult) else selection
    if found is None:
        raise ValueError("nothing was selected: this adapter was trained in epochs (see plot_history)")
    futures = list(found.gains)
    total = {
        choice: sum(float(found.gains[future][choice].mean()) for future in futures)
        for choice in found.gains[futures[0]]
    }
    listed = sorted(total, key=lambda choice: -total[choice])
    kept = {found.chosen, BASE, *listed[:most]}
    listed = [choice for choice in listed if choice in kept]
    axes = sheet(ax, width=9, height=1.2 + 0.3 * len(listed))
    axes.axvline(0, color=INK, linewidth=0.8)
    for number, (future, pen) in enumerate(zip(futures, pens(), strict=False)):
        gains = [100 * found.gains[future][choice] for choice in listed]
        axes.errorbar(
            [float(gain.mean()) for gain in gains],
            np.arange(len(listed)) + 0.22 * (number - (len(futures) - 1) / 2),
            xerr=[standard_error(gain) for gain in gains],
            color=pen.colour,
            marker=pen.marker,
            linestyle="none",
            elinewidth=1,
            capsize=2,
            label=future,
        )
    names = [("✔ " if choice == found.chosen else "") + str(choice) for choice in listed]
    axes.set_yticks(range(len(listed)), names)
    for choice, text in zip(listed, axes.get_yticklabels(), strict=True):
        text.set_fontweight("bold" if choice == found.chosen else "normal")
    winner = listed.index(found.chosen)
    axes.axhspan(winner - 0.5, winner + 0.5, color="0.92", zorder=0, linewidth=0)
    axes.invert_yaxis()
    axes.set_xlabel(f"{label(found.metric)} × 100 gained (± standard error)")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(futures))
    return axes
