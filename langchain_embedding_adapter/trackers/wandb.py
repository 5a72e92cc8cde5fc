"""Weights & Biases: curves, the selection as a table, final figures in the summary, the report as an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_embedding_adapter._extras import require_package
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.trackers.told import candidates_of, figures_of, report_file


class WandbTracker:
    """Tells a training to Weights & Biases, as a run of its own.

    Args:
        **options: Passed to ``wandb.init``: ``project``, ``name``, ``mode="offline"`` and so on; a ``config`` is added
            to the settings.

    Raises:
        ImportError: If ``wandb`` is not installed.

    Example:
        .. code-block:: python

            trainer.train(dataset, callbacks=[WandbTracker(project="handbook", name="default")])
    """

    def __init__(self, **options: Any) -> None:
        self._wandb: Any = require_package("wandb", "wandb")
        self._options = options

    def start(self, settings: Mapping[str, Any]) -> None:
        """Open the run; settings are its config."""
        self._run = self._wandb.init(**{**self._options, "config": {**settings, **self._options.get("config", {})}})

    def log(self, row: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        self._run.log({f"training/{name}": value for name, value in row.items()}, step=step)

    def finish(self, result: TrainingResult | None) -> None:
        """Final figures, selection and report; the run ends, as failed without a result."""
        try:
            if result is not None:
                self._finish(result)
        except BaseException:
            self._run.finish(exit_code=1)
            raise
        self._run.finish(exit_code=0 if result is not None else 1)

    def _finish(self, result: TrainingResult) -> None:
        rows = candidates_of(result)
        if rows:
            table = self._wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])
            self._run.log({"selection": table})
        self._run.summary.update({**figures_of(result), "verdict": result.verdict})
        with report_file(result) as path:
            artifact = self._wandb.Artifact(f"report-{self._run.id}", type="report")
            artifact.add_file(str(path))
            self._run.log_artifact(artifact)
