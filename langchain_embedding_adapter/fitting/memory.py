"""The memory: where the training questions live, and the way from there to their answers."""

from __future__ import annotations

import copy
import logging

import numpy as np

from langchain_embedding_adapter.adapters import MemoryAdapter
from langchain_embedding_adapter.adapters.base import passed_through
from langchain_embedding_adapter.vectors import Floats, PairVectors, unit

logger = logging.getLogger(__name__)

BLOCK = 1024


def fit_memory(
    vectors: PairVectors, adapter: MemoryAdapter, seed: int, *, known: MemoryAdapter | None = None
) -> MemoryAdapter:
    """Remember the training questions, on top of the linear map that ``adapter`` holds.

    Args:
        vectors: The questions.
        adapter: Its map, size, temperature and strength.
        seed: Which questions stay whole where there are more than the memory holds.
        known: A memory whose entries are kept besides, counted towards the size.
    """
    keys, values = recall_table(vectors, adapter.out_features)
    if known is not None:
        used = known.keys.any(axis=1)
        keys, values = np.concatenate([known.keys[used], keys]), np.concatenate([known.values[used], values])
    keys, values = condense(keys, values, adapter.size, seed)
    fitted = copy.deepcopy(adapter)
    fitted.keys, fitted.values = np.zeros_like(adapter.keys), np.zeros_like(adapter.values)
    fitted.keys[: len(keys)], fitted.values[: len(keys)] = keys, values
    return fitted


def recall_table(vectors: PairVectors, out_features: int) -> tuple[Floats, Floats]:
    """Each question's unit vector, ``(questions, in)``, and the way from there to its answers, ``(questions, out)``."""
    keys, answers = mean_answers(vectors)
    return keys, answers - passed_through(keys, out_features)


def mean_answers(vectors: PairVectors) -> tuple[Floats, Floats]:
    """Each question's unit vector, ``(questions, in)``, and the mean of its passages by grade, ``(questions, out)``."""
    passages = unit(vectors.passages[np.concatenate(vectors.relevant)])
    _, starts = np.unique(vectors.pair_rows, return_index=True)
    answers = np.add.reduceat(vectors.shares.astype(np.float32)[:, None] * passages, starts)
    return unit(vectors.queries), answers


def condense(keys: Floats, values: Floats, size: int, seed: int) -> tuple[Floats, Floats]:
    """At most ``size`` entries that recall nearly what all of them do.

    A random part of the keys stays; every other is merged into the nearest that stays: keys are averaged, values, whose
    kernels would have been added, are added.
    """
    if len(keys) <= size:
        return keys, values
    kept = np.sort(np.random.default_rng(seed).choice(len(keys), size, replace=False))
    leaders = keys[kept]
    nearest = np.concatenate([(block @ leaders.T).argmax(axis=1) for block in _blocks(keys)])
    nearest[kept] = np.arange(size)
    merged_keys, merged_values = np.zeros_like(leaders), np.zeros((size, values.shape[1]), dtype=np.float32)
    np.add.at(merged_keys, nearest, keys)
    np.add.at(merged_values, nearest, values)
    logger.info("the memory condenses %d questions to %d", len(keys), size)
    return unit(merged_keys), merged_values


def _blocks(keys: Floats) -> list[Floats]:
    return [keys[start : start + BLOCK] for start in range(0, len(keys), BLOCK)]
