"""The versions of an adapter that have served: put in place, rolled back, listed.

The one that serves is a single attribute, so that whoever reads it once has a whole version, whatever other threads do.
"""

from __future__ import annotations

import threading
from typing import Any

from langchain_embedding_adapter.embeddings.serving import AdapterVersion

KEPT = 3
"""So many versions are held in memory, the one that serves among them; older ones are on disk if anywhere."""


class VersionHistory:
    """What serves, and what served before.

    Attributes:
        current: The version that serves.
        versions: Every version that is held, in the order in which they were put in place.
    """

    def __init__(self, first: AdapterVersion) -> None:
        self.current = first
        self.versions: tuple[AdapterVersion, ...] = (first,)
        self._served: tuple[AdapterVersion, ...] = (first,)  # in the order in which they came to serve
        self._lock = threading.Lock()

    def put(self, version: AdapterVersion) -> AdapterVersion:
        """Let this version serve from now on.

        Raises:
            ValueError: If its dimensions are not those of the version that serves: queries or index would not fit.
        """
        old, new = self.current.adapter, version.adapter
        if (new.in_features, new.out_features) != (old.in_features, old.out_features):
            raise ValueError(
                f"expected an adapter from {old.in_features} to {old.out_features} dimensions, as the one that serves, "
                f"got one from {new.in_features} to {new.out_features}"
            )
        with self._lock:
            droppable = [held for held in self.versions if held is not self.current]
            dropped = droppable[: max(0, len(self.versions) + 1 - KEPT)]
            self.versions = (*(held for held in self.versions if held not in dropped), version)
            self._served = (*(held for held in self._served if held not in dropped), version)
            self.current = version
        return version

    def roll_back(self, version: str | None = None) -> AdapterVersion:
        """Let an earlier version serve again.

        Args:
            version: Which one; by default the one that served before.

        Raises:
            ValueError: If there is none, or none of that name is held.
        """
        with self._lock:
            if version is None:
                if len(self._served) < 2:
                    raise ValueError("there is no version to go back to: none has served here before this one")
                self._served = self._served[:-1]
            else:
                named = [held for held in self.versions if held.version == version]
                if not named:
                    held = ", ".join(held.version for held in self.versions)
                    raise ValueError(f"no version {version!r} is held; those that are: {held}")
                self._served = (*(held for held in self._served if held is not named[-1]), named[-1])
            self.current = self._served[-1]
            return self.current

    def __getstate__(self) -> dict[str, Any]:  # a lock stays in its process
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())
