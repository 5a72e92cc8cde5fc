"""What fitting minimises: matrices in, a number out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LEAST = -60.0
"""Scores further below the highest count as this: what they add is lost in rounding, and denormal numbers are slow."""

HARDEST = 16
"""Negatives of each question that the margin is asked of."""


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
    small = gap.abs().neg_().exp_()
    # The sigmoid of the gap and its softplus; torch's own round differently on another number of threads.
    pull = weights * torch.where(gap < 0, small, 1) / (1 + small)
    cost = weights * (gap.clamp(min=0) + small.log1p())
    push = torch.zeros_like(total).index_add_(0, rows, pull)
    gradient = shares.mul_((push / total)[:, None])
    gradient[rows, columns] = -pull
    return torch.zeros_like(total).index_add_(0, rows, cost).sum(), gradient


def margin(scores: Tensor, rows: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
    """Each right passage should score higher by one than each of its question's :data:`HARDEST` hardest negatives.

    ``Σ w · mean_n max(0, 1 + s_n − s_p)`` over the pairs, ``n`` running over the highest scores among the passages that
    do not answer the question.

    Args and result as :func:`multi_positive_softmax`.
    """
    negatives = scores.index_put((rows, columns), scores.new_tensor(-torch.inf))
    hardest = negatives.topk(min(HARDEST, negatives.shape[1]), dim=1).values  # (questions, hardest)
    count = hardest.isfinite().sum(dim=1).clamp(min=1)  # where nearly every passage answers there are fewer
    violation = (1 + hardest.clamp(min=-1e30)[rows] - scores[rows, columns][:, None]).clamp(min=0)
    return (weights * violation.sum(dim=1) / count[rows]).sum()


def listwise_kl(scores: Tensor, rows: Tensor, opinions: Tensor, weights: Tensor) -> Tensor:
    """How far our scores are from a teacher's opinion of a list of passages: the sum of ``w · KL(teacher ‖ ours)``.

    Both are softmax distributions over the passages that the teacher has listed for a question. Convex in the scores.

    Args:
        scores: ``(listed,)``, scaled.
        rows: ``(listed,)``, the question of each.
        opinions: ``(listed,)``, the teacher's scores, in units in which their softmax is its belief.
        weights: ``(questions,)``.

    Returns:
        The sum over the questions, a scalar.
    """
    ours, theirs = (log_softmax_by_row(values, rows, len(weights)) for values in (scores, opinions))
    return (weights[rows] * theirs.exp() * (theirs - ours)).sum()


def listwise_kl_and_gradient(scores: Tensor, rows: Tensor, opinions: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """:func:`listwise_kl` and its gradient with respect to the scores, the same on any number of threads."""
    ours, theirs = (log_softmax_by_row(values, rows, len(weights)) for values in (scores, opinions))
    belief, importance = theirs.exp(), weights[rows]
    by_question = torch.zeros_like(weights).index_add_(0, rows, importance * belief * (theirs - ours))
    return by_question.sum(), importance * (ours.exp() - belief)


def margin_mse(scores: Tensor, rows: Tensor, opinions: Tensor, weights: Tensor, answers: Tensor) -> Tensor:
    """Mean squared error of how far a right passage is ahead of the others in a teacher's list (Margin-MSE).

    After Hofstätter et al., 2020 (arXiv:2010.02666): as far as the teacher puts it ahead, so far should we.

    Args:
        scores: ``(listed,)``, scaled.
        rows: ``(listed,)``, the question of each.
        opinions: ``(listed,)``, the teacher's scores, in the units of ours.
        weights: ``(questions,)``.
        answers: ``(listed,)``, whether the passage answers the question; a question without one counts nothing.

    Returns:
        The sum over the questions of the mean over its other passages, a scalar.
    """
    error = scores - opinions
    right = answers.to(error.dtype)
    nothing = error.new_zeros(len(weights))
    count, others = nothing.index_add(0, rows, right), nothing.index_add(0, rows, 1 - right)
    of_right = nothing.index_add(0, rows, right * error) / count.clamp(min=1)
    squares = (1 - right) * (of_right[rows] - error) ** 2 / others.clamp(min=1)[rows]
    return (weights[rows] * (count > 0)[rows] * squares).sum()


def log_softmax_by_row(values: Tensor, rows: Tensor, count: int) -> Tensor:
    """``(listed,)`` log-probabilities, each of ``count`` lists on its own; ``rows`` says whose each value is."""
    highest = values.new_full((count,), -torch.inf).scatter_reduce(0, rows, values.detach(), "amax")
    shifted = values - highest[rows]
    total = torch.zeros_like(highest).index_add(0, rows, shifted.exp())
    return shifted - total.log()[rows]


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
