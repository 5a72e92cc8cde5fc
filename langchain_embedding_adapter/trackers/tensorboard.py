"""TensorBoard: curves, settings and final figures as hyperparameters, the selection as text and steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_embedding_adapter._extras import require_package
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.trackers.told import candidate_steps, figures_of, settings_table


class TensorBoardTracker:
    """Writes a training for TensorBoard.

    Tags hold no ``@``: ``ndcg@10`` is ``ndcg_at_10``.

    Args:
        folder: Where to write; each training into a folder of its own, as TensorBoard has it.

    Raises:
        ImportError: If ``tensorboard`` or torch is not installed.

    Example:
        .. code-block:: python

            trainer.train(dataset, adapter="two-layer", callbacks=[TensorBoardTracker("runs/two-layer")])
    """

    def __init__(self, folder: str | Path) -> None:
        require_package("tensorboard", "tensorboard")
        self.folder = Path(folder)

    def start(self, settings: Mapping[str, Any]) -> None:
        """Open the folder; the settings as a table."""
        from torch.utils.tensorboard import SummaryWriter

        self._settings = settings
        self._writer = SummaryWriter(str(self.folder))
        self._writer.add_text("settings", settings_table(settings))

    def log(self, row: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        for name, value in row.items():
            self._writer.add_scalar(f"training/{_tag(name)}", value, step)
        self._writer.flush()

    def finish(self, result: TrainingResult | None) -> None:
        """Final figures, selection and settings; the files are closed."""
        try:
            if result is not None:
                self._finish(result)
        finally:
            self._writer.close()

    def _finish(self, result: TrainingResult) -> None:
        for step, row in enumerate(candidate_steps(result)):
            for name, value in row.items():
                self._writer.add_scalar(_tag(name), value, step)
        self._writer.add_text("result", str(result))
        if result.selection is not None:
            self._writer.add_text("selection", str(result.selection))
        plain = {
            name: value if isinstance(value, (int, float)) else str(value) for name, value in self._settings.items()
        }
        figures = {_tag(name): value for name, value in figures_of(result).items()}
        self._writer.add_hparams(plain, figures, run_name=".")


def _tag(name: str) -> str:
    return name.replace("@", "_at_").replace(", ", " on ").replace(" ", "_")
