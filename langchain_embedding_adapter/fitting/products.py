"""Products of questions and passages, and where their vectors lie: in memory, in a file, or on a GPU with room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langchain_embedding_adapter.config import Precision
from langchain_embedding_adapter.vectors.spool import Spool

ROOM = 0.4
"""Share of a GPU's free memory that vectors may take."""


def product(left: Tensor, right: Tensor, precision: Precision) -> Tensor:
    """``left @ right`` as float32: of float32 numbers, or of the same rounded to bfloat16; sums are float32's."""
    if precision != "bfloat16":
        return left @ right
    one, other = left.bfloat16(), right.bfloat16()
    if left.is_cuda and hasattr(torch.ops.aten.mm, "dtype"):  # from torch 2.8 on
        found: Tensor = torch.mm(one, other, out_dtype=torch.float32)
        return found
    return one.float() @ other.float()  # what a GPU computes: products of eight bits each are exact


@contextmanager
def multiplying(precision: Precision) -> Iterator[None]:
    """A context in which a GPU rounds what it multiplies to TensorFloat-32 if ``precision`` says so, and only then."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


class Shelf:
    """Vectors, ``(rows, dimensions)``, read for where the fit computes.

    Args:
        spool: Where they lie.
        device: Where to.
    """

    def __init__(self, spool: Spool, device: str) -> None:
        self._spool, self._device = spool, device
        self._whole: Tensor | None = None
        if spool.in_memory and _has_room(device, spool.array.nbytes):
            self._whole = torch.from_numpy(spool.array).to(device)

    def read(self, rows: slice | NDArray[np.integer[Any]]) -> Tensor:
        """These rows, on the device."""
        if self._whole is None:
            return torch.from_numpy(self._spool.read(rows)).to(self._device)
        if isinstance(rows, slice):
            return self._whole[rows]
        return self._whole.index_select(0, torch.from_numpy(rows).to(self._device))


def _has_room(device: str, needed: int) -> bool:
    if not device.startswith("cuda"):
        return device == "cpu"
    free, _ = torch.cuda.mem_get_info(device)
    return needed <= ROOM * free
