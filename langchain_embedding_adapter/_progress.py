"""Progress, told alike everywhere: a bar on a terminal, and where there is none now and then a line in the log.

Both say how many units are done, how fast they go and how long the rest will take.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from types import TracebackType
from typing import Any, Protocol

logger = logging.getLogger(__name__)

FIRST, LONGEST = 5.0, 60.0
"""Seconds to the first line of the log, and the most from one to the next; in between they double."""


class Progress(Protocol):
    """What whoever works calls."""

    def update(self, n: int = 1) -> object:
        """So many more units are done."""
        ...

    def set_postfix(self, ordered_dict: dict[str, Any]) -> object:
        """What else there is to show."""
        ...

    def __enter__(self) -> Progress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> object: ...


def progress_bar(total: int, desc: str, unit: str, show: bool | None) -> Progress:
    """A bar to be advanced by hand, in a ``with``.

    Args:
        total: How many units there are.
        desc: What is being done.
        unit: What is counted.
        show: ``None`` draws the bar only on a terminal (or in a notebook), and logs lines elsewhere; ``True`` draws it
            anywhere, ``False`` shows nothing.
    """
    from tqdm.auto import tqdm  # late: help and serving need none of it

    plain = show is None and os.environ.get("TERM") == "dumb"
    disable = True if plain else None if show is None else not show
    # A terminal may not know its own size, and tqdm then draws nothing.
    columns, rows = shutil.get_terminal_size() if sys.stderr.isatty() else (None, None)
    bar = tqdm(total=total, desc=desc, unit=unit, disable=disable, leave=False, ncols=columns, nrows=rows)
    return ProgressLog(total, desc, unit) if show is None and bar.disable else bar


class ProgressLog:
    """Lines in the log: the first after some seconds, then fewer and fewer; none of what is done at once.

    Args:
        total: How many units there are.
        desc: What is being done.
        unit: What is counted.
    """

    def __init__(self, total: int, desc: str, unit: str) -> None:
        self._total, self._desc, self._unit = total, desc, unit
        self._done = 0
        self._started = time.monotonic()
        self._wait = FIRST
        self._next = self._started + FIRST

    def update(self, n: int = 1) -> None:
        """So many more units are done; a line where it is time for one."""
        self._done += n
        now = time.monotonic()
        if now >= self._next and self._done < self._total:
            self._wait = min(2 * self._wait, LONGEST)
            self._next = now + self._wait
            logger.info("%s", told(self._desc, self._unit, self._done, self._total, now - self._started))

    def set_postfix(self, ordered_dict: dict[str, Any]) -> None:
        """Nothing: a line has no room for it."""

    def __enter__(self) -> ProgressLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._wait > FIRST and self._done >= self._total:
            seconds = time.monotonic() - self._started
            logger.info("%s: all %d %ss in %s", self._desc, self._total, self._unit, clock(seconds))


def told(desc: str, unit: str, done: int, total: int, seconds: float) -> str:
    """How far it is, how fast it goes and how long the rest will take.

    >>> told("questions", "chunk", 100, 400, 20.0)
    'questions: 100 of 400 chunks (25 %), 5.0 a second, 1:00 left'
    """
    rate = done / seconds if seconds else 0.0
    left = f", {clock((total - done) / rate)} left" if rate else ""
    pace = f"{rate:.1f} a second" if rate >= 1 else f"{60 * rate:.1f} a minute"
    return f"{desc}: {done} of {total} {unit}s ({100 * done // total} %), {pace}{left}"


def clock(seconds: float) -> str:
    """Seconds as minutes, and hours where there are any.

    >>> clock(75), clock(3725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
