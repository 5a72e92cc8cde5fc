"""How much was gained: against the number of training pairs, and in several metrics side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.metrics import label
from langchain_embedding_adapter.plots.paper import INK, PALE, interval, pens, sheet
from langchain_embedding_adapter.report.retrieval import RetrievalReport
from langchain_embedding_adapter.result import TrainingResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Reported: TypeAlias = RetrievalReport | TrainingResult


@dataclass(frozen=True)
class Gain:
    """What an adapter gained over the base, and between which figures that is known to lie.

    Attributes:
        mean: Of the questions.
        low: Lower end of the interval; not a number where there are too few questions for one.
        high: Upper end of it.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, reports: Reported | Sequence[Reported], metric: str = "ndcg@10", confidence: float = 0.95) -> Gain:
        """The gain in one metric, with a bootstrap interval over the questions.

        Args:
            reports: One, or several of the same questions (trainings on other samples of the pairs), of which each
                question's gain is the mean.
            metric: Which.
            confidence: Of the interval.

        Raises:
            ValueError: If a report has the base alone, or several are about different questions.
        """
        found = differences(reports, metric)
        return cls(float(found.mean()), *interval(found, confidence))


Gained: TypeAlias = Reported | Sequence[Reported] | Gain


def plot_gains(
    gains: Mapping[int, Gained] | Mapping[str, Mapping[int, Gained]],
    *,
    metric: str = "ndcg@10",
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Gain against training pairs: is it worth asking more questions?

    Args:
        gains: For each number of pairs what was gained with them: a report (``result.evaluate(test)``), a training
            result (its cross-validation counts), several of the same questions, or a :class:`Gain`. For several lines,
            a mapping of names to these.
        metric: Which of the reports' metrics.
        confidence: Of the bars, bootstrap intervals over the questions.
        ax: Where to draw; a new figure by default.

    Example:
        .. code-block:: python

            sizes = [100, 200, 400]
            reports = {size: trainer.train(train.subset(list(train.queries)[:size])).evaluate(test) for size in sizes}
            plot_gains(reports)
    """
    if not gains:
        raise ValueError("there is nothing to draw; expected a report for each number of pairs")
    lines: dict[str, Mapping[int, Gained]] = {}
    for key, value in gains.items():
        if isinstance(value, Mapping):
            lines[str(key)] = value
        else:
            lines.setdefault("", {})
            lines[""] = {**lines[""], int(key): value}
    axes = sheet(ax)
    axes.axhline(0, color=INK, linewidth=0.8)
    sizes = sorted({pairs for line in lines.values() for pairs in line})
    for number, ((name, line), pen) in enumerate(zip(lines.items(), pens(), strict=False)):
        pairs = sorted(line)
        points = [_gain(line[size], metric, confidence) for size in pairs]
        mean = np.array([100 * point.mean for point in points])
        low, high = (
            np.array([100 * end for end in ends]) for ends in zip(*((p.low, p.high) for p in points), strict=True)
        )
        aside = 1 + 0.03 * (number - (len(lines) - 1) / 2)  # bars of several lines stand beside each other
        axes.errorbar(
            [size * aside for size in pairs],
            mean,
            yerr=np.abs(np.stack([mean - low, high - mean])),
            color=pen.colour,
            marker=pen.marker,
            linestyle=pen.line,
            capsize=3,
            elinewidth=1,
            label=name,
        )
    axes.set(xscale="log", xlabel="training pairs", ylabel=f"{label(metric)} × 100 gained over the base")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    if list(lines) != [""]:
        axes.legend(frameon=False)
    return axes


def plot_metrics(
    reports: Reported | Mapping[str, Reported],
    metrics: Sequence[str] | None = None,
    *,
    confidence: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Base and adapted side by side in several metrics; of several adapters, on the same questions.

    Args:
        reports: One, or several by name.
        metrics: Which, by key; by default those that :class:`RetrievalReport` prints of the largest cut-off.
        confidence: Of the bars: bootstrap intervals of the gain, drawn around the adapted figure. The base's figure has
            none: the same questions are asked of both, and what matters is the difference.
        ax: Where to draw; a new figure by default.

    Raises:
        ValueError: If there is no report, or one has the base alone.

    Example:
        .. code-block:: python

            reports = {"linear": linear.evaluate(test), "two-layer": network.evaluate(test)}
            plot_metrics(reports, ["hit_rate@5", "mrr@10"])
    """
    named = reports if isinstance(reports, Mapping) else {"adapted": reports}
    if not named:
        raise ValueError("there is nothing to draw; expected at least one report")
    first = report_of(next(iter(named.values())))
    if metrics is None:
        last = max(int(metric.partition("@")[2]) for metric in first.base_scores)
        metrics = [metric for metric in first.base_scores if metric.endswith(f"@{last}")]
    axes = sheet(ax, height=1.2 + 0.28 * len(metrics) * (1 + len(named)))
    places = {"base": 0, **{name: number for number, name in enumerate(named, start=1)}}
    spread = 0.7 / len(places)
    rows = np.arange(len(metrics))
    bases = [first[metric].base for metric in metrics]
    axes.scatter(bases, rows - 0.35 + spread / 2, marker="|", s=160, color=PALE, linewidth=3, label="base", zorder=3)
    for row, base in zip(rows.tolist(), bases, strict=True):
        axes.plot([base, base], [row - 0.4, row + 0.4], color=PALE, linewidth=0.8, linestyle=":")
    for (name, reported), pen in zip(named.items(), pens(), strict=False):
        at = rows - 0.35 + spread * (places[name] + 0.5)
        gains = [Gain.of(reported, metric, confidence) for metric in metrics]
        starts = [report_of(reported)[metric].base for metric in metrics]
        adapted = np.array([start + gain.mean for start, gain in zip(starts, gains, strict=True)])
        reach = np.array([[gain.mean - gain.low, gain.high - gain.mean] for gain in gains]).T
        axes.errorbar(
            adapted,
            at,
            xerr=np.abs(reach),
            color=pen.colour,
            marker=pen.marker,
            linestyle="none",
            capsize=3,
            elinewidth=1,
            label=name,
        )
    axes.set_yticks(rows, [label(metric) for metric in metrics])
    axes.invert_yaxis()
    axes.set_xlabel(f"mean of {len(first.query_ids)} questions; bars: {confidence:.0%} interval of the gain")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def report_of(reported: Reported) -> RetrievalReport:
    """A report as it is, a training result's own."""
    return reported.report if isinstance(reported, TrainingResult) else reported


def differences(reports: Reported | Sequence[Reported], metric: str) -> NDArray[np.float64]:
    """Adapted less base of each question, ``(questions,)``; the mean over several reports of the same questions.

    Raises:
        ValueError: If a report has the base alone, or several are about different questions.
    """
    several = [report_of(each) for each in (reports if isinstance(reports, Sequence) else [reports])]
    if len({each.query_ids for each in several}) != 1:
        raise ValueError("expected one report, or several of the same questions in the same order")
    found = []
    for each in several:
        base = each.base_scores[each[metric].metric]
        if each.adapted_scores is None:
            raise ValueError("the report has the base alone: there is no gain to draw")
        found.append(each.adapted_scores[metric] - base)
    mean: NDArray[np.float64] = np.mean(found, axis=0)
    return mean


def _gain(gained: Gained, metric: str, confidence: float) -> Gain:
    return gained if isinstance(gained, Gain) else Gain.of(gained, metric, confidence)
