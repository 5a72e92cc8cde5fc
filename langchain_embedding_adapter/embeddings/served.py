"""What stands behind adapted embeddings: one adapter at a time, known by name and version, exchanged and counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_embedding_adapter.adapters import BaseAdapter
from langchain_embedding_adapter.calibration import ScoreCalibration
from langchain_embedding_adapter.embeddings.serving import AdapterVersion, QueryStatistics
from langchain_embedding_adapter.embeddings.versions import VersionHistory


class Served:
    """An adapter that serves, the versions that did before, and how one takes another's place.

    Args:
        first: What serves first.
    """

    def __init__(self, first: AdapterVersion) -> None:
        self._history = VersionHistory(first)

    @property
    def adapter(self) -> BaseAdapter:
        """The adapter that serves."""
        return self._history.current.adapter

    @property
    def name(self) -> str:
        """What the adapter that serves is called."""
        return self._history.current.name

    @property
    def version(self) -> str:
        """Which version serves: what its maker calls it, or a hash of its content."""
        return self._history.current.version

    @property
    def serving(self) -> AdapterVersion:
        """The version that serves: read once, it is whole, whatever other threads do."""
        return self._history.current

    @property
    def versions(self) -> tuple[AdapterVersion, ...]:
        """The versions that are held in memory, in the order in which they were put in place."""
        return self._history.versions

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What is known of how the adapter that serves was made."""
        return self._history.current.provenance

    @property
    def statistics(self) -> QueryStatistics:
        """How many questions the version that serves has adapted, and how far they moved."""
        return self._history.current.statistics

    @property
    def calibration(self) -> ScoreCalibration | None:
        """What maps adapted scores to the base's, if training has fitted it (``train(…, calibrate=True)``)."""
        found = self.provenance.get("calibration")
        return None if found is None else ScoreCalibration.from_dict(found)

    def swap(
        self,
        adapter: BaseAdapter | Served,
        *,
        provenance: Mapping[str, Any] | None = None,
        version: str | None = None,
    ) -> AdapterVersion:
        """Put another adapter in place; questions that are on their way are answered whole by one or the other.

        Args:
            adapter: The adapter, or adapted embeddings whose version is taken over with all it tells.
            provenance: As in the constructor, for an adapter.
            version: What to call the version; by default a hash of its content.

        Raises:
            ValueError: If it is of other dimensions than the one that serves.
        """
        if isinstance(adapter, Served):
            return self._history.put(adapter._history.current)
        if not isinstance(adapter, BaseAdapter):
            raise TypeError(f"expected an adapter (a BaseAdapter), got {type(adapter).__name__}")
        return self._history.put(AdapterVersion(adapter, self.name, dict(provenance or {}), label=version))

    def roll_back(self, version: str | None = None) -> AdapterVersion:
        """Let the version that served before serve again, at once, or the one that is named.

        Raises:
            ValueError: If there is none.
        """
        return self._history.roll_back(version)
