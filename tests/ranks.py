"""Ranks that are threads of one process: they sum and compare as processes do, without any."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from langchain_embedding_adapter.fitting.ranks import Ranks

Result = TypeVar("Result")


@dataclass
class Table:
    """Where the threads lay down what they tell each other."""

    count: int
    told: dict[int, Tensor] = field(default_factory=dict)
    calls: int = 0

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.count, timeout=60)

    def exchange(self, rank: int, values: Tensor) -> list[Tensor]:
        self.told[rank] = values.clone()
        self.calls += rank == 0
        self.barrier.wait()
        found = [self.told[other] for other in range(self.count)]
        assert len({(part.shape, part.dtype) for part in found}) == 1, found  # a real group would hang or mix them up
        self.barrier.wait()
        return found


@dataclass(frozen=True)
class ThreadRanks(Ranks):
    """A rank that is a thread."""

    table: Table | None = None

    def told(self, values: Tensor, by: int = 0) -> Tensor:
        return values.copy_(self.table.exchange(self.rank, values)[by])

    def _reduced(self, values: Tensor, operation: dist.ReduceOp) -> Tensor:
        found = torch.stack(self.table.exchange(self.rank, values))
        return values.copy_(found.sum(dim=0) if operation == dist.ReduceOp.SUM else found.amax(dim=0))


def on_threads(count: int, work: Callable[[Ranks], Result]) -> list[Result]:
    """What each of so many ranks returns; the error of the first of them that has one of its own."""
    table = Table(count)

    def rank(number: int) -> Result:
        try:
            return work(ThreadRanks(number, count, table=table))
        except BaseException:
            table.barrier.abort()
            raise

    with ThreadPoolExecutor(count) as pool:
        ranks = [pool.submit(rank, number) for number in range(count)]
    errors = [error for error in (done.exception() for done in ranks) if error is not None]
    own = [error for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    for error in own or errors:
        raise error
    return [done.result() for done in ranks]
