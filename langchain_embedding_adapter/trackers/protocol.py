"""What a tracker is, and the group of those that follow one training.

Three calls, in this order: the settings once, a row for every epoch (or step of a fit) as it happens, the result once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from langchain_embedding_adapter.result import TrainingResult

logger = logging.getLogger(__name__)


@runtime_checkable
class Tracker(Protocol):
    """Whoever is told how a training goes: any object with these three methods.

    An error that one of them raises is logged, and the tracker is told no more of this training but ``finish(None)``,
    so that it can close what it has open.

    Example:
        >>> class Printing:
        ...     def start(self, settings): print(settings["questions"], "questions")
        ...     def log(self, row, step): print(step, row)
        ...     def finish(self, result): print("failed" if result is None else result.verdict)
        >>> isinstance(Printing(), Tracker)
        True
    """

    def start(self, settings: Mapping[str, Any]) -> None:
        """A training begins.

        Args:
            settings: Names of the embeddings and the adapter asked for, counts, and every setting of
                :class:`TrainingConfig`: strings, numbers, tuples of these and ``None``.
        """

    def log(self, row: Mapping[str, float], step: int) -> None:
        """An epoch is over, or a step of a fit.

        Args:
            row: Of epochs the loss and the metric that decides (at step 0 that of the base), of a linear fit the loss.
            step: The number of the epoch, or of the evaluation of the objective.
        """

    def finish(self, result: TrainingResult | None) -> None:
        """It is over.

        Args:
            result: What came of it; ``None`` where training failed or was interrupted, or the tracker itself did.
        """


class Following:
    """The trackers of one training, inside its ``with``; one that fails is left out, the others go on.

    Args:
        trackers: Them.
        settings: Gives what they are told at the start; it is not asked where there is no tracker.

    Raises:
        TypeError: If one of them is no tracker.
    """

    def __init__(self, trackers: Sequence[Tracker], settings: Callable[[], Mapping[str, Any]]) -> None:
        for tracker in trackers:
            if isinstance(tracker, type) or not isinstance(tracker, Tracker):
                name = tracker.__name__ if isinstance(tracker, type) else type(tracker).__name__
                raise TypeError(f"expected callbacks with start, log and finish (see Tracker), got {name}")
        self._left = list(trackers)
        self._settings = settings
        self._rows, self._over = 0, False

    def __enter__(self) -> Following:
        if self._left:
            settings = self._settings()
            self._tell(lambda tracker: tracker.start(dict(settings)))
        return self

    def log(self, row: Mapping[str, float]) -> None:
        """A row of the history, as it comes."""
        figures = {name: float(value) for name, value in row.items() if name not in ("epoch", "step")}
        step = int(row.get("epoch", row.get("step", self._rows)))
        self._rows += 1
        if figures:
            self._tell(lambda tracker: tracker.log(dict(figures), step))

    def finish(self, result: TrainingResult) -> None:
        """The result; before it the rows of the history where none came on the way."""
        if not self._rows:
            for row in result.history:
                self.log(row)
        self._over = True
        self._tell(lambda tracker: tracker.finish(result))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._over:
            self._over = True
            self._tell(lambda tracker: tracker.finish(None))

    def _tell(self, call: Callable[[Tracker], None]) -> None:
        self._left = [tracker for tracker in self._left if _told(tracker, call, self._over)]


def _told(tracker: Tracker, call: Callable[[Tracker], None], ending: bool) -> bool:
    """Whether it could be told; an error is logged."""
    try:
        call(tracker)
    except Exception:
        name = type(tracker).__name__
        logger.exception("%s failed and is told no more of this training, which goes on", name)
        if not ending:
            with suppress(Exception):  # it has failed before, and that is told
                tracker.finish(None)
        return False
    return True
