"""Work on all cores whose results do not depend on how many there are.

A sum that a library shares out over threads comes out a little different on another number of them. Here every
product runs on one thread, work is shared out in pieces that do not depend on the machine, and results are joined in
order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")
Result = TypeVar("Result")


class SideBySide:
    """A context in which torch's products run on one thread each, and :meth:`map` runs calls side by side.

    Args:
        workers: How many at a time; as many as torch had threads, by default.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    def __enter__(self) -> SideBySide:
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._helpers = (self._workers or self._threads) - 1
        self._pool = ThreadPoolExecutor(max(1, self._helpers))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """The results of all calls, in the order of the items; this thread makes its share of the calls."""
        items = list(items)
        waiting = deque(enumerate(items))
        results: dict[int, Result] = {}

        def work() -> None:
            while waiting:
                try:
                    number, item = waiting.popleft()
                except IndexError:  # another thread took the last one
                    return
                results[number] = function(item)

        helping = [self._pool.submit(work) for _ in range(min(self._helpers, len(items) - 1))]
        work()
        for helper in helping:
            helper.result()
        return [results[number] for number in range(len(items))]

    def product(self, left: Tensor, right: Tensor, parts: int) -> Tensor:
        """``left @ right``, the rows of ``left`` in so many parts."""
        found = left.new_empty(len(left), *right.shape[1:])
        pieces = list(zip(left.chunk(parts), found.chunk(parts), strict=True))
        self.map(lambda piece: torch.matmul(piece[0], right, out=piece[1]), pieces)
        return found
