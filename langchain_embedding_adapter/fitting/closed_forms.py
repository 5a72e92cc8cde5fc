"""Maps with a closed form: cheap, stable with few questions, and the yardsticks for what is fitted.

Each takes unit query vectors ``(questions, in)`` and the mean of each one's passages ``(questions, out)``, both
tensors, and returns a :class:`LinearAdapter`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.adapters.base import identity_matrix
from langchain_embedding_adapter.fitting.threads import SideBySide

ClosedForm = Callable[[Tensor, Tensor], LinearAdapter]

RIDGE_SHARE = 1.0
"""Ridge of :func:`ridge_regression`, as a multiple of the mean eigenvalue of the questions' second moment."""


def _on_one_thread(form: ClosedForm) -> ClosedForm:
    """The same, but so that decompositions and long sums do not depend on the number of threads."""

    @functools.wraps(form)
    def alone(queries: Tensor, answers: Tensor) -> LinearAdapter:
        with SideBySide(workers=1):
            return form(queries, answers)

    return alone


@_on_one_thread
def mean_shift(queries: Tensor, answers: Tensor) -> LinearAdapter:
    """``q + (mean answer − mean question)``: the gap between how questions and passages are embedded."""
    adapter = LinearAdapter(queries.shape[1], answers.shape[1], bias=True)
    start = torch.from_numpy(adapter.weight)
    adapter.bias = (answers.mean(dim=0) - (queries @ start.T).mean(dim=0)).numpy()
    return adapter


@_on_one_thread
def centred_procrustes(queries: Tensor, answers: Tensor) -> LinearAdapter:
    """The rotation that brings centred questions nearest to their centred answers, and the shift between centres."""
    from_centre, to_centre = queries.mean(dim=0), answers.mean(dim=0)
    start = torch.from_numpy(identity_matrix(answers.shape[1], queries.shape[1]))
    # Directions that no question covers are pulled to the identity, which leaves them alone; where questions are few,
    # only the directions that they or their answers cover are turned.
    cross = (answers - to_centre).T @ (queries - from_centre) / len(queries)
    pull = 1e-3 / len(start)
    if len(start) == start.shape[1] > 2 * len(queries):
        basis, _ = torch.linalg.qr(torch.cat([answers - to_centre, queries - from_centre]).T)
        left, _, right = torch.linalg.svd(basis.T @ cross @ basis + pull * torch.eye(basis.shape[1]))
        rotation = start + basis @ (left @ right - torch.eye(basis.shape[1])) @ basis.T
    else:
        left, _, right = torch.linalg.svd(cross + pull * start, full_matrices=False)
        rotation = left @ right
    adapter = LinearAdapter(queries.shape[1], answers.shape[1], bias=True)
    adapter.weight = rotation.numpy()
    adapter.bias = (to_centre - rotation @ from_centre).numpy()
    return adapter


@_on_one_thread
def ridge_regression(queries: Tensor, answers: Tensor) -> LinearAdapter:
    """Least squares from questions to answers, held to the identity."""
    adapter = LinearAdapter(queries.shape[1], answers.shape[1])
    start = torch.from_numpy(adapter.weight)
    moment = queries.T @ queries / len(queries)
    penalty = RIDGE_SHARE * moment.trace() / len(moment)
    residual = (answers - queries @ start.T).T @ queries / len(queries)
    move = torch.linalg.solve(moment + penalty * torch.eye(len(moment)), residual.T).T
    adapter.weight = (start + move).numpy()
    return adapter


CLOSED_FORMS: Mapping[str, ClosedForm] = {
    "mean shift": mean_shift,
    "procrustes": centred_procrustes,
    "ridge regression": ridge_regression,
}
