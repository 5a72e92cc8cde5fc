"""The memory: where the training questions live, and the way from there to their answers."""

from __future__ import annotations

import copy
import logging
from typing import overload

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters import BaseAdapter, MemoryAdapter, QuantisedMemoryAdapter
from langchain_embedding_adapter.adapters.base import passed_through
from langchain_embedding_adapter.adapters.memory import MOST_CELLS
from langchain_embedding_adapter.config import CROWDED
from langchain_embedding_adapter.fitting.entries import Entries, answers_of, room
from langchain_embedding_adapter.fitting.nearest import SAMPLED, k_means, nearest_of, sums_by
from langchain_embedding_adapter.fitting.quantised import fill_quantised
from langchain_embedding_adapter.vectors import Floats, PairVectors, unit

logger = logging.getLogger(__name__)

BLOCK = 8192
LARGE = 16_384 * 768
"""Numbers, of keys and values; a memory of no more recalls each entry by itself."""
VAST = 65_536 * 768
"""Numbers; a memory of the questions that has more holds them as codes."""
CELLS_PER_ROOT = 2.3
"""Cells, over the root of the number of entries: 512 of 50,000."""
MOST_CODED_CELLS = 4096

AnyMemory = MemoryAdapter | QuantisedMemoryAdapter


@overload
def fit_memory(
    vectors: PairVectors,
    adapter: MemoryAdapter,
    seed: int,
    *,
    known: MemoryAdapter | None = None,
    below: BaseAdapter | None = None,
) -> MemoryAdapter: ...


@overload
def fit_memory(
    vectors: PairVectors,
    adapter: AnyMemory,
    seed: int,
    *,
    known: MemoryAdapter | None = None,
    below: BaseAdapter | None = None,
) -> AnyMemory: ...


def fit_memory(
    vectors: PairVectors,
    adapter: AnyMemory,
    seed: int,
    *,
    known: MemoryAdapter | None = None,
    below: BaseAdapter | None = None,
) -> AnyMemory:
    """Remember the training questions, on top of the linear map that ``adapter`` holds.

    Args:
        vectors: The questions; arrays may be mapped from files, and are read in blocks.
        adapter: Its map, size, temperature and strength. A quantised one has as many entries as it needs, up to its
            size.
        seed: Which questions stay whole where there are more than the memory holds.
        known: A memory whose entries are kept besides, counted towards the size.
        below: What the memory is to lie over, if it is not to lie beside a linear map.
    """
    entries = Entries(vectors, adapter.out_features, known=known, below=below)
    if len(entries) > adapter.size:
        entries = Entries.of(*condense(entries, adapter.size, seed))
    if isinstance(adapter, QuantisedMemoryAdapter):
        return fill_quantised(entries, adapter, seed)
    return filled(adapter, *entries.at(np.arange(len(entries))), seed)


def filled(adapter: MemoryAdapter, keys: Floats, values: Floats, seed: int) -> MemoryAdapter:
    """The memory with these entries, sorted into its cells if it has any.

    Args:
        adapter: Its map, size, temperature, strength and cells.
        keys: ``(entries, in_features)``, of unit length; no more than its size.
        values: ``(entries, out_features)``.
        seed: Of the cells.
    """
    fitted = copy.copy(adapter)
    fitted.weight = adapter.weight.copy()
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


def question_memory(in_features: int, out_features: int, size: int, temperature: float, strength: float) -> AnyMemory:
    """:func:`memory_for`, or of a size that is ``VAST`` a quantised memory."""
    if size * (in_features + out_features) <= VAST:
        return memory_for(in_features, out_features, size, temperature, strength)
    cells = min(MOST_CODED_CELLS, round(CELLS_PER_ROOT * size**0.5))
    return QuantisedMemoryAdapter(in_features, out_features, size, cells, temperature=temperature, strength=strength)


def cells_of(keys: Floats, count: int, seed: int) -> NDArray[np.intp]:
    """The cell of each key, ``(keys,)``, by spherical k-means on a part of them."""
    random = np.random.default_rng(seed)
    part = keys[random.choice(len(keys), min(len(keys), SAMPLED * count), replace=False)]
    return nearest_of(k_means(part, count), len(keys), seed)(keys)


def recall_table(vectors: PairVectors, out_features: int, below: BaseAdapter | None = None) -> tuple[Floats, Floats]:
    """Each question's unit vector, ``(questions, in)``, and the way from there to its answers, ``(questions, out)``.

    With an adapter ``below``, it is the way from where that adapter leads.
    """
    keys, answers = mean_answers(vectors)
    return keys, answers - (passed_through(keys, out_features) if below is None else below.adapt(keys))


def mean_answers(vectors: PairVectors) -> tuple[Floats, Floats]:
    """Each question's unit vector, ``(questions, in)``, and the mean of its passages by grade, ``(questions, out)``."""
    return unit(vectors.queries), answers_of(vectors.passages, vectors.relevant, vectors.grades)


def condense(entries: Entries, size: int, seed: int) -> tuple[Floats, Floats]:
    """At most ``size`` entries that recall nearly what all of them do, ``(size, in)`` and ``(size, out)``.

    A random part of the keys stays; every other is merged into the nearest that stays (:func:`nearest_of`). Keys are
    averaged. Values, whose kernels would have been added, are added, and divided by the root of how many there are:
    the farther apart the questions are that an entry stands for, the less it may say.
    """
    if len(entries) <= size:
        return entries.at(np.arange(len(entries)))
    kept = np.sort(np.random.default_rng(seed).choice(len(entries), size, replace=False))
    leaders, _ = entries.at(kept)
    find = nearest_of(leaders, len(entries), seed)
    merged = room((size, entries.features[0])), room((size, entries.features[1]))
    counts = np.zeros(size, dtype=np.int64)
    for rows, *both in entries.blocks():
        nearest = find(both[0])
        own = np.searchsorted(kept, rows)
        stays = kept[np.minimum(own, size - 1)] == rows
        nearest[stays] = own[stays]
        for total, found in zip(merged, both, strict=True):
            present, sums = sums_by(nearest, found)
            total[present] += sums
        counts += np.bincount(nearest, minlength=size)
    roots = np.sqrt(counts, dtype=np.float32)[:, None]
    for start in range(0, size, BLOCK):
        part = slice(start, start + BLOCK)
        merged[0][part] = unit(merged[0][part])
        merged[1][part] /= roots[part]
    logger.info("the memory condenses %d questions to %d", len(entries), size)
    if len(entries) > CROWDED * size:
        logger.warning(
            "more than %d questions are merged into each entry of the memory, which may then mislead; "
            "raise memory_size from %d (up to %d) or leave the memory out",
            CROWDED,
            size,
            len(entries),
        )
    return merged
