"""L-BFGS for a strictly convex function of one matrix (Nocedal & Wright, *Numerical Optimization*, 2006, chapter 7).

``torch.optim.LBFGS`` stops by the largest entry of the gradient, which depends on the axes, and takes a first step that
does not depend on the problem. Here the caller says when it is done, and the first step is in the function's own scale.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

HISTORY = 6
"""Steps whose curvature is remembered; each costs two matrices of the size of the point."""
FIRST_STEP = 0.5
"""Of the step that would bring a linear function down to zero (Polyak's): this one does not come down to zero."""
SUFFICIENT = 1e-4
"""A step is taken when the function falls by this share of what its slope promises (Armijo's condition)."""
ROUNDING = 1e-6
"""A value is known to this share of it: where a step changes it by less, slopes tell whether it leads down."""
PATIENCE = 5
"""After so many steps that bring neither a lower value nor a shorter gradient, no more are taken."""
SHORTEST = 1e-6
"""A step shorter than this share of the first try is lost in rounding."""

Objective = Callable[[Tensor], tuple[float, Tensor]]
Dot = Callable[[Tensor, Tensor], float]
Curvature = deque[tuple[Tensor, Tensor, float]]
"""Of the last steps: the step, how the gradient changed, and the product of both."""


def entrywise(left: Tensor, right: Tensor) -> float:
    """The sum of the products of their entries, the same on any number of threads."""
    return float(torch.linalg.vecdot(left, right).sum())


def descend(
    objective: Objective,
    start: Tensor,
    converged: Callable[[float, Tensor], bool],
    most_evaluations: int,
    dot: Dot = entrywise,
    known: Curvature | None = None,
) -> tuple[Tensor, float, Tensor]:
    """Go down from ``start``.

    Args:
        objective: Value and gradient at a point.
        start: The first point, of any shape.
        converged: Whether value and gradient say that this is near enough.
        most_evaluations: Of the objective.
        dot: The inner product of two points.
        known: What the steps of a similar function's descent have told; those of this one are added.

    Returns:
        The best point, its value and its gradient.
    """
    point, (value, gradient) = start, objective(start)
    evaluations, stalled = 1, 0
    best, least = (point, value, gradient), dot(gradient, gradient)
    pairs = no_curvature() if known is None else known
    while evaluations < most_evaluations and stalled < PATIENCE and not converged(value, gradient):
        direction = _direction(gradient, pairs, dot, first=FIRST_STEP * value)
        slope, length, taken = dot(gradient, direction), 1.0, False
        while evaluations < most_evaluations and length > SHORTEST and not taken:
            step = length * direction
            next_point = point + step
            next_value, next_gradient = objective(next_point)
            evaluations += 1
            taken = next_value <= value + SUFFICIENT * length * slope
            if not taken and next_value <= value + ROUNDING * abs(value):  # Hager & Zhang's approximate condition, 2005
                taken = dot(next_gradient, direction) <= (2 * SUFFICIENT - 1) * slope
            if not taken:  # where the parabola through both values and the slope is lowest
                lowest = -slope * length / (2 * (next_value - value - slope * length))
                length *= min(max(lowest, 0.02), 0.5)
        if not taken:
            break
        change = next_gradient - gradient
        curvature = dot(step, change)
        if curvature > 0:  # always, but for rounding
            pairs.append((step, change, curvature))
        point, value, gradient = next_point, next_value, next_gradient
        steepness = dot(gradient, gradient)
        if value < best[1] or steepness < least:
            best, least, stalled = (point, value, gradient), steepness, 0
        else:
            stalled += 1
    return best


def no_curvature() -> Curvature:
    """Where nothing is known of a function's curvature yet."""
    return deque(maxlen=HISTORY)


def _direction(gradient: Tensor, pairs: Curvature, dot: Dot, first: float) -> Tensor:
    """Where to go: minus the gradient, times what the last steps told of the inverse curvature (two-loop recursion)."""
    if not pairs:
        return gradient * (-first / dot(gradient, gradient))
    direction = -gradient
    shares = []
    for step, change, curvature in reversed(pairs):
        shares.append(dot(step, direction) / curvature)
        direction.add_(change, alpha=-shares[-1])
    _, change, curvature = pairs[-1]
    direction.mul_(curvature / dot(change, change))
    for (step, change, curvature), share in zip(pairs, reversed(shares), strict=True):
        direction.add_(step, alpha=share - dot(change, direction) / curvature)
    return direction
