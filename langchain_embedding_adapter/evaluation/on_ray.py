"""Passages ranked on a Ray cluster: a task a part, each gives its best for every question, and the best of these count.

A part is what this process would look at at a time, and parts are put together in their order: of equal scores the
first passage comes first, as everywhere. Scores agree but for their rounding, which depends on the processor and its
threads: two passages of the very same text may change places.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langchain_embedding_adapter.cluster.connecting import connected
from langchain_embedding_adapter.engines import Engine, RayEngine, as_ray
from langchain_embedding_adapter.evaluation.ranking import PASSAGES, Nearest, best_of, first_of
from langchain_embedding_adapter.stores import Metric
from langchain_embedding_adapter.vectors import Floats, PairVectors, Ragged

QUESTIONS = 65_536
"""Ranked at a time, a multiple of what this process ranks at a time."""


def ranker(engine: Engine) -> Nearest | None:
    """Who ranks, if it is not this process."""
    chosen = as_ray(engine)
    return None if chosen is None else partial(nearest_on_ray, engine=chosen)


def nearest_on_ray(vectors: PairVectors, queries: Floats, k: int, *, engine: RayEngine) -> NDArray[np.intp]:
    """What ``nearest_passages`` finds, ``(questions, k)``, with the passages spread over a cluster's workers.

    Passages that are mapped from files are read and sent a part at a time; no more than the workers have to do is under
    way. A part whose worker dies is given to another.
    """
    import ray

    with connected(engine):
        task = ray.remote(num_cpus=engine.cpus, num_gpus=engine.gpus, max_retries=-1)(_best_of_part)
        found = [
            _best_of_all(task, vectors, queries[at : at + QUESTIONS], k, engine.workers)
            for at in range(0, len(queries), QUESTIONS)
        ]
    return np.concatenate(found)


def _best_of_all(task: Any, vectors: PairVectors, queries: Floats, k: int, workers: int) -> NDArray[np.intp]:
    import ray

    asked = ray.put(np.ascontiguousarray(queries))
    under_way: deque[Any] = deque()
    best: Floats = np.zeros((len(queries), 0), dtype=np.float32)
    rows: NDArray[np.intp] = np.zeros((len(queries), 0), dtype=np.intp)
    starts = list(range(0, len(vectors.passages), PASSAGES))
    for number in range(len(starts) + workers):
        if number < len(starts):
            part = np.ascontiguousarray(vectors.passages[starts[number] : starts[number] + PASSAGES])
            under_way.append(task.remote(part, asked, vectors.metric, k, starts[number]))
        if under_way and (len(under_way) >= workers or number >= len(starts)):
            more, places = ray.get(under_way.popleft())
            best, rows = first_of(np.hstack([best, more]), np.hstack([rows, places]), k)
    return rows


def _best_of_part(
    passages: Floats, queries: Floats, metric: Metric, k: int, at: int
) -> tuple[Floats, NDArray[np.intp]]:
    """What a worker does: the best of some passages, the first of which is row ``at``."""
    nothing = Ragged.empty(len(queries), np.intp), Ragged.empty(len(queries), np.float64)
    best, rows = best_of(PairVectors((), (), queries, passages, *nothing, metric=metric), queries, k)
    return best, rows + at
