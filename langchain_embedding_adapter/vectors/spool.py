"""Large arrays that are prepared once and read many times: in memory where they fit, else in a file without a name."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Spool:
    """An array ``(rows, dimensions)`` of float32, written block by block and then read.

    Args:
        shape: Rows and dimensions.
        in_memory: Whether to hold it; else it is mapped from a file that goes when this object does, in the
            system's folder for temporary files (``TMPDIR``).
    """

    def __init__(self, shape: tuple[int, int], *, in_memory: bool) -> None:
        self.in_memory = True
        if in_memory or not min(shape):
            self.array: Floats = np.empty(shape, dtype=np.float32)
            return
        with tempfile.TemporaryFile() as file:
            os.truncate(file.fileno(), 4 * shape[0] * shape[1])
            self.array = np.memmap(file, dtype=np.float32, mode="r+", shape=shape)
        self.in_memory = False

    @classmethod
    def of(cls, blocks: Iterable[Floats], shape: tuple[int, int], *, in_memory: bool) -> Spool:
        """A spool that holds these blocks, one after the other."""
        spool = cls(shape, in_memory=in_memory)
        at = 0
        for block in blocks:
            spool.array[at : at + len(block)] = block
            at += len(block)
            spool.release()
        return spool

    def read(self, rows: slice | NDArray[np.integer[Any]]) -> Floats:
        """These rows; what has been mapped for it is given back."""
        found: Floats = np.array(self.array[rows]) if not self.in_memory else self.array[rows]
        self.release()
        return found

    def release(self) -> None:
        """Give the memory back that reading or writing has mapped."""
        release(self.array)


def release(array: NDArray[Any]) -> None:
    """Give back the memory that a mapped array takes; what is read again comes from the file. Else of no effect."""
    mapping = getattr(array, "_mmap", None)
    shared = isinstance(array, np.memmap) and array.mode in ("r", "r+")  # a private one would lose what was written
    if shared and mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
