"""L-BFGS: it finds minima, in few evaluations, and stops when it is told to or has to."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from langchain_embedding_adapter.fitting.lbfgs import HISTORY, descend

CURVATURES = torch.logspace(-1, 2, 12).reshape(3, 4)
LOWEST = torch.linspace(-1, 1, 12).reshape(3, 4)


def bowl(point: Tensor) -> tuple[float, Tensor]:
    """Quadratic, a thousand times steeper along one axis than along another."""
    away = point - LOWEST
    return float((CURVATURES * away**2).sum()) / 2 + 1, CURVATURES * away


def well(point: Tensor) -> tuple[float, Tensor]:
    """Nearly linear far away and steep beside the minimum, where a first step can go much too far."""
    return float(torch.cosh(point).log().sum()) + 1e-2, point.tanh()


def flat(value: float, gradient: Tensor) -> bool:
    return float(gradient.norm()) < 1e-4


def counted(function, calls: list):
    def objective(point: Tensor) -> tuple[float, Tensor]:
        calls.append(point.clone())
        return function(point)

    return objective


def test_it_finds_the_minimum_as_fast_as_scipy_does() -> None:
    calls: list[Tensor] = []
    point, value, gradient = descend(counted(bowl, calls), torch.zeros(3, 4), flat, 200)
    assert torch.allclose(point, LOWEST, atol=1e-3)
    assert value - 1 < 1e-6
    assert flat(value, gradient)

    curvatures, lowest = (part.double().numpy().ravel() for part in (CURVATURES, LOWEST))
    theirs = minimize(
        lambda point: (curvatures @ (point - lowest) ** 2 / 2 + 1, curvatures * (point - lowest)),
        np.zeros(12),
        jac=True,
        method="L-BFGS-B",
        options={"maxcor": HISTORY, "gtol": 3e-5, "ftol": 1e-14},
    )
    assert theirs.success
    assert len(calls) < 1.2 * theirs.nfev


def test_a_step_that_goes_too_far_is_taken_back() -> None:
    calls: list[Tensor] = []
    start = torch.full((2, 2), 0.01)  # a small slope, and a value that will not come down to zero
    point, value, _ = descend(counted(well, calls), start, flat, 100)
    assert max(float(call.abs().max()) for call in calls) > 0.1
    assert float(point.abs().max()) < 1e-3
    assert value < well(start)[0]


def test_where_it_starts_well_it_stays() -> None:
    calls: list[Tensor] = []
    point, _, _ = descend(counted(bowl, calls), LOWEST.clone(), flat, 200)
    assert torch.equal(point, LOWEST)
    assert len(calls) == 1


def test_it_never_takes_more_evaluations_than_allowed_nor_a_worse_point() -> None:
    for most in range(1, 8):
        calls: list[Tensor] = []
        _, value, _ = descend(counted(bowl, calls), torch.zeros(3, 4), flat, most)
        assert len(calls) <= most
        assert value <= bowl(torch.zeros(3, 4))[0]


def test_what_rounding_hides_ends_the_search() -> None:
    calls: list[Tensor] = []
    descend(counted(bowl, calls), torch.zeros(3, 4), lambda value, gradient: False, 10_000)
    assert len(calls) < 1000
