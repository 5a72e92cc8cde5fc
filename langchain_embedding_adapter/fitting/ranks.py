"""The processes that fit together, and what they tell each other: sums, the highest, one rank's word.

Whatever a rank decides it decides by numbers that are the same on all of them, so that none waits for a step that
another does not take. A process on its own is a group of one, and tells itself nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from langchain_embedding_adapter.fitting.lbfgs import Dot

TIMEOUT = 1800.0
"""Seconds that a rank waits for another that is silent; of one that ends it learns at once."""


@dataclass(frozen=True)
class Ranks:
    """One of the processes of a fit, and its way to the others.

    Attributes:
        rank: Which it is, from 0.
        count: How many there are.
        device: Where it computes, and where what it tells the others must lie.
        group: Of ``torch.distributed``; ``None`` is all of them.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"
    group: dist.ProcessGroup | None = None

    @classmethod
    def here(cls, device: str = "cpu", group: dist.ProcessGroup | None = None) -> Ranks:
        """This process among those of a group that has been joined; a group of one where none has.

        >>> Ranks.here().count
        1
        """
        if not (dist.is_available() and dist.is_initialized()):
            return cls(device=device)
        return cls(dist.get_rank(group), dist.get_world_size(group), device, group)

    def add(self, values: Tensor) -> Tensor:
        """The sum over the ranks, in place of ``values``, the same bits on each of them."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def highest(self, values: Tensor) -> Tensor:
        """The highest of each entry over the ranks, in place of ``values``."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def total(self, number: float) -> float:
        """The sum of a number over the ranks, in double precision."""
        return number if self.count == 1 else float(self.add(self._double(number)))

    def told(self, values: Tensor, by: int = 0) -> Tensor:
        """What rank ``by`` has as ``values``, in their place."""
        if self.count > 1:
            source = by if self.group is None else dist.get_global_rank(self.group, by)
            self._together(dist.broadcast, values, src=source, group=self.group)
        return values

    def agreed(self, dot: Dot) -> Dot:
        """An inner product of which all take the first rank's result.

        Processors of different makes round differently, and a line search that goes another way on one rank alone
        leaves the others waiting.
        """
        return dot if self.count == 1 else lambda left, right: float(self.told(self._double(dot(left, right))))

    def check_same(self, what: str, *numbers: int) -> None:
        """See that these numbers are the same on all ranks.

        Raises:
            ValueError: If they are not; on every rank.
        """
        mine = torch.tensor(numbers, dtype=torch.int64, device=self.device)
        most, least = self.highest(mine.clone()), -self.highest(-mine)
        if not torch.equal(most, least):
            raise ValueError(
                f"expected {what} to be the same on all {self.count} ranks; rank {self.rank} has {list(numbers)}, and "
                f"there are {least.tolist()} to {most.tolist()}: start them on the same data with the same settings"
            )

    def _double(self, number: float) -> Tensor:
        return torch.tensor(number, dtype=torch.float64, device=self.device)

    def _reduced(self, values: Tensor, operation: Any) -> Tensor:
        if self.count > 1:
            self._together(dist.all_reduce, values, op=operation, group=self.group)
        return values

    def _together(self, collective: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        try:
            collective(*arguments, **options)
        except RuntimeError as error:
            raise RuntimeError(
                f"rank {self.rank} of {self.count} waited for the others in vain: one has failed, and its own log says "
                f"why, or it took longer than the group's timeout ({error})"
            ) from error


@contextmanager
def joined(device: str = "auto", *, timeout: float = TIMEOUT) -> Iterator[Ranks]:
    """The group that torchrun started this process for.

    Args:
        device: ``"cpu"`` talks through gloo, ``"cuda"`` through nccl, each process on the GPU of its local rank;
            ``"auto"`` takes GPUs where each process of this machine can have one.
        timeout: Seconds to wait for a rank before the others give up.

    Raises:
        RuntimeError: If torchrun has not started it.
    """
    if "RANK" not in os.environ:
        raise RuntimeError("this process is not one of several; start them with torchrun --nproc-per-node N -m …")
    place = device_of_rank(device)
    backend = "nccl" if place.startswith("cuda") else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(place)
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    try:
        yield Ranks.here(place)
    except BaseException:
        if backend == "gloo":  # the others learn of it at once; nccl would wait for them first
            dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def device_of_rank(device: str) -> str:
    """Where this process computes: ``"cpu"`` or ``"cuda:N"``, ``N`` its rank among those on its machine."""
    local, here = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() and torch.cuda.device_count() >= here else "cpu"
    return f"cuda:{local}" if device == "cuda" else device
