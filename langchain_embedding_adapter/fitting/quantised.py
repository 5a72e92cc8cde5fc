"""A quantised memory, filled: cells, what their entries have in common, and codes for how these differ.

The entries are read a few times over and a block at a time; what is held is what the memory will hold.
"""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters import QuantisedMemoryAdapter
from langchain_embedding_adapter.fitting.entries import Entries
from langchain_embedding_adapter.fitting.nearest import SAMPLED as KEYS_SAMPLED
from langchain_embedding_adapter.fitting.nearest import Find, k_means, nearest_of, sums_by
from langchain_embedding_adapter.fitting.product_codes import SAMPLED, ProductCodes
from langchain_embedding_adapter.vectors import Floats

logger = logging.getLogger(__name__)

CROWDED = 4
"""A cell of more than so many times the average is divided: a near cell is read as a whole."""
MOST_GAIN = 2
"""A key's difference that its codes shorten more is not made up for: it is hardly there, or they tell of another."""

Cells = NDArray[np.int32]


def fill_quantised(entries: Entries, adapter: QuantisedMemoryAdapter, seed: int) -> QuantisedMemoryAdapter:
    """The memory with all of these entries.

    Args:
        entries: At least one.
        adapter: Its map, temperature, strength, width, and about how many cells there are to be.
        seed: Of the cells and codes.
    """
    cell = divided_cells(entries, adapter.cells, seed)
    counts = np.bincount(cell)
    order = np.argsort(cell, kind="stable")
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    filled = QuantisedMemoryAdapter(**{**adapter.arguments, "size": len(entries), "cells": len(counts)})
    filled.weight, filled.counts = adapter.weight.copy(), counts.astype(np.uint32)
    filled.means, filled.ways = _means(entries, cell, counts)

    part = _some(len(entries), SAMPLED, seed)
    keys, values = entries.at(part)
    of_keys = ProductCodes(keys - filled.means[cell[part]], adapter.width, seed)
    of_values = ProductCodes(values - filled.ways[cell[part]], adapter.width, seed)
    filled.key_book, filled.value_book = of_keys.book, of_values.book
    for rows, keys, values in entries.blocks():
        differing = keys - filled.means[cell[rows]]
        codes = of_keys.encode(differing)
        filled.key_codes[place[rows]] = codes
        filled.gains[place[rows]] = _gains(keys, differing, of_keys.decode(codes))
        filled.value_codes[place[rows]] = of_values.encode(values - filled.ways[cell[rows]])
    logger.info("the memory holds %d questions as codes, in %d cells", len(entries), len(counts))
    return filled


def divided_cells(entries: Entries, count: int, seed: int) -> Cells:
    """The cell of each entry, ``(entries,)``: about ``count`` cells, none much larger than the others.

    Cells of k-means are of different sizes, and that of a question that is asked all the time is large; it is divided
    by k-means again, and what is still large, being all alike, anyhow.
    """
    find = _cells_of(entries, np.arange(len(entries)), count, seed)
    cell = np.concatenate([find(keys) for _, keys, _ in entries.blocks()]).astype(np.int32)
    most = max(2, CROWDED * len(entries) // count)
    counts = np.bincount(cell)
    for crowded in np.flatnonzero(counts > most).tolist():
        rows = np.flatnonzero(cell == crowded)
        find = _cells_of(entries, rows, CROWDED * len(rows) // most, seed)
        within = np.concatenate([find(keys) for _, keys, _ in entries.blocks(rows)])
        cell[rows] = len(counts) + within
        counts = np.bincount(cell)
    order = np.argsort(cell, kind="stable")
    number = np.arange(len(cell)) - np.searchsorted(cell[order], cell[order])  # of each among its cell's
    pairs = np.stack([cell[order], number // most])
    cell[order] = np.cumsum(np.any(np.diff(pairs, prepend=pairs[:, :1]) != 0, axis=0))
    return cell


def _cells_of(entries: Entries, rows: NDArray[np.intp], count: int, seed: int) -> Find:
    """What tells the cells of these entries, about ``count``."""
    keys, _ = entries.at(rows[_some(len(rows), KEYS_SAMPLED * count, seed)])
    return nearest_of(k_means(np.random.default_rng(seed).permutation(keys), count), len(rows), seed)


def _means(entries: Entries, cell: Cells, counts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The mean key and value of each cell."""
    sums = [np.zeros((len(counts), features)) for features in entries.features]
    for rows, *both in entries.blocks():
        for total, found in zip(sums, both, strict=True):
            present, added = sums_by(cell[rows], found)
            total[present] += added
    means, ways = ((total / counts[:, None]).astype(np.float32) for total in sums)
    return means, ways


def _gains(keys: Floats, differing: Floats, coded: Floats) -> Floats:
    """What makes the products of these keys with their coded differences those with the differences, ``(n,)``."""
    whole, short = (np.einsum("nd,nd->n", keys, found) for found in (differing, coded))
    made_up_for = (whole > 0) & (MOST_GAIN * short > whole)
    return np.where(made_up_for, whole / np.where(made_up_for, short, 1), 1).astype(np.float32)


def _some(count: int, most: int, seed: int) -> NDArray[np.intp]:
    """At most so many rows of so many, ascending."""
    return np.sort(np.random.default_rng(seed).choice(count, min(count, most), replace=False))
