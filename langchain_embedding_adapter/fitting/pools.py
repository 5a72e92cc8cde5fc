"""What a block of neighbouring questions competes with, where there are too many passages to compare them all.

A sum over all passages is estimated from a few of them, each counted as often as it stands for others (Horvitz and
Thompson, 1952). Nearly all of a softmax's sum comes from few passages, those that a question is confused with; so the
passages of the near cells are drawn with a probability in proportion to their part in it, up to certainty, and of all
the others a few at random. The right passages are always there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langchain_embedding_adapter.fitting.clustering import along_a_path, find_centres, nearest_centre
from langchain_embedding_adapter.fitting.problem import as_tensor
from langchain_embedding_adapter.fitting.products import inner
from langchain_embedding_adapter.fitting.threads import SideBySide
from langchain_embedding_adapter.vectors import PairVectors, unit
from langchain_embedding_adapter.vectors.spool import Floats, Spool, release

MOST_CELLS = 1024
REACH = 4
"""The passages of the near cells, over those that are drawn."""
MOST_READ = 2
"""So many times those are read at most; of more, a random part."""
FAR = 0.25
"""Share of the drawn ones that stand for the passages of all other cells."""
UNIFORM = 0.1
"""Share of the near ones that are drawn whatever they score: the map will move, and others will be confused."""
ROWS = 16_384
"""Vectors read at a time."""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """The passages that some questions compete for.

    Attributes:
        rows: ``(pool,)``, rows of :attr:`Candidates.vectors`.
        log_weights: ``(pool,)``, the logarithm of how many passages each stands for.
    """

    rows: NDArray[np.int32]
    log_weights: Floats


class Candidates:
    """All passages that may be negatives, sorted by cells of neighbours.

    Args:
        vectors: The questions and passages.
        rows: Rows of the passages, ascending.
        in_memory: Whether to hold their vectors, or to map them from a file.
        seed: Of the cells.

    Attributes:
        vectors: ``(candidates, out)``, what questions are multiplied with, cell by cell.
        centres: ``(cells, out)``, of unit length, neighbours following each other.
        starts: ``(cells + 1,)``, where each begins.
    """

    def __init__(self, vectors: PairVectors, rows: Indices, *, in_memory: bool, seed: int) -> None:
        length = mean_length(vectors) if vectors.metric == "dot" else None
        count = min(MOST_CELLS, max(1, round(len(rows) ** 0.5)))
        random = np.random.default_rng(seed)
        part = np.sort(random.choice(len(rows), min(len(rows), 32 * count), replace=False))
        with SideBySide() as pool:
            centres = find_centres(torch.from_numpy(unit(vectors.passages[rows[part]])), count, seed)
            self.centres = centres[along_a_path(centres)]
            parts = [rows[at : at + ROWS] for at in range(0, len(rows), ROWS)]
            nearest = pool.map(lambda part: self.nearest(torch.from_numpy(unit(read(vectors, part)))), parts)
        cells = np.concatenate(nearest)
        order = np.argsort(cells, kind="stable")
        self.starts = np.searchsorted(cells[order], np.arange(len(self.centres) + 1))
        self._places = np.empty(len(rows), dtype=np.int64)
        self._places[order] = np.arange(len(rows))
        self._rows = rows
        scaled = (scaled_targets(block, length) for block in blocks_of(vectors, rows[order]))
        self.vectors = Spool.of(scaled, (len(rows), vectors.passages.shape[1]), in_memory=in_memory)

    def __len__(self) -> int:
        return len(self._rows)

    def nearest(self, vectors: Tensor) -> Indices:
        """The cell that each of these, ``(n, out)``, is nearest to."""
        found: Indices = nearest_centre(vectors, self.centres).numpy()
        return found

    def places(self, passages: NDArray[np.intp]) -> Indices:
        """Rows of :attr:`vectors` of these rows of passages."""
        return self._places[np.searchsorted(self._rows, passages)]

    def draw(self, queries: Tensor, certain: Indices, size: int, scale: float, seed: tuple[int, ...]) -> Pool:
        """A pool for some questions.

        Args:
            queries: ``(questions, out)``, mapped as far as is known.
            certain: Rows of :attr:`vectors` that are in it in any case, ascending.
            size: How many to draw besides.
            scale: Inverse temperature of the softmax.
            seed: Of the draw.
        """
        random = np.random.default_rng(seed)
        cells = self._near(queries, REACH * size, scale)
        near = np.concatenate([np.arange(self.starts[cell], self.starts[cell + 1]) for cell in cells])
        near = near[~np.isin(near, certain, assume_unique=True)]
        share = min(1.0, MOST_READ * REACH * size / max(1, len(near)))
        if share < 1:  # cells of a very large collection
            near = np.sort(random.choice(near, round(share * len(near)), replace=False))
        others = len(self) - int((self.starts[cells + 1] - self.starts[cells]).sum())
        of_far = min(others, round(FAR * size))
        drawn, chances = self._drawn(queries, near, size - of_far, scale, random)
        far = self._far(cells, others, of_far, random)
        stands_for = np.full(len(far), others / max(1, of_far))
        kept = ~np.isin(far, certain)
        rows = np.concatenate([certain, drawn, far[kept]])
        weights = np.concatenate([np.ones(len(certain)), 1 / (share * chances), stands_for[kept]])
        return Pool(rows.astype(np.int32), np.log(weights).astype(np.float32))

    def _near(self, queries: Tensor, reach: int, scale: float) -> Indices:
        """The cells, ascending, in which the questions find most, until these hold ``reach`` passages."""
        sizes = np.diff(self.starts)
        scores = inner(queries, self.centres) * scale + torch.from_numpy(sizes).clamp(min=1e-9).log()
        order = scores.softmax(dim=1).sum(dim=0).argsort(descending=True, stable=True).numpy()
        count = 1 + int(np.searchsorted(np.cumsum(sizes[order]), reach))
        return np.sort(order[:count])

    def _drawn(
        self, queries: Tensor, near: Indices, size: int, scale: float, random: np.random.Generator
    ) -> tuple[Indices, NDArray[np.float64]]:
        """Some of the near ones, by how much the questions are confused with them, and the chance of each."""
        if size >= len(near):
            return near, np.ones(len(near))
        passages = torch.from_numpy(self.vectors.read(near))
        parts = inner(queries, passages).mul_(scale).softmax(dim=1).sum(dim=0).double().numpy()
        parts = (1 - UNIFORM) * parts / parts.sum() + UNIFORM / len(near)
        chances = inclusion(parts, size)
        steps = np.cumsum(chances)
        evenly = np.searchsorted(steps, random.random() + np.arange(size), side="right")
        picked = np.unique(evenly.clip(max=len(near) - 1))
        return near[picked], chances[picked]

    def _far(self, cells: Indices, others: int, size: int, random: np.random.Generator) -> Indices:
        """Some of the passages of all other cells, evenly spread."""
        if not size:
            return np.zeros(0, dtype=np.int64)
        outside = np.setdiff1d(np.arange(len(self.centres)), cells)
        ends = np.cumsum(self.starts[outside + 1] - self.starts[outside])
        at = ((np.arange(size) + random.random(size)) * (others / size)).astype(np.int64).clip(max=others - 1)
        which = np.searchsorted(ends, at, side="right")
        rows: Indices = self.starts[outside + 1][which] - (ends[which] - at)
        return rows


def inclusion(parts: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The chance of each to be among ``size`` that are drawn, in proportion to its part, and at most 1.

    >>> inclusion(np.array([8.0, 1.0, 1.0]), 2).tolist()
    [1.0, 0.5, 0.5]
    """
    falling = np.sort(parts)[::-1]
    rest = falling[::-1].cumsum()[::-1]  # of each and all smaller ones
    left = size - np.arange(len(parts))
    certain = int(np.argmax((left * falling <= rest) | (left <= 0)))
    chances: NDArray[np.float64] = np.minimum(1.0, parts * ((size - certain) / rest[certain]))
    return chances


def blocks_of(vectors: PairVectors, rows: Indices) -> Iterator[Floats]:
    """The vectors of these passages, some at a time."""
    for at in range(0, len(rows), ROWS):
        yield read(vectors, rows[at : at + ROWS])


def read(vectors: PairVectors, rows: Indices) -> Floats:
    """The vectors of these passages; memory that has been mapped for it is given back."""
    found: Floats = np.array(vectors.passages[rows], dtype=np.float32)
    release(vectors.passages)
    return found


def scaled_targets(passages: Floats, length: float | None) -> Floats:
    """What questions are multiplied with: :attr:`PairVectors.targets` of some passages, given their mean length."""
    targets = unit(passages) if length is None else passages / np.float32(length or 1.0)
    found: Floats = as_tensor(targets).numpy()
    return found


def mean_length(vectors: PairVectors) -> float:
    """The mean length of all passages."""
    every = np.arange(len(vectors.passages))
    lengths = (np.linalg.norm(block, axis=1).sum(dtype=np.float64) for block in blocks_of(vectors, every))
    return float(sum(lengths)) / len(every)
