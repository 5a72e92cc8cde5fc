"""Which entries of a shard are no negatives: near-duplicates of right passages, and likely right ones nobody labelled.

The same entries as :class:`~langchain_embedding_adapter.fitting.Problem` leaves out, found without any rank holding
another's passages: each tells the others its right ones, a block at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.ranks import Ranks
from langchain_embedding_adapter.fitting.shard import Indices, Marks, Pairs, Shard
from langchain_embedding_adapter.stores import Metric
from langchain_embedding_adapter.vectors import Ragged

Found = Iterator[tuple[Indices, Indices]]


def masked(shard: Shard, pairs: Pairs, config: TrainingConfig, ranks: Ranks, metric: Metric) -> Shard:
    """The shard with its masked entries: those near a right passage, or as high as one, that are not right themselves.

    Args:
        shard: Without any.
        pairs: Of all questions.
        config: From which cosine on, from which share of the best right score on; ``None`` masks nothing.
        ranks: All of them, as they find the entries together.
        metric: What the passages are compared by.
    """
    width = len(shard.passages)
    found = [np.zeros(0, np.int64)]
    if config.duplicates_above is not None:
        found += [
            rows * width + columns for rows, columns in _twins(shard, pairs, config.duplicates_above, ranks, metric)
        ]
    if config.false_negatives_above is not None:
        found += [rows * width + columns for rows, columns in _likely(shard, config.false_negatives_above, ranks)]
    right = (shard.right.rows * width + shard.right.columns).cpu().numpy()
    keys = np.setdiff1d(np.concatenate(found), right)
    nothing = np.zeros(0, np.float32)
    return replace(shard, masked=Marks.of(keys // width, keys % width, nothing, ranks.device))


def _twins(shard: Shard, pairs: Pairs, above: float, ranks: Ranks, metric: Metric) -> Found:
    """Question and own passage where that is nearly the same as a right one."""
    directions = shard.passages if metric != "dot" else torch.nn.functional.normalize(shard.passages)
    order = np.argsort(pairs.columns, kind="stable")
    askers = Ragged.in_rows(pairs.rows[order], np.bincount(pairs.columns, minlength=pairs.count))
    asked = np.flatnonzero(askers.counts)
    for owner, share in enumerate(pairs.share(ranks)):
        theirs = torch.from_numpy(asked[(asked >= share.start) & (asked < share.stop)] - share.start)
        for part in theirs.to(ranks.device).split(shard.block):
            block = directions[part] if owner == ranks.rank else directions.new_empty(len(part), directions.shape[1])
            alike = ranks.told(block, by=owner) @ directions.T >= above
            if owner == ranks.rank:
                alike[torch.arange(len(part), device=part.device), part] = False
            passage, twin = (places.cpu().numpy() for places in alike.nonzero(as_tuple=True))
            rows = askers.take(part.cpu().numpy()[passage] + share.start)
            yield rows.flat, np.repeat(twin, rows.counts)


def _likely(shard: Shard, share: float, ranks: Ranks) -> Found:
    """Question and own passage where the base scores that above a share of the question's best right one."""
    first = 0
    for block in shard.blocks():
        queries = block.queries[:, : shard.queries.shape[1]]
        right = block.right
        scores = (queries[right.rows] * shard.passages[right.columns]).sum(dim=1)
        best = _highest_by_row(scores, right.rows, len(queries), ranks)
        near = (queries @ shard.passages.T > share * best.clamp(min=0)[:, None]) & (best > 0)[:, None]
        rows, columns = (places.cpu().numpy() for places in near.nonzero(as_tuple=True))
        yield rows + first, columns
        first += len(queries)


def _highest_by_row(scores: Tensor, rows: Tensor, count: int, ranks: Ranks) -> Tensor:
    best = scores.new_full((count,), -torch.inf)
    return ranks.highest(best.scatter_reduce(0, rows, scores, "amax"))
