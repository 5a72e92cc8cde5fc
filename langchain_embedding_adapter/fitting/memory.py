"""The memory: where the training questions live, and the way from there to their answers."""

from __future__ import annotations

import copy
import logging

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters import BaseAdapter, MemoryAdapter
from langchain_embedding_adapter.adapters.base import passed_through
from langchain_embedding_adapter.adapters.memory import MOST_CELLS
from langchain_embedding_adapter.vectors import Floats, PairVectors, unit

logger = logging.getLogger(__name__)

BLOCK = 1024
LARGE = 16_384 * 768
"""Numbers, of keys and values; a memory of no more recalls each entry by itself."""
CELLS_PER_ROOT = 2.3
"""Cells, over the root of the number of entries: 512 of 50,000."""
SAMPLED, ROUNDS = 8, 4
"""Of k-means: keys per cell, and how often the centres move."""


def fit_memory(
    vectors: PairVectors,
    adapter: MemoryAdapter,
    seed: int,
    *,
    known: MemoryAdapter | None = None,
    below: BaseAdapter | None = None,
) -> MemoryAdapter:
    """Remember the training questions, on top of the linear map that ``adapter`` holds.

    Args:
        vectors: The questions.
        adapter: Its map, size, temperature and strength.
        seed: Which questions stay whole where there are more than the memory holds.
        known: A memory whose entries are kept besides, counted towards the size.
        below: What the memory is to lie over, if it is not to lie beside a linear map.
    """
    keys, values = recall_table(vectors, adapter.out_features, below)
    if known is not None:
        used = known.keys.any(axis=1)
        keys, values = np.concatenate([known.keys[used], keys]), np.concatenate([known.values[used], values])
    return filled(adapter, *condense(keys, values, adapter.size, seed), seed)


def filled(adapter: MemoryAdapter, keys: Floats, values: Floats, seed: int) -> MemoryAdapter:
    """The memory with these entries, sorted into its cells if it has any.

    Args:
        adapter: Its map, size, temperature, strength and cells.
        keys: ``(entries, in_features)``, of unit length; no more than its size.
        values: ``(entries, out_features)``.
        seed: Of the cells.
    """
    fitted = copy.deepcopy(adapter)
    if adapter.cell is not None:
        numbers = cells_of(keys, adapter.cells, seed)
        order = np.argsort(numbers, kind="stable")
        keys, values = keys[order], values[order]
        fitted.cell = np.full(adapter.size, adapter.cells, dtype=np.float32)  # what is unused is a cell of its own
        fitted.cell[: len(keys)] = numbers[order]
    fitted.keys, fitted.values = np.zeros_like(adapter.keys), np.zeros_like(adapter.values)
    fitted.keys[: len(keys)], fitted.values[: len(keys)] = keys, values
    return fitted


def memory_for(in_features: int, out_features: int, size: int, temperature: float, strength: float) -> MemoryAdapter:
    """A memory of this size that recalls nothing yet; one that is ``LARGE`` has cells."""
    cells = (
        0 if size * (in_features + out_features) <= LARGE else min(MOST_CELLS - 1, round(CELLS_PER_ROOT * size**0.5))
    )
    return MemoryAdapter(in_features, out_features, size, temperature=temperature, strength=strength, cells=cells)


def cells_of(keys: Floats, count: int, seed: int) -> NDArray[np.intp]:
    """The cell of each key, ``(keys,)``, by spherical k-means on a part of them."""
    random = np.random.default_rng(seed)
    part = keys[random.choice(len(keys), min(len(keys), SAMPLED * count), replace=False)]
    centres = part[:count].copy()
    for _ in range(ROUNDS):
        nearest = _nearest(part, centres)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, part)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.where(lengths > 0, lengths, 1), centres)
    return _nearest(keys, centres)


def recall_table(vectors: PairVectors, out_features: int, below: BaseAdapter | None = None) -> tuple[Floats, Floats]:
    """Each question's unit vector, ``(questions, in)``, and the way from there to its answers, ``(questions, out)``.

    With an adapter ``below``, it is the way from where that adapter leads.
    """
    keys, answers = mean_answers(vectors)
    return keys, answers - (passed_through(keys, out_features) if below is None else below.adapt(keys))


def mean_answers(vectors: PairVectors) -> tuple[Floats, Floats]:
    """Each question's unit vector, ``(questions, in)``, and the mean of its passages by grade, ``(questions, out)``."""
    passages = unit(vectors.passages[vectors.relevant.flat])
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
    nearest = _nearest(keys, leaders)
    nearest[kept] = np.arange(size)
    merged_keys, merged_values = np.zeros_like(leaders), np.zeros((size, values.shape[1]), dtype=np.float32)
    np.add.at(merged_keys, nearest, keys)
    np.add.at(merged_values, nearest, values)
    logger.info("the memory condenses %d questions to %d", len(keys), size)
    return unit(merged_keys), merged_values


def _nearest(keys: Floats, centres: Floats) -> NDArray[np.intp]:
    return np.concatenate([(block @ centres.T).argmax(axis=1) for block in _blocks(keys)])


def _blocks(keys: Floats) -> list[Floats]:
    return [keys[start : start + BLOCK] for start in range(0, len(keys), BLOCK)]
