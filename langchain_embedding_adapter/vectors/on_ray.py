"""Who works on the shards: this process, one after the other, or the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from langchain_embedding_adapter.cluster.connecting import connected
from langchain_embedding_adapter.cluster.spreading import ShardWork, spread
from langchain_embedding_adapter.engines import Engine, RayEngine, as_ray

Told = Generator[tuple[str, dict[str, Any]], None, None]
"""Shards, and how the work on each went, as they are done."""
Force = Callable[[Sequence[str], ShardWork], Told]
"""Does some work for each of some shards."""


@contextmanager
def work_force(engine: Engine) -> Iterator[Force]:
    """Whoever does the work, for as long as it takes."""
    chosen = as_ray(engine)
    if chosen is None:
        yield in_this_process
        return
    with connected(chosen):
        yield partial(_there, chosen)


def in_this_process(shards: Sequence[str], work: ShardWork) -> Told:
    """Does the work itself, shard by shard."""
    for shard in shards:
        yield shard, work(shard)


def _there(engine: RayEngine, shards: Sequence[str], work: ShardWork) -> Told:
    yield from spread(engine, shards, work)
