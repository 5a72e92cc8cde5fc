"""The rule that takes the winner.

Of the candidates that lose nothing on new passages and are not significantly behind the best one there, the one with
the best sum of both gains. With few questions, of those that are themselves a standard error ahead of the base, and of
that one the simplest form that is within one standard error of it. (A form of it: what has nothing to do with it may be
near by noise alone.) Where there is none, the base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.metrics import SIGNIFICANT, label
from langchain_embedding_adapter.selection.candidates import BASE, Candidate, Future

NEW, SAME, VALIDATION = "new passages", "same passages", "validation questions"

Gains = NDArray[np.float64]


def choose(
    gains: Mapping[str, Mapping[Candidate, Gains]], expect: Future, *, small: bool, metric: str
) -> tuple[Candidate, str]:
    """The winner by the rule, and the reason.

    Args:
        gains: For each future each candidate's gain on each question, candidates from simple to complex.
        expect: Which future counts.
        small: Whether there are few questions, and so simplicity counts.
        metric: What the gains are measured in, for the reason.
    """
    counting, guard, eligible = eligible_of(gains, expect)

    def total(choice: Candidate) -> float:
        return sum(float(gains[kind][choice].mean()) for kind in counting)

    def error_behind(choice: Candidate, other: Candidate) -> float:
        return float(np.hypot.reduce([standard_error(gains[kind][other] - gains[kind][choice]) for kind in counting]))

    reliable = [choice for choice in eligible if total(choice) > small * error_behind(choice, BASE)]
    winner = max(reliable, key=total, default=BASE)
    forms = (choice for choice in reliable if winner.contains(choice))
    near = (choice for choice in forms if total(winner) - total(choice) <= small * error_behind(choice, winner))
    simplest = next(near, BASE)
    asked = len(gains[counting[0]][BASE])
    if simplest == BASE:
        return BASE, (
            f"No gain that can be relied on: none of {len(gains[counting[0]])} candidates did better"
            f"{' by a standard error' * small} on {asked} questions that its fit had not seen, and the base is kept."
        )
    figures = " and ".join(
        f"{100 * gains[kind][simplest].mean():+.1f} ± {100 * standard_error(gains[kind][simplest]):.1f} on {kind}"
        for kind in gains
    )
    because = f"the best gain of those not significantly behind the best on {guard}" if guard else "the best gain"
    if simplest != winner:
        because = f"the simplest form of {winner} within one standard error of it"
    return simplest, (
        f"Chosen: {simplest}. It gains {figures} ({label(metric)} × 100, {asked} questions that the fit had not seen); "
        f"{because}."
    )


def eligible_of(
    gains: Mapping[str, Mapping[Candidate, Gains]], expect: Future
) -> tuple[list[str], str | None, list[Candidate]]:
    """The futures that count, the one on which nothing may be lost, and the candidates that lose nothing there."""
    counting = [kind for kind in gains if expect == "both" or kind in (expect, VALIDATION)]
    guard = next((kind for kind in (NEW, VALIDATION) if kind in counting), None)
    choices = list(gains[counting[0]])
    if guard is None:
        return counting, guard, choices
    best = max(choices, key=lambda choice: float(gains[guard][choice].mean()))
    least = float(gains[guard][best].mean()) - SIGNIFICANT * standard_error(gains[guard][best])
    return counting, guard, [choice for choice in choices if gains[guard][choice].mean() >= max(least, 0)]


def ahead(gains: Mapping[str, Mapping[Candidate, Gains]], chosen: Candidate, expect: Future) -> Iterator[list[Gains]]:
    """How far the winner is ahead of each other candidate that might have won, on each question of each future."""
    counting, _, choices = eligible_of(gains, expect)
    for other in choices:
        yield [gains[kind][chosen] - gains[kind][other] for kind in counting]


def standard_error(gains: Gains) -> float:
    """The standard error of the mean."""
    return float(gains.std() / len(gains) ** 0.5)
