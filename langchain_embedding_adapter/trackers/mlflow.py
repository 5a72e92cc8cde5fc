"""MLflow: curves, settings as parameters, final figures as metrics, selection and report as artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_embedding_adapter._extras import require_package
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.trackers.told import candidate_steps, figures_of, report_file


class MLflowTracker:
    """Tells a training to MLflow: to the run that is active, or to a new one that ends with the training.

    Where it goes (``mlflow.set_tracking_uri``, ``mlflow.set_experiment``) is MLflow's own setting. Its names allow no
    ``@``: ``ndcg@10`` is ``ndcg_at_10``.

    Args:
        **options: Passed to ``mlflow.start_run``: ``run_name``, ``tags``, ``experiment_id`` and so on; ``nested=True``
            makes a run inside the active one, as several trainings there need: a run's parameters are set once.

    Raises:
        ImportError: If ``mlflow`` (or ``mlflow-skinny``) is not installed.

    Example:
        .. code-block:: python

            mlflow.set_experiment("handbook")
            trainer.train(dataset, callbacks=[MLflowTracker(run_name="default")])
    """

    def __init__(self, **options: Any) -> None:
        self._mlflow: Any = require_package("mlflow", "mlflow")
        self._options = options

    def start(self, settings: Mapping[str, Any]) -> None:
        """Take the active run or start one; settings are its parameters."""
        self._own = self._mlflow.active_run() is None or bool(self._options.get("nested"))
        if self._own:
            self._mlflow.start_run(**self._options)
        self._mlflow.log_params(dict(settings))

    def log(self, row: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        self._mlflow.log_metrics({f"training/{_name(name)}": value for name, value in row.items()}, step=step)

    def finish(self, result: TrainingResult | None) -> None:
        """Final figures, selection and report; a run of its own ends, as failed without a result."""
        status = "FAILED"
        try:
            if result is not None:
                self._finish(result)
                status = "FINISHED"
        finally:
            if self._own:
                self._mlflow.end_run(status)

    def _finish(self, result: TrainingResult) -> None:
        for step, row in enumerate(candidate_steps(result)):
            self._mlflow.log_metrics({_name(name): value for name, value in row.items()}, step=step)
        self._mlflow.log_metrics({_name(name): value for name, value in figures_of(result).items()})
        self._mlflow.set_tag("verdict", result.verdict)
        if result.selection is not None:
            self._mlflow.log_dict(result.selection.to_dict(), "selection.json")
        with report_file(result) as path:
            self._mlflow.log_artifact(str(path))


def _name(name: str) -> str:
    return name.replace("@", "_at_").replace(", ", " on ")
