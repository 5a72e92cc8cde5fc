"""trackio: curves, settings, final figures, the selection as a table, the report as an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_embedding_adapter._extras import require_package
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.trackers.told import candidates_of, figures_of, report_file


class TrackioTracker:
    """Tells a training to trackio, on this machine or on a Hugging Face Space.

    Args:
        project: The project's name.
        **options: Passed to ``trackio.init``: ``name``, ``space_id``, ``group`` and so on; a ``config`` is added to the
            settings.

    Raises:
        ImportError: If ``trackio`` is not installed.

    Example:
        .. code-block:: python

            trainer.train(dataset, callbacks=[TrackioTracker("handbook", name="default")])
    """

    def __init__(self, project: str, **options: Any) -> None:
        self._trackio: Any = require_package("trackio", "trackio")
        self._options = {"project": project, **options}

    def start(self, settings: Mapping[str, Any]) -> None:
        """Open the run; settings are its config."""
        config = {name: value if _plain(value) else str(value) for name, value in settings.items()}
        self._step = 0
        self._trackio.init(**{**self._options, "config": {**config, **self._options.get("config", {})}})

    def log(self, row: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        self._step = step
        self._trackio.log({f"training/{name}": value for name, value in row.items()}, step=step)

    def finish(self, result: TrainingResult | None) -> None:
        """Final figures, selection and report; the run ends."""
        try:
            if result is not None:
                self._finish(result)
        finally:
            self._trackio.finish()

    def _finish(self, result: TrainingResult) -> None:
        rows = candidates_of(result)
        figures: dict[str, Any] = {**figures_of(result)}
        if rows:
            data = [list(row.values()) for row in rows]
            figures["selection"] = self._trackio.Table(columns=list(rows[0]), data=data)
        self._trackio.log(figures, step=self._step)
        with report_file(result) as path:
            self._trackio.log_artifact(path, name="report", type="report")


def _plain(value: object) -> bool:
    return value is None or isinstance(value, (bool, int, float, str))
