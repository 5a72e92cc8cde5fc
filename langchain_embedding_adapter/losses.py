"""What fitting minimises: matrices in, a number out."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus


def multi_positive_softmax(scores: Tensor, rows: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of each positive against its question's negatives, the other positives left out.

    ``Σ w · −log [exp(s_p) / (exp(s_p) + Σ_n exp(s_n))]`` over the pairs, ``n`` running over the passages that do not
    answer the question. Convex in the scores. The mean over the positives of each loss (rather than one of their sum)
    asks that every one of them ranks high, which tracks nDCG.

    Args:
        scores: ``(questions, passages)``, scaled.
        rows: ``(pairs,)``, the question of each pair.
        columns: ``(pairs,)``, the passage of each pair.
        weights: ``(pairs,)``.

    Returns:
        The weighted sum, a scalar.
    """
    negatives = scores.index_put((rows, columns), scores.new_tensor(-1e9))
    return (weights * softplus(negatives.logsumexp(dim=1)[rows] - scores[rows, columns])).sum()
