"""Work on all cores whose results do not depend on how many there are.

A sum that a library shares out over threads comes out a little different on another number of them. Here every
product runs on one thread, work is shared out in pieces that do not depend on the number of threads, and results are
joined in order. Brief operations are an exception, where products allow it: see :class:`SideBySide`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import ContextVar, copy_context
from typing import TypeVar

import torch
from torch import Tensor

from langchain_embedding_adapter.fitting.products import inner, steady
from langchain_embedding_adapter.fitting.sharing import Sharing, Threads, current

Item = TypeVar("Item")
Result = TypeVar("Result")


_cores: ContextVar[int] = ContextVar("_cores")
"""How many threads may work for this one."""


class SideBySide:
    """A context in which torch's products run on one thread each, and :meth:`map` runs calls side by side.

    A context within another has as many threads as that one, but within a call of its :meth:`map`, which has one; a
    brief one has as many as torch has there.

    Calls that are many operations of some microseconds each gain nothing side by side: they wait for Python's lock.
    Where products are :func:`~langchain_embedding_adapter.fitting.products.steady`, brief calls run one after the
    other, and torch shares out each operation among its threads. In them, only what is as steady may be used: no sum or
    dot product of all of a large tensor, but those of its rows; no ``sigmoid``, ``softplus`` or ``softmax`` of columns,
    which round differently where a thread's share ends; no gradient of what was read by index, nor any other sum at
    places that are met more than once, but ``index_add_``; no decomposition. Where other processes are in the way, one
    thread does it all for a while (:mod:`~langchain_embedding_adapter.fitting.sharing`).

    Args:
        workers: How many at a time; as many as torch had threads, by default.
        brief: Whether the calls are of brief operations.
    """

    def __init__(self, workers: int | None = None, *, brief: bool = False) -> None:
        self._workers, self.one_by_one = workers, brief and steady()

    def __enter__(self) -> SideBySide:
        with ExitStack() as ending:
            if self.one_by_one:
                if current.get() is None:
                    ending.enter_context(Sharing())
            else:
                threads = ending.enter_context(Threads())
                workers = self._workers or _cores.get(threads)
                torch.set_num_threads(1)
                ending.callback(_cores.reset, _cores.set(workers))
                ending.callback(current.reset, current.set(None))
                self._helpers = workers - 1
                # A thread takes over torch's number of threads when torch shares out work in it; oneDNN may come first.
                self._pool = ThreadPoolExecutor(max(1, self._helpers), initializer=torch.get_num_threads)
                ending.callback(self._pool.shutdown, cancel_futures=True)
            self._ending = ending.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """The results of all calls, in the order of the items; this thread makes its share of the calls."""
        items = list(items)
        if self.one_by_one:
            return [function(item) for item in items]
        waiting = deque(enumerate(items))
        results: dict[int, Result] = {}

        def work() -> None:
            while waiting:
                try:
                    number, item = waiting.popleft()
                except IndexError:  # another thread took the last one
                    return
                results[number] = function(item)

        def work_alone() -> None:
            _cores.set(1)
            current.set(None)
            work()

        helping = [self._pool.submit(work_alone) for _ in range(min(self._helpers, len(items) - 1))]
        copy_context().run(work_alone)
        for helper in helping:
            helper.result()
        return [results[number] for number in range(len(items))]

    def inner(self, left: Tensor, right: Tensor, parts: int) -> Tensor:
        """:func:`~langchain_embedding_adapter.fitting.products.inner`, the rows of ``left`` in so many parts."""
        if self.one_by_one:
            return inner(left, right)
        return torch.cat(self.map(lambda piece: inner(piece, right), left.chunk(parts)))
