"""How many threads torch shares out brief operations among: all that it has, or one while others are in the way.

Threads that share out an operation of some microseconds wait for each other without leaving their cores. Where other
processes want the cores too, one of them is kept waiting for its turn, and all wait for it: milliseconds an operation.
As results do not depend on the number of threads (:mod:`~langchain_embedding_adapter.fitting.products`), it may change.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from threading import Lock

import torch

AWHILE = 1.0
"""Seconds for which torch keeps to one thread."""
TURN = 3e-3
"""Seconds; an operation that takes so long, and its work besides, has waited for a turn."""
LEAST_SPEED = 2e10
"""Multiplications and additions a second that a core is capable of, at least."""
IN_A_ROW = 2
"""So many operations have to have waited."""


class Threads:
    """Torch's number of threads, which contexts change and the last to end gives back, whichever thread it is in."""

    _lock = Lock()
    _contexts = 0
    _number = 1

    def __enter__(self) -> int:
        """Their number."""
        self._own = torch.get_num_threads()
        with Threads._lock:
            if not Threads._contexts:
                Threads._number = self._own
            Threads._contexts += 1
        return self._own

    def __exit__(self, *_: object) -> None:
        with Threads._lock:
            Threads._contexts -= 1
            torch.set_num_threads(self._own if Threads._contexts else Threads._number)


class Sharing:
    """A context that gives torch its threads back in the end; in it, products tell how long they took."""

    _until = 0.0  # of all contexts: who was in the way a moment ago will be again

    def __init__(self) -> None:
        self._held = Threads()

    def __enter__(self) -> Sharing:
        self._threads = self._held.__enter__()
        self._waited = 0
        self._alone = self._threads > 1 and time.perf_counter() < Sharing._until
        if self._alone:
            torch.set_num_threads(1)
        self._before = current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.__exit__()
        current.reset(self._before)

    def took(self, seconds: float, work: int) -> None:
        """How long an operation took, and how many multiplications and additions it was."""
        if self._threads == 1:
            return
        if self._alone:
            if time.perf_counter() >= Sharing._until:
                self._alone, self._waited = False, 0
                torch.set_num_threads(self._threads)
            return
        self._waited = self._waited + 1 if seconds > TURN + work / LEAST_SPEED else 0
        if self._waited == IN_A_ROW:
            Sharing._until = time.perf_counter() + AWHILE
            self._alone = True
            torch.set_num_threads(1)


current: ContextVar[Sharing | None] = ContextVar("current", default=None)
"""The context around, if there is one."""
