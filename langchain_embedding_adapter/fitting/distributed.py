"""The convex fit on several processes, the passages in shards: the same optimum as on one.

For each block of questions the ranks tell each other the highest score, the sum of the softmax and the pull of the
right passages, a number a question each; for each evaluation the gradient, a number an entry of the map. The descent
runs on every rank alike.
"""

from __future__ import annotations

import logging
import zlib
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.convex import SAMPLE, History, as_matrix, moved_by, to_the_optimum
from langchain_embedding_adapter.fitting.lbfgs import Objective, entrywise
from langchain_embedding_adapter.fitting.problem import QuestionWeights
from langchain_embedding_adapter.fitting.products import inner
from langchain_embedding_adapter.fitting.ranks import Ranks
from langchain_embedding_adapter.fitting.shard import Block, Pairs, Shard, shard_of
from langchain_embedding_adapter.fitting.shard_masks import masked
from langchain_embedding_adapter.losses import LEAST
from langchain_embedding_adapter.vectors import PairVectors

logger = logging.getLogger(__name__)


def fit_linear_on_ranks(
    vectors: PairVectors,
    adapter: LinearAdapter,
    config: TrainingConfig,
    ranks: Ranks,
    *,
    question_weights: QuestionWeights | None = None,
) -> tuple[LinearAdapter, History]:
    """:func:`~langchain_embedding_adapter.fitting.fit_linear` on several processes, each calling this alike.

    A rank holds its shard of the passages, and for a block of questions as many scores as ``config.block_entries`` or
    a few dozen for each passage; questions are read anew for every evaluation. It computes where ``ranks`` says,
    whatever ``config.device``.

    Args:
        vectors: All questions and passages; mapped from files, a rank reads its own passages alone.
        adapter: The map to hold to.
        config: The settings, the same on every rank.
        ranks: All that take part.
        question_weights: How much questions count, by id.

    Returns:
        The fitted adapter, and the loss of every evaluation on all questions; the first rank's is the one to keep.

    Raises:
        ValueError: If the ranks were started on different data or settings, or there are fewer passages than ranks.
        RuntimeError: If another rank has failed, or did not come within the group's timeout.
    """
    check_alike(vectors, adapter, config, question_weights or {}, ranks)
    start, counting = adapter, np.arange(len(vectors.queries))
    if question_weights:
        counting = np.flatnonzero([question_weights.get(query, 1) > 0 for query in vectors.query_ids])
    if len(counting) > 2 * SAMPLE:
        part = np.sort(np.random.default_rng(config.seed).choice(counting, SAMPLE, replace=False))
        start, _ = _fit(vectors.rows(part), adapter, adapter, config, ranks, question_weights)
    return _fit(vectors, adapter, start, config, ranks, question_weights)


def _fit(
    vectors: PairVectors,
    centre: LinearAdapter,
    start: LinearAdapter,
    config: TrainingConfig,
    ranks: Ranks,
    question_weights: QuestionWeights | None,
) -> tuple[LinearAdapter, History]:
    """The map that is held to ``centre``, found from ``start``."""
    pairs = Pairs.of(vectors, config, question_weights)
    shard = shard_of(vectors, pairs, config, ranks, bias=centre.bias is not None)
    shard = masked(shard, pairs, config, ranks, vectors.metric)
    held, count = as_matrix(centre, ranks.device), len(vectors.queries)
    losses: list[float] = []
    share = reduced(lambda point: loss_and_gradient(shard, held + point, config.scale, ranks), ranks)
    dot = ranks.agreed(entrywise)

    def objective(point: Tensor) -> tuple[float, Tensor]:
        loss, gradient = share(point)
        losses.append(loss / count + config.ridge * dot(point, point))
        return losses[-1], gradient.div_(count).add_(point, alpha=2 * config.ridge)

    found = to_the_optimum(objective, as_matrix(start, ranks.device) - held, config, dot)
    return moved_by(centre, found), [{"step": step, "loss": loss} for step, loss in enumerate(losses)]


def loss_and_gradient(shard: Shard, matrix: Tensor, scale: float, ranks: Ranks) -> tuple[float, Tensor]:
    """A shard's part of the loss of a map, summed over all questions, and its gradient.

    Args:
        shard: This rank's.
        matrix: ``(out, in)``, the same on every rank.
        scale: Of the scores.
        ranks: All of them; each must call this.

    Returns:
        Those parts that add up to the loss and its gradient over the ranks.
    """
    gradient, total = torch.zeros_like(matrix), matrix.new_zeros((), dtype=torch.float64)
    for block in shard.blocks():
        scores = inner(inner(block.queries, matrix).mul_(scale), shard.passages)  # (block, own)
        loss, scores = _of_block(block, scores, shard.teacher_share, ranks)
        gradient.add_(inner(inner(shard.passages.T, scores), block.queries.T), alpha=scale)
        total += loss
    return float(total), gradient


def _of_block(block: Block, scores: Tensor, teacher_share: float, ranks: Ranks) -> tuple[Tensor, Tensor]:
    """The loss of the pairs in a shard, and its gradient with respect to the scores, which are overwritten.

    It is :func:`~langchain_embedding_adapter.losses.loss_and_gradient` and the teacher's
    :func:`~langchain_embedding_adapter.losses.listwise_kl`, their sums over passages taken over all shards.
    """
    right, listed = block.right, block.listed
    own = scores[listed.rows, listed.columns]
    scores[block.masked.rows, block.masked.columns] = -torch.inf
    positives = scores[right.rows, right.columns]
    scores[right.rows, right.columns] = -torch.inf
    nothing = scores.new_zeros(len(scores))
    highest = scores.amax(dim=1, keepdim=True).T  # (1, block), and one more row for what a teacher has listed
    if teacher_share:
        highest = torch.cat(
            [highest, torch.full_like(highest, -torch.inf).scatter_reduce(1, listed.rows[None], own[None], "amax")]
        )
    highest = ranks.highest(highest.contiguous()).clamp_(min=-1e30)  # a question may have no negative
    shares = scores.sub_(highest[0][:, None]).clamp_(min=LEAST).exp_()
    sums = [shares.sum(dim=1)]
    if teacher_share:
        sums.append(nothing.index_add(0, listed.rows, (own - highest[1][listed.rows]).exp()))
    total = ranks.add(torch.stack(sums))
    gap = (total[0].log() + highest[0])[right.rows] - positives
    pull = right.values * gap.sigmoid()
    push = ranks.add(nothing.index_add(0, right.rows, pull))
    gradient = shares.mul_((push / total[0])[:, None])
    gradient[right.rows, right.columns] = -pull
    loss = (right.values * softplus(gap)).sum()
    if teacher_share:
        ours = own - (highest[1] + total[1].log())[listed.rows]
        beliefs, importance = listed.values, block.importance[listed.rows]
        loss = (1 - teacher_share) * loss + teacher_share * (importance * beliefs.exp() * (beliefs - ours)).sum()
        gradient *= 1 - teacher_share
        gradient[listed.rows, listed.columns] += teacher_share * importance * (ours.exp() - beliefs.exp())
    return loss, gradient


def check_alike(
    vectors: PairVectors, adapter: LinearAdapter, config: TrainingConfig, weights: QuestionWeights, ranks: Ranks
) -> None:
    """See that all ranks are about to do the same."""
    given = repr((replace(config, device="cpu"), vectors.metric, sorted(weights.items())))
    start = b"".join(array.tobytes() for array in adapter.to_arrays().values())
    pairs = zlib.crc32(np.ascontiguousarray(vectors.relevant.flat).data)
    shapes = (*vectors.queries.shape, *vectors.passages.shape, len(vectors.relevant.flat), len(vectors.listed.flat))
    numbers = *shapes, pairs, zlib.crc32(given.encode()), zlib.crc32(start)
    ranks.check_same("questions, passages, pairs, settings and start", *numbers)


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
