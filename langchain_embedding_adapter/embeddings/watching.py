"""A thread that looks at a saved adapter now and then, and has it loaded when it has changed."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from langchain_embedding_adapter.storage.folder import CONFIG_FILE, WEIGHTS_FILE

logger = logging.getLogger(__name__)

Seen = tuple[tuple[int, int, int], ...]


class FolderWatch:
    """Calls a method whenever the saved adapter in a folder is another one than before; ``stop`` ends it.

    A call that fails is logged, and what served before serves on. It ends with the object whose method it calls.

    Args:
        changed: The method to call, from the thread of the watch.
        folder: The folder to look at.
        seconds: How often to look.

    Raises:
        ValueError: If the time between two looks is not positive.
    """

    def __init__(self, changed: Callable[[], object], folder: Path, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"expected a positive number of seconds between two looks, got {seconds!r}")
        self._changed = weakref.WeakMethod(changed)
        self._folder, self._seconds = folder, seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {folder.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, and wait until it has."""
        self._done.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> FolderWatch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        seen: Seen | None = None  # the folder may have changed between loading and now: look once in any case
        while not self._done.is_set():
            now = _look(self._folder)
            if now is not None and now != seen:
                seen = now
                changed = self._changed()
                if changed is None:
                    return
                try:
                    changed()
                except Exception:  # whatever is wrong with the new one, the old one serves on
                    logger.exception("the adapter in %s has changed and could not be loaded", self._folder)
                del changed
            self._done.wait(self._seconds)


def _look(folder: Path) -> Seen | None:
    """What tells one saved adapter from another without reading it; ``None`` where a file is missing."""
    try:
        found = [(folder / name).stat() for name in (CONFIG_FILE, WEIGHTS_FILE)]
    except OSError:  # in the middle of a save, or gone
        return None
    return tuple((status.st_mtime_ns, status.st_size, status.st_ino) for status in found)
