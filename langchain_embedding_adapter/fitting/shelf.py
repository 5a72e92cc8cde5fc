"""Where the vectors of a fit lie: in memory, in a file, or on a GPU with room."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langchain_embedding_adapter.vectors.spool import Spool

ROOM = 0.4
"""Share of a GPU's free memory that vectors may take."""


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
