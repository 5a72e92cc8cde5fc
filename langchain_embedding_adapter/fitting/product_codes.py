"""Vectors as bytes: product quantisation, learned by faiss where it is installed and by k-means in NumPy elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters.codes import BOOK, Codes
from langchain_embedding_adapter.fitting.nearest import faiss_if_installed, sums_by
from langchain_embedding_adapter.vectors import Floats

SAMPLED = 8192
"""Vectors of which the books are learned."""
ROUNDS = 5
"""So often their entries move."""


class ProductCodes:
    """Books for the parts of vectors, and the codes of vectors by them.

    Args:
        sample: Vectors like those to encode, ``(n, dimensions)``.
        width: Dimensions of a part; of the last one, zeros follow the vector's own.
        seed: Of the entries that k-means begins with.

    Attributes:
        book: ``(parts, 256, width)``.
    """

    def __init__(self, sample: Floats, width: int, seed: int) -> None:
        self.features, self.parts, self.width = sample.shape[1], -(-sample.shape[1] // width), width
        faiss = faiss_if_installed() if len(sample) >= BOOK else None
        self._quantiser: Any = None
        if faiss is None:
            self.book = _books(self._in_parts(sample), seed)
            return
        quantiser = faiss.ProductQuantizer(self.parts * width, self.parts, 8)
        quantiser.cp.seed, quantiser.cp.niter = seed, ROUNDS
        quantiser.cp.min_points_per_centroid, quantiser.cp.max_points_per_centroid = 1, SAMPLED // BOOK
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # there are a thousand small steps, and threads would wait for each other at each
        try:
            quantiser.train(self._padded(sample))
        finally:
            faiss.omp_set_num_threads(threads)
        self.book = faiss.vector_to_array(quantiser.centroids).reshape(self.parts, BOOK, width).copy()
        self._quantiser = quantiser

    def encode(self, vectors: Floats) -> Codes:
        """``(n, dimensions)`` to ``(n, parts)``: the nearest entry of each book."""
        if self._quantiser is not None:
            found: Codes = self._quantiser.compute_codes(self._padded(vectors))
            return found
        parts = zip(self._in_parts(vectors), self.book, strict=True)
        return np.stack([_nearest(part, entries) for part, entries in parts], axis=1).astype(np.uint8)

    def decode(self, codes: Codes) -> Floats:
        """``(n, parts)`` to ``(n, dimensions)``: what the codes stand for."""
        found: Floats = self.book[np.arange(self.parts), codes].reshape(len(codes), self.parts * self.width)
        return found[:, : self.features]

    def _padded(self, vectors: Floats) -> Floats:
        missing = self.parts * self.width - self.features
        return np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, missing))) if missing else vectors)

    def _in_parts(self, vectors: Floats) -> Floats:
        """``(parts, n, width)``."""
        return np.ascontiguousarray(self._padded(vectors).reshape(len(vectors), self.parts, self.width).swapaxes(0, 1))


def _books(parts: Floats, seed: int) -> Floats:
    """K-means of each part, ``(parts, n, width)``, by itself."""
    random = np.random.default_rng(seed)
    books = np.zeros((len(parts), BOOK, parts.shape[2]), dtype=np.float32)
    for part, book in zip(parts, books, strict=True):
        first = part[random.choice(len(part), min(len(part), BOOK), replace=False)]
        book[: len(first)] = first
        for _ in range(ROUNDS):
            nearest = _nearest(part, book)
            present, sums = sums_by(nearest, part)
            book[present] = sums / np.bincount(nearest)[present, None]
    return books


def _nearest(part: Floats, entries: Floats) -> NDArray[np.intp]:
    """The nearest entry to each, ``(n,)``, in Euclidean distance."""
    half = (entries * entries).sum(axis=1) / 2
    found: NDArray[np.intp] = (part @ entries.T - half).argmax(axis=1)
    return found
