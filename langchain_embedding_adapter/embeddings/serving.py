"""What serves at one moment: an adapter, where it came from, and what has gone through it.

A version never changes while it serves; to swap is to put another in its place. Its counter and what it tells of a
single question live here too, so that ``AdaptedEmbeddings`` only has to choose the version.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.embeddings.coverage import Coverage

Floats = NDArray[np.float32]

UNNAMED = "adapter"
"""What an adapter is called before somebody names it, or the folder that it is saved to does."""


@dataclass(frozen=True)
class QueryStatistics:
    """What went through a version.

    Attributes:
        queries: How many questions.
        mean_norm: The mean length of the base's vectors.
        mean_shift: The mean of one minus the cosine of base and adapted vector: 0 where nothing moved. ``None`` where
            the adapter maps to another space, in which there is nothing to compare.
        largest_shift: The largest of these.
    """

    queries: int
    mean_norm: float
    mean_shift: float | None
    largest_shift: float | None


@dataclass(frozen=True)
class AdaptedQuery:
    """One question, and what the adapter did to it.

    Attributes:
        vector: ``out_features`` floats, what ``embed_query`` gives.
        base_vector: ``in_features`` floats, the base's own.
        name: Of the adapter.
        version: Of the adapter.
        shift: One minus the cosine of both; ``None`` where they are of different spaces.
        covered: The share of the question that lies in directions which training covered, from 0 to 1; ``None`` where
            the adapter was saved without them.
        familiarity: The share of training questions that were covered no better: near 0, the question is unlike them
            and the adapter has nothing to go by. ``None`` likewise.
    """

    vector: list[float] = field(repr=False)
    base_vector: list[float] = field(repr=False)
    name: str
    version: str
    shift: float | None
    covered: float | None
    familiarity: float | None


class _Counter:
    """Sums over questions, safe under threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queries, self._norms, self._shifts, self._largest = 0, 0.0, 0.0, 0.0

    def add(self, queries: int, norms: float, shifts: float, largest: float) -> None:
        with self._lock:
            self._queries += queries
            self._norms += norms
            self._shifts += shifts
            if largest > self._largest:
                self._largest = largest

    def read(self, *, comparable: bool) -> QueryStatistics:
        with self._lock:
            count = max(1, self._queries)
            shift, largest = (self._shifts / count, self._largest) if comparable else (None, None)
            return QueryStatistics(self._queries, self._norms / count, shift, largest)

    def __getstate__(self) -> dict[str, Any]:  # locks stay in their process, and so do counts
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    def __deepcopy__(self, memo: dict[int, Any]) -> _Counter:
        return _Counter()


@dataclass(frozen=True, eq=False)
class AdapterVersion:
    """An adapter as it is served; it never changes.

    Attributes:
        adapter: The adapter.
        name: What it is called.
        provenance: What its folder and card tell beside it.
        coverage: The directions that training covered, a function that finds them when they are first asked for, or
            ``None``.
        source: The folder or hub id it was loaded from, if it was.
        label: What its maker calls the version, if anything.
        since: When it was put in place.
    """

    adapter: BaseAdapter
    name: str
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    coverage: Coverage | Callable[[], Coverage | None] | None = field(default=None, repr=False)
    source: str | Path | None = None
    label: str | None = None
    since: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    _counter: _Counter = field(default_factory=_Counter, repr=False)

    @cached_property
    def version(self) -> str:
        """The label, or twelve hexadecimal digits that tell one content from another."""
        return self.label or self._content

    def same_as(self, other: AdapterVersion) -> bool:
        """Whether both are called the same, hold the same and tell the same."""
        told = (self.name, self.label, self.provenance) == (other.name, other.label, other.provenance)
        return told and self._content == other._content

    @cached_property
    def _content(self) -> str:
        return content_hash(self.adapter)

    @property
    def statistics(self) -> QueryStatistics:
        """What went through this version."""
        return self._counter.read(comparable=self.adapter.in_features == self.adapter.out_features)

    @cached_property
    def covered(self) -> Coverage | None:
        """The directions that training covered, if they are known."""
        return self.coverage() if callable(self.coverage) else self.coverage

    def one(self, vector: Sequence[float]) -> list[float]:
        """Adapt one query vector and count it."""
        moved: list[float] = self._moved(np.array(vector, dtype=np.float32))[0].tolist()
        return moved

    def _moved(self, query: Floats) -> tuple[Floats, float, float]:
        """One query, adapted and counted, with its length and its shift (0 where that is in another space)."""
        adapted = self.adapter.adapt(query[None])[0]
        square = float(query.dot(query))
        length = math.sqrt(square)
        shift = 1 - float(query.dot(adapted)) / square if square and len(query) == len(adapted) else 0.0
        self._counter.add(1, length, shift, shift)
        return adapted, length, shift

    def many(self, vectors: Sequence[Sequence[float]]) -> list[list[float]]:
        """Adapt query vectors in one product and count them."""
        queries = np.asarray(vectors, dtype=np.float32)
        adapted = self.adapter.adapt(queries)
        norms = np.linalg.norm(queries, axis=1)
        shifts = np.zeros(1)
        if queries.shape == adapted.shape:
            squares = np.where(norms > 0, norms * norms, 1)
            shifts = np.where(norms > 0, 1 - np.einsum("qd,qd->q", queries, adapted) / squares, 0)
        self._counter.add(len(queries), float(norms.sum()), float(shifts.sum()), float(shifts.max()))
        moved: list[list[float]] = adapted.tolist()
        return moved

    def explained(self, vector: Sequence[float]) -> AdaptedQuery:
        """Adapt one query vector, count it, and tell what happened to it."""
        query = np.array(vector, dtype=np.float32)
        adapted, length, shift = self._moved(query)
        share = familiarity = None
        if self.covered is not None:
            share = float(self.covered.share((query / (length or 1.0))[None])[0])
            familiarity = self.covered.familiarity(share)
        comparable = len(query) == len(adapted)
        return AdaptedQuery(
            vector=adapted.tolist(),
            base_vector=list(vector),
            name=self.name,
            version=self.version,
            shift=shift if comparable else None,
            covered=share,
            familiarity=familiarity,
        )


def content_hash(adapter: BaseAdapter) -> str:
    """Twelve hexadecimal digits of kind, arguments and everything learned."""
    digest = hashlib.sha256(json.dumps([adapter.kind, adapter.arguments], default=repr).encode())
    for name, array in sorted(adapter.to_arrays().items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]
