"""What selection chooses among: the base, closed forms, the convex fit along its grid, a memory beside any of them.

They are listed from simple to complex; where two do as well, the earlier one is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from langchain_embedding_adapter.adapters import (
    BaseAdapter,
    LinearAdapter,
    LowRankAdapter,
    MemoryAdapter,
    TwoLayerAdapter,
)
from langchain_embedding_adapter.config import CROWDED, TrainingConfig  # read here by training too
from langchain_embedding_adapter.config import Future as Future
from langchain_embedding_adapter.vectors import PairVectors

Family = Literal["default", "linear", "memory", "bridge"]
Recall = tuple[float, float]
"""Temperature and strength of a memory."""
DESCENDING = (LowRankAdapter.kind, TwoLayerAdapter.kind)
"""Kinds of adapters that have no optimum to solve for, and may be candidates besides."""
LOUDER: tuple[Recall, ...] = ((0.03, 3), (0.05, 3))
"""Of a memory over a bridge's, which is trusted less than a base is: what is tried beside the usual ones."""


@dataclass(frozen=True)
class QueryMap:
    """A linear map of query vectors, by how it is found.

    Attributes:
        method: ``"start"`` (the map that training starts from: the identity, or yesterday's adapter), ``"whole"`` (that
            with its memory, under another memory), a name of
            :data:`~langchain_embedding_adapter.fitting.CLOSED_FORMS`, ``"convex"``, or the kind of an adapter that is
            fitted by descent.
        scale: Of the convex fit.
        ridge: Of the convex fit.
        negatives: Of the convex fit.
        strength: How far to go from the start towards the fitted map.
        taught: Whether the convex fit learns from a teacher's opinion too.
    """

    method: str = "start"
    scale: float = 0.0
    ridge: float = 0.0
    negatives: Literal["asked", "all"] = "asked"
    strength: float = 1.0
    taught: bool = False

    def __str__(self) -> str:
        if self.method != "convex":
            name = {"start": "base", "whole": "bridge"}.get(self.method, self.method)
        else:
            name = f"linear, scale {self.scale:g}, ridge {self.ridge:g}"
            name += ", all passages" * (self.negatives == "all") + ", taught" * self.taught
        return name + f", strength {self.strength:g}" * (self.strength != 1)

    def contains(self, other: QueryMap) -> bool:
        """Whether the other is this map, or one that it goes beyond."""
        if self.method in DESCENDING:
            return other == self or other.method in ("start", "convex")
        alike = (other.method, other.negatives, other.taught) == ("convex", self.negatives, self.taught)
        return other == self or (self.method == "convex" and (alike or other.method == "start"))

    def settings(self, config: TrainingConfig) -> TrainingConfig:
        """The settings of its convex fit."""
        share = config.teacher_share if self.taught else 0.0
        return replace(config, scale=self.scale, ridge=self.ridge, negatives=self.negatives, teacher_share=share)


@dataclass(frozen=True)
class Candidate:
    """One choice: a map, and the memory beside it if there is one."""

    map: QueryMap
    memory: Recall | None = None

    def contains(self, other: Candidate) -> bool:
        """Whether the other is a form of this one: a convex map of the same task, or none; the memory, or none.

        Networks, which start from a map, have every convex one as a form.
        """
        return other.memory in (None, self.memory) and self.map.contains(other.map)

    def __str__(self) -> str:
        if self.memory is None:
            return str(self.map)
        return f"{self.map} + memory, temperature {self.memory[0]:g}, strength {self.memory[1]:g}"


BASE = Candidate(QueryMap())
"""What training starts from: the identity, or the adapter that is trained again."""
WHOLE = QueryMap("whole")
"""The adapter that training starts from, its memory included, as what another memory lies over."""


def candidates(
    start: BaseAdapter,
    config: TrainingConfig,
    *,
    questions: int,
    family: Family,
    all_passages: bool = False,
    taught: bool = False,
) -> list[Candidate]:
    """What to choose among, from simple to complex, :data:`BASE` first.

    Args:
        start: Where training starts.
        config: The grids.
        questions: How many there are to learn from; closed forms are for few.
        family: ``"linear"`` leaves out every memory, ``"memory"`` whatever has none but the base; ``"bridge"`` has
            a memory over that of a bridge, too.
        all_passages: Whether to try the convex fit against all passages too.
        taught: Whether to try it with a teacher's opinion too.
    """
    fresh = is_identity(start)
    few = questions < config.small
    closed = [QueryMap(name) for name in config.closed_forms] if fresh and few else []
    grid = (*config.cautious_grid, *config.linear_grid) if few else config.linear_grid
    convex = [QueryMap("convex", scale, ridge) for scale, ridge in grid]
    if all_passages:
        convex += [replace(found, negatives="all") for found in convex]
    if taught:
        convex += [replace(found, taught=True) for found in convex]
    weak = [replace(found, strength=strength) for found in convex for strength in config.strengths if strength < 1]
    crowded = family == "default" and questions > CROWDED * config.memory_size
    memories: list[Recall] = [] if family == "linear" or crowded else list(config.memory_grid)
    remembers = isinstance(start, MemoryAdapter) and not fresh
    if isinstance(start, MemoryAdapter) and remembers:
        memories = [(start.temperature, start.strength)]  # its entries stay, and there is one memory only
    plain = [] if family == "memory" or remembers else [Candidate(found) for found in (*closed, *weak, *convex)]
    remembered = [Candidate(found, memory) for found in (QueryMap(), *convex) for memory in memories]
    louder = (*config.memory_grid, *LOUDER) if remembers and family == "bridge" else ()
    over = [Candidate(WHOLE, memory) for memory in louder]
    return [BASE, *plain, *over, *remembered]


def is_identity(adapter: BaseAdapter) -> bool:
    """Whether an adapter is a linear map, with or without a memory, that has not learned anything yet."""
    if not isinstance(adapter, (LinearAdapter, MemoryAdapter)):
        return False
    new: Mapping[str, Any] = type(adapter)(**adapter.arguments).to_arrays()
    return all(np.array_equal(array, new[name]) for name, array in adapter.to_arrays().items())


def linear_part(start: BaseAdapter) -> LinearAdapter:
    """The linear map of a linear or a memory adapter."""
    if isinstance(start, LinearAdapter):
        return start
    if not isinstance(start, MemoryAdapter):
        raise TypeError(f"{type(start).__name__} has no linear part")
    linear = LinearAdapter(start.in_features, start.out_features)
    linear.weight = start.weight
    return linear


def memory_size(vectors: PairVectors, config: TrainingConfig) -> int:
    """How many entries a memory of these questions has."""
    return min(len(vectors.query_ids), config.memory_size)
