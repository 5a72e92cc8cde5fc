"""The nearest of many centres, at a cost that grows much less than their number.

Few keys and centres are compared each with each. Where that would take minutes, centres are looked for in the cells
near a key only: by faiss where it is installed (its inverted file), else by the same in two levels of matrix products.
Either finds the nearest one nearly always, and else one that is nearly as near.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.vectors import Floats, unit

logger = logging.getLogger(__name__)

EACH_WITH_EACH = 2**28
"""Cosines of keys and centres; if there would be no more, all are computed."""
IN_CACHE = 2**22
"""Cosines at a time."""
PROBES = 4
"""Cells of centres that are looked into for a key."""
PER_CELL = 32
"""Centres of a cell, about."""
SAMPLED, ROUNDS = 8, 4
"""Of k-means: keys per centre, and how often the centres move."""

Rows = NDArray[np.intp]
Find = Callable[[Floats], Rows]


def nearest_of(centres: Floats, keys: int, seed: int) -> Find:
    """What finds the row of the centre of the largest product, ``(n,)``, for keys ``(n, dimensions)``.

    Args:
        centres: ``(centres, dimensions)``.
        keys: How many will be asked about in all.
        seed: Of the cells, where there are so many that they are sorted.
    """
    if keys * len(centres) <= EACH_WITH_EACH or len(centres) <= PROBES * PER_CELL:
        return lambda block: _of_all(block, centres)
    return _by_faiss(centres, seed) if faiss_if_installed() else _in_two_levels(centres, seed)


def faiss_if_installed() -> Any:
    """The module, or ``None``."""
    try:
        return import_module("faiss")
    except ImportError:
        logger.info("faiss is not installed, and NumPy takes its place; it is faster: pip install faiss-cpu")
        return None


def k_means(part: Floats, count: int) -> Floats:
    """Centres of unit length, ``(count, dimensions)``, by spherical k-means that begins at the first of these keys."""
    centres: Floats = part[:count].copy()
    for _ in range(ROUNDS):
        present, sums = sums_by(_of_all(part, centres), part)
        found = np.linalg.norm(sums, axis=1) > 0
        centres[present[found]] = unit(sums[found])
    return centres


def sums_by(groups: NDArray[np.integer[Any]], rows: Floats) -> tuple[NDArray[np.integer[Any]], Floats]:
    """The groups ``(groups,)`` that there are, ascending, and the sum of the rows of each, ``(groups, dimensions)``."""
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    sums: Floats = np.add.reduceat(rows[order], starts)
    return present, sums


def _of_all(keys: Floats, centres: Floats) -> Rows:
    size = max(1, IN_CACHE // max(1, len(centres)))
    found = [(block @ centres.T).argmax(axis=1) for block in _blocks(keys, size)]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.intp)


def _blocks(keys: Floats, size: int) -> Iterator[Floats]:
    return (keys[start : start + size] for start in range(0, len(keys), size))


def _by_faiss(centres: Floats, seed: int) -> Find:
    faiss = faiss_if_installed()
    coarse = faiss.IndexFlatIP(centres.shape[1])
    cells = len(centres) // PER_CELL
    index = faiss.IndexIVFFlat(coarse, centres.shape[1], cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.spherical, index.cp.min_points_per_centroid = seed, True, 1  # it warns of fewer
    index.train(centres)
    index.add(centres)
    index.nprobe = PROBES

    def find(keys: Floats) -> Rows:
        _ = coarse  # the index does not own it
        found: Rows = index.search(np.ascontiguousarray(keys), 1)[1][:, 0]
        missed = np.flatnonzero(found < 0)  # all of its cells are empty
        found[missed] = _of_all(keys[missed], centres)
        return found

    return find


def _in_two_levels(centres: Floats, seed: int) -> Find:
    cells = max(2, round(len(centres) ** 0.5))
    random = np.random.default_rng(seed)
    coarse = k_means(centres[random.choice(len(centres), min(len(centres), SAMPLED * cells), replace=False)], cells)
    cell = _of_all(centres, coarse)
    near = np.argsort(-(coarse @ coarse.T), axis=1)[:, : 2 * PROBES]  # (cells, probes)
    within = [np.flatnonzero(np.isin(cell, row)) for row in near]

    def find(keys: Floats) -> Rows:
        found = np.empty(len(keys), dtype=np.intp)
        of_key = _of_all(keys, coarse)
        for number in np.unique(of_key).tolist():
            asking, candidates = np.flatnonzero(of_key == number), within[number]
            if not len(candidates):
                candidates = np.arange(len(centres))
            found[asking] = candidates[_of_all(keys[asking], centres[candidates])]
        return found

    return find
