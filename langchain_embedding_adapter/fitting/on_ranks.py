"""A fit on several processes, from opening the vectors to the adapter: what torchrun and Ray Train start on each."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from langchain_embedding_adapter.adapters import LinearAdapter
from langchain_embedding_adapter.config import TrainingConfig
from langchain_embedding_adapter.fitting.convex import History
from langchain_embedding_adapter.fitting.distributed import check_alike, fit_linear_on_ranks
from langchain_embedding_adapter.fitting.problem import QuestionWeights
from langchain_embedding_adapter.fitting.ranks import Ranks
from langchain_embedding_adapter.fitting.sampled import fit_linear_sampled
from langchain_embedding_adapter.vectors import PairVectors
from langchain_embedding_adapter.vectors.shards import open_pair_vectors

logger = logging.getLogger(__name__)

COPIES = 2
"""So many times a rank holds its passages, at most: it reads some while it holds the others."""


def fit_on_ranks(
    vectors: PairVectors,
    adapter: LinearAdapter,
    config: TrainingConfig,
    ranks: Ranks,
    *,
    question_weights: QuestionWeights | None = None,
    lighten: bool = False,
) -> tuple[LinearAdapter, History]:
    """:func:`~langchain_embedding_adapter.fitting.fit_linear` with all ranks, each calling this alike.

    Exact, the passages in shards, where no rank has more scores than ``config.exact_entries`` nor more passages than
    ``config.memory`` holds (by default half of the machine's, which its ranks share); else with sampled negatives, the
    questions shared out, and with ``lighten`` the ridge as light as held-out questions gain by.

    Returns:
        The fitted adapter, the same on all ranks but for rounding, and the loss of every evaluation.

    Raises:
        ValueError: If the ranks were started on different data or settings, or there are fewer passages than ranks.
        RuntimeError: If another rank has failed.
    """
    config = replace(config, device=ranks.device)
    memory = config.memory_bytes
    if config.memory is None:  # half of the machine's is for all of its ranks
        memory //= int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    passages, outputs = vectors.passages.shape
    if config.negatives == "asked":
        passages = len(np.unique(vectors.relevant.flat))
    scores, held = len(vectors.queries) * passages, 4 * COPIES * passages * outputs
    room = ranks.count * config.exact_entries, ranks.count * memory
    # Machines may have unlike memories: one that has too little decides for all.
    exact = ranks.total(float(scores > room[0] or held > room[1])) == 0
    logger.info("fitting on %d ranks, %s", ranks.count, "exactly" if exact else "with sampled negatives")
    if exact:
        return fit_linear_on_ranks(vectors, adapter, config, ranks, question_weights=question_weights)
    check_alike(vectors, adapter, config, question_weights or {}, ranks)
    config = replace(config, memory=memory)
    return fit_linear_sampled(vectors, adapter, config, ranks=ranks, question_weights=question_weights, lighten=lighten)


def open_on_ranks(folder: str | Path, ranks: Ranks, *, scratch: str | Path | None = None) -> PairVectors:
    """:func:`~langchain_embedding_adapter.vectors.shards.open_pair_vectors` by all ranks, one of each machine first.

    That one lays the vectors down on its machine's disk; the others then map the same files.
    """
    first = int(os.environ.get("LOCAL_RANK", 0)) == 0
    vectors = open_pair_vectors(folder, scratch=scratch) if first else None
    ranks.total(0.0)  # all wait here until every machine has them
    return open_pair_vectors(folder, scratch=scratch) if vectors is None else vectors
