"""The convex fit on several processes."""

from __future__ import annotations

from torch import Tensor

from langchain_embedding_adapter.fitting.lbfgs import Objective
from langchain_embedding_adapter.fitting.ranks import Ranks


def reduced(objective: Objective, ranks: Ranks) -> Objective:
    """The sum over all ranks of an objective that is a sum of parts, each rank having some of them.

    Every rank calls it at the same point and gets the same value and gradient, bit for bit; what they have in common,
    as a ridge, is added to the result, once. Descend with ``ranks.agreed(dot)``, so that no step is taken by some ranks
    alone::

        def mine(point):  # the loss and gradient of this rank's share: blocks[ranks.rank :: ranks.count]
            ...

        share = reduced(mine, ranks)

        def objective(point):
            loss, gradient = share(point)
            return loss / count + ridge * dot(point, point), gradient.div_(count).add_(point, alpha=2 * ridge)

        descend(objective, start, converged, most, ranks.agreed(dot))

    Args:
        objective: Value and gradient of this rank's part at a point; a rank that has no part gives zeros.
        ranks: All of them. With one, it is the objective itself.

    Returns:
        The objective: the gradient is added up in its own precision, in place, and the value in double precision, as
        the line search tells steps apart by its last digits.
    """

    def over_all(point: Tensor) -> tuple[float, Tensor]:
        loss, gradient = objective(point)
        return ranks.total(loss), ranks.add(gradient)

    return over_all
