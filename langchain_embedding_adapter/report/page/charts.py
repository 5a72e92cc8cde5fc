"""Charts as inline SVG: plain marks placed in per cent: charts are as wide as there is room, and text keeps its size.

Every chart is an image with a title that says in words what it shows; colours are the style sheet's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10

from markupsafe import Markup, escape

from langchain_embedding_adapter.report.page.data import Choice, Row, Shift

HEIGHT = 240
"""Of a chart with axes, in pixels."""


def gain_scale(rows: Sequence[Row]) -> tuple[float, float]:
    """The least and the greatest gain that rows which stand below each other have to show, 0 among them."""
    ends = [0.0]
    for row in rows:
        if row.gain is not None:
            ends += [value for value in (row.gain.mean, row.gain.low, row.gain.high) if value is not None]
    low, high = min(ends), max(ends)
    room = 0.06 * ((high - low) or 1.0)
    return low - room, high + room


def gain_mark(row: Row, scale: tuple[float, float]) -> Markup:
    """A row's gain as a dot on its interval, beside the line of no change."""
    if row.gain is None:
        return Markup("")

    def place(value: float) -> str:
        return f"{100 * (value - scale[0]) / (scale[1] - scale[0]):.2f}%"

    low, high = row.gain.low, row.gain.high
    told = f"{escape(row.name)}: gain {row.gain.mean:+.3f}"
    line = ""
    if low is not None and high is not None:
        told += f", 95% interval {low:+.3f} to {high:+.3f}"
        line = f'<line class="reach" x1="{place(low)}" x2="{place(high)}" y1="10" y2="10"/>'
    return _svg(
        f'<svg class="gain is-{row.status}" height="20" role="img"><title>{told}</title>'
        f'<line class="zero" x1="{place(0)}" x2="{place(0)}" y1="0" y2="20"/>{line}'
        f'<circle cx="{place(row.gain.mean)}" cy="10" r="4.5"/></svg>'
    )


def tally_bar(tally: tuple[int, int, int]) -> Markup:
    """How many questions are answered better, as well and worse, as one bar."""
    total = sum(tally) or 1
    parts, at = [], 0.0
    for name, count in zip(("better", "same", "worse"), tally, strict=True):
        width = 100 * count / total
        parts.append(f'<rect class="{name}" x="{at:.2f}%" width="{width:.2f}%" height="14"/>')
        at += width
    told = f"{tally[0]} questions answered better, {tally[1]} as well, {tally[2]} worse"
    return _svg(f'<svg class="tally" height="14" role="img"><title>{told}</title>{"".join(parts)}</svg>')


def candidates_chart(choice: Choice) -> Markup:
    """Candidates by their gains in both futures, the winner ringed."""
    if len(choice.futures) != 2:
        return Markup("")
    across = _Axis([one.figures[0][0] for one in choice.candidates] + [0])
    upward = _Axis([one.figures[1][0] for one in choice.candidates] + [0])
    marks = []
    for one in sorted(choice.candidates, key=lambda one: one.chosen):
        kind = "chosen" if one.chosen else "base" if one.base else "other"
        x, y = across.per_cent(one.figures[0][0]), 100 - upward.per_cent(one.figures[1][0])
        name = f"{one.name}: {one.figures[0][0]:+.1f} on {choice.futures[0]}, {one.figures[1][0]:+.1f} on "
        name += choice.futures[1]
        marks.append(
            f'<circle class="{kind}" cx="{x:.2f}%" cy="{y:.2f}%" r="{7 if one.chosen else 5}">'
            f"<title>{escape(name)}</title></circle>"
        )
    winner = next((one for one in choice.candidates if one.chosen), None)
    told = f"Gains of {len(choice.candidates)} candidates on {choice.futures[0]} and on {choice.futures[1]}."
    if winner is not None:
        told += f" The winner, {winner.name}, is ringed."
    return _framed(
        told, across, upward, "".join(marks), f"gain × 100 on {choice.futures[0]}", f"on {choice.futures[1]}"
    )


def history_chart(history: Sequence[Mapping[str, float]]) -> tuple[Markup, str]:
    """The course of the fit, by the first figure that has one, and its name; nothing of fewer than four rows."""
    names = [name for row in history for name in row if name not in ("step", "epoch", "seconds")]
    for name in dict.fromkeys(names):
        points = [(float(number), float(row[name])) for number, row in enumerate(history) if name in row]
        if len(points) > 3:
            break
    else:
        return Markup(""), ""
    across, upward = _Axis([x for x, _ in points], whole=True), _Axis([y for _, y in points])
    line = " ".join(f"{across.per_cent(x):.2f},{100 - upward.per_cent(y):.2f}" for x, y in points)
    body = (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">'
        f'<polyline class="course" points="{line}"/></svg>'
    )
    step = "epoch" if any("epoch" in row for row in history) else "step"
    label = name.replace("_", " ")
    told = f"{label} over {len(points)} {step}s, from {points[0][1]:.4g} to {points[-1][1]:.4g}."
    return _framed(told, across, upward, body, step, label), label


def shift_chart(shift: Shift) -> Markup:
    """Two histograms over each other: the scores of the best hits, base and adapted."""
    across = _Axis([shift.edges[0], shift.edges[-1]], exact=True)
    upward = _Axis([0, *shift.base, *shift.adapted], whole=True)
    parts = []
    for name, counts in (("base", shift.base), ("adapted", shift.adapted)):
        points = []
        for left, right, count in zip(shift.edges[:-1], shift.edges[1:], counts, strict=True):
            height = 100 - upward.per_cent(count)
            points += [f"{across.per_cent(left):.2f},{height:.2f}", f"{across.per_cent(right):.2f},{height:.2f}"]
        parts.append(f'<polygon class="hill {name}" points="0,100 {" ".join(points)} 100,100"/>')
    body = (
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" width="100%" height="100%">' + "".join(parts) + "</svg>"
    )
    (_, before, _), (_, after, _) = shift.quartiles
    told = (
        f"Scores of the best hits: with the base half are above {before:.3f}, with the adapter half above {after:.3f}."
    )
    return _framed(told, across, upward, body, "cosine of the best hit", "questions")


CHARTS = {
    chart.__name__: chart for chart in (gain_scale, gain_mark, tally_bar, candidates_chart, history_chart, shift_chart)
}
"""By name, for the template."""


class _Axis:
    """Where values lie between two round ends, in per cent, and which values are marked."""

    def __init__(self, values: Sequence[float], *, whole: bool = False, exact: bool = False) -> None:
        low, high = min(values), max(values)
        if high - low < 1e-12:
            low, high = low - 0.5, high + 0.5
        step = 10.0 ** _exponent((high - low) / 4)
        for times in (1, 2, 2.5, 5, 10):
            if (high - low) / (step * times) <= 5:
                step *= times
                break
        if whole:
            step = max(1.0, float(round(step)))
        first, last = _floor(low / step), -_floor(-high / step)
        self.low, self.high = (low, high) if exact else (first * step, last * step)
        ticks = [number * step for number in range(first, last + 1)]
        self.ticks = [tick for tick in ticks if self.low - 1e-9 <= tick <= self.high + 1e-9]
        self.digits = next((digits for digits in range(6) if abs(step * 10**digits % 1) < 1e-9), 6)

    def per_cent(self, value: float) -> float:
        return 100 * (value - self.low) / (self.high - self.low)

    def text(self, value: float) -> str:
        return f"{value + 0.0:.{self.digits}f}".replace("-", "\N{MINUS SIGN}")


def _framed(told: str, across: _Axis, upward: _Axis, body: str, name: str, upward_name: str) -> Markup:
    """A chart's body between its axes: rows of figures are HTML, so that they keep their size."""
    grid = "".join(
        f'<line class="grid" x1="0" x2="100%" y1="{100 - upward.per_cent(tick):.2f}%" '
        f'y2="{100 - upward.per_cent(tick):.2f}%"/>'
        for tick in upward.ticks
    )
    grid += "".join(
        f'<line class="grid" y1="0" y2="100%" x1="{across.per_cent(tick):.2f}%" x2="{across.per_cent(tick):.2f}%"/>'
        for tick in across.ticks
    )
    side = "".join(
        f'<text x="100%" dx="-6" y="{100 - upward.per_cent(tick):.2f}%" dy="4" text-anchor="end">'
        f"{upward.text(tick)}</text>"
        for tick in upward.ticks
    )
    below = "".join(
        f'<text x="{across.per_cent(tick):.2f}%" y="14" text-anchor="middle">{across.text(tick)}</text>'
        for tick in across.ticks
    )
    return _svg(
        f'<div class="chart" role="img" aria-label="{escape(told)}">'
        f'<p class="axis-name upward" aria-hidden="true">{escape(upward_name)}</p>'
        f'<svg class="ticks side" aria-hidden="true">{side}</svg>'
        f'<svg class="plot" aria-hidden="true">{grid}{body}</svg>'
        f'<svg class="ticks below" aria-hidden="true">{below}</svg>'
        f'<p class="axis-name" aria-hidden="true">{escape(name)}</p></div>'
    )


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 names in it were escaped where they were put in, the rest is figures


def _exponent(value: float) -> int:
    return floor(log10(value))


def _floor(value: float) -> int:
    return floor(value + 1e-9)
