"""What fitting minimises: matrices in, a number out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import softplus

LEAST = -60.0
"""Scores further below the highest count as this: what they add is lost in rounding, and denormal numbers are slow."""


def multi_positive_softmax(scores: Tensor, rows: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of each positive against its question's negatives, the other positives left out.

    ``Σ w · −log [exp(s_p) / (exp(s_p) + Σ_n exp(s_n))]`` over the pairs, ``n`` running over the passages that do not
    answer the question. Convex in the scores. The mean over the positives of each loss (rather than one of their sum)
    asks that every one of them ranks high, which tracks nDCG.

    Args:
        scores: ``(questions, passages)``, scaled; ``-inf`` where a passage is no negative though it is no positive.
        rows: ``(pairs,)``, the question of each pair.
        columns: ``(pairs,)``, the passage of each pair.
        weights: ``(pairs,)``.

    Returns:
        The weighted sum, a scalar; it can be differentiated once.
    """
    loss: Tensor = _MultiPositiveSoftmax.apply(scores, rows, columns, weights)  # type: ignore[no-untyped-call]
    return loss


def loss_and_gradient(scores: Tensor, rows: Tensor, columns: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`multi_positive_softmax` and its gradient with respect to the scores, which it overwrites."""
    positives = scores[rows, columns]
    scores[rows, columns] = -torch.inf
    highest = scores.amax(dim=1, keepdim=True).clamp(min=-1e30)  # a question may have no negative
    shares = scores.sub_(highest).clamp_(min=LEAST).exp_()
    total = shares.sum(dim=1)
    gap = (total.log() + highest[:, 0])[rows] - positives
    pull = weights * gap.sigmoid()
    push = torch.zeros_like(total).index_add_(0, rows, pull)
    gradient = shares.mul_((push / total)[:, None])
    gradient[rows, columns] = -pull
    return (weights * softplus(gap)).sum(), gradient


class _MultiPositiveSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, rows: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
        loss, gradient = loss_and_gradient(scores.clone(), rows, columns, weights)
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_outputs[0], None, None, None
