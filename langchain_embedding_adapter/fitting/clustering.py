"""Vectors in cells of neighbours, cells in a row of neighbours.

Made of torch's products, which do not depend on the number of threads; memories, which may, sort their keys with NumPy
or faiss (:mod:`~langchain_embedding_adapter.fitting.nearest`). Nor do NumPy's and SciPy's threads go on spinning here,
at the cost of the fit that follows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from langchain_embedding_adapter.fitting.products import inner

ROUNDS = 6
"""How often the centres move."""
SAMPLED = 32
"""Vectors that are looked at to find the centres, for each of them."""
BLOCK = 2**22
"""Most similarities at a time."""


def find_centres(vectors: Tensor, count: int, seed: int) -> Tensor:
    """``(centres, dimensions)`` of unit length: at most ``count``, of these vectors ``(n, dimensions)``."""
    random = np.random.default_rng(seed)
    count = min(count, len(vectors))
    part = torch.from_numpy(np.sort(random.choice(len(vectors), min(len(vectors), SAMPLED * count), replace=False)))
    part = vectors[part]
    centres = part[torch.from_numpy(random.choice(len(part), count, replace=False))].clone()
    for _ in range(ROUNDS):
        sums = torch.zeros_like(centres).index_add_(0, nearest_centre(part, centres), part)
        lengths = sums.norm(dim=1, keepdim=True)
        centres = torch.where(lengths > 0, sums / lengths.clamp(min=1e-12), centres)
    return centres


def nearest_centre(vectors: Tensor, centres: Tensor) -> Tensor:
    """``(n,)``, the centre that each vector is nearest to."""
    blocks = vectors.split(max(1, BLOCK // len(centres)))
    return torch.cat([inner(block, centres).argmax(dim=1) for block in blocks])


def lloyd_means(vectors: Tensor, count: int, random: np.random.Generator, rounds: int) -> Tensor:
    """``(count, dimensions)``, means of those of these unit vectors that are nearest to each: k-means++, then Lloyd."""
    means = _far_apart(vectors, count, random)
    for _ in range(rounds):
        nearest = nearest_mean(vectors, means)
        sums = torch.zeros_like(means).index_add_(0, nearest, vectors)
        sizes = torch.bincount(nearest, minlength=len(means))[:, None]
        means = torch.where(sizes > 0, sums / sizes.clamp(min=1), means)
    return means


def nearest_mean(vectors: Tensor, means: Tensor) -> Tensor:
    """``(n,)``, the mean that each vector is nearest to."""
    half = (means**2).sum(dim=1) / 2
    blocks = vectors.split(max(1, BLOCK // len(means)))
    return torch.cat([(inner(block, means) - half).argmax(dim=1) for block in blocks])


def _far_apart(vectors: Tensor, count: int, random: np.random.Generator) -> Tensor:
    """So many of these unit vectors, each drawn by its squared distance to those before it."""
    chosen = [int(random.integers(len(vectors)))]
    distance = np.full(len(vectors), np.inf)
    while len(chosen) < count:
        cosines = inner(vectors, vectors[chosen[-1:]])[:, 0].numpy()
        distance = np.minimum(distance, np.maximum(2 - 2 * cosines, 0))
        below = distance.cumsum()
        chosen.append(int(np.searchsorted(below, random.uniform() * below[-1])))
    return vectors[chosen]


def along_a_path(centres: Tensor) -> Tensor:
    """``(centres,)``, their numbers in an order in which neighbours follow each other: next comes the nearest left."""
    alike = inner(centres, centres)
    left = torch.ones(len(centres), dtype=torch.bool, device=centres.device)
    at, order = 0, []
    for _ in range(len(centres)):
        order.append(at)
        left[at] = False
        at = int(torch.where(left, alike[at], -torch.inf).argmax())
    return torch.tensor(order, device=centres.device)
