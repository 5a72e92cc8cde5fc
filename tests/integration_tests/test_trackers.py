"""The real trackers, each writing to this machine, and read back by its own means."""

from __future__ import annotations

import json
import sqlite3
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from langchain_embedding_adapter import (
    AdapterTrainer,
    MLflowTracker,
    QADataset,
    TensorBoardTracker,
    TrackioTracker,
    TrainingConfig,
    TrainingResult,
    WandbTracker,
)
from tests.small_world import AngleEmbeddings

CONFIG = TrainingConfig(linear_grid=((40, 1e-3),), ridge=1e-3, closed_forms=(), epochs=3, device="cpu")

# What the trackers' own packages leave open or call by an old name is theirs.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("ResourceWarning", "DeprecationWarning", "FutureWarning", "pytest.PytestUnraisableExceptionWarning")
]


def package(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed; it is in the dev group")


def train(dataset: QADataset, tracker: Any, **options: Any) -> TrainingResult:
    return AdapterTrainer(AngleEmbeddings(), config=CONFIG).train(dataset, callbacks=[tracker], **options)


@pytest.fixture(autouse=True)
def nothing_failed(caplog: pytest.LogCaptureFixture) -> Any:
    yield
    failed = [record for record in caplog.get_records("call") if "is told no more" in record.getMessage()]
    assert not failed, failed[0].exc_text


def test_tensorboard(dataset: QADataset, tmp_path: Path) -> None:
    package("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def written(folder: Path) -> EventAccumulator:
        return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()

    result = train(dataset, TensorBoardTracker(tmp_path / "epochs"), adapter="two-layer")
    found = written(tmp_path / "epochs")
    epochs = found.Scalars("training/ndcg_at_10")
    assert [event.step for event in epochs] == [row["epoch"] for row in result.history]
    assert [event.value for event in epochs] == pytest.approx([row["ndcg@10"] for row in result.history])
    assert found.Scalars("gain/ndcg_at_10")[0].value == pytest.approx(result.report["ndcg@10"].gain)
    assert b"| questions" in found.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]

    result = train(dataset, TensorBoardTracker(tmp_path / "default"))
    assert result.selection is not None
    found = written(tmp_path / "default")
    gains = [event.value for event in found.Scalars("selection/gain_on_new_passages")]
    assert gains == pytest.approx([float(gain.mean()) for gain in result.selection.gains["new passages"].values()])
    assert result.selection.reason.encode() in found.Tensors("selection/text_summary")[0].tensor_proto.string_val[0]
    assert "_hparams_/session_start_info" in found.summary_metadata


def test_weights_and_biases_offline(dataset: QADataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = package("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    ended: list[tuple[int | None, dict[str, Any]]] = []
    finish = wandb.Run.finish

    def finished(run: Any, exit_code: int | None = None) -> None:
        ended.append((exit_code, dict(run.summary)))
        finish(run, exit_code)

    monkeypatch.setattr(wandb.Run, "finish", finished)
    kept: list[Any] = []

    class Kept(WandbTracker):
        def start(self, settings: Any) -> None:
            super().start(settings)
            kept.append(self._run)

    tracker = Kept(project="handbook", mode="offline", dir=str(tmp_path), config={"mine": 1})
    result = train(dataset, tracker)
    run = kept[0]
    ((code, summary),) = ended
    assert code == 0
    assert run.config["questions"] == len(dataset)
    assert run.config["mine"] == 1
    assert summary["gain/ndcg@10"] == pytest.approx(result.report["ndcg@10"].gain)
    assert summary["verdict"] == result.verdict
    folder = next(tmp_path.glob("wandb/offline-run-*"))
    written, patience = next(folder.glob("run-*.wandb")), time.monotonic() + 20
    while b"report.html" not in written.read_bytes():  # a process of wandb's own writes it, also after the end
        assert time.monotonic() < patience
        time.sleep(0.1)
    table = json.loads(next(folder.glob("files/media/table/selection*.json")).read_text(encoding="utf-8"))
    assert table["columns"][:3] == ["candidate", "chosen", "gain, new passages"]
    assert result.selection is not None
    assert [row[0] for row in table["data"] if row[1]] == [str(result.selection.chosen)]


def test_mlflow_in_an_sqlite_file(dataset: QADataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = package("mlflow")
    package("alembic")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.set_experiment("handbook")
    result = train(dataset, MLflowTracker(run_name="epochs"), adapter="two-layer")
    assert mlflow.active_run() is None
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([mlflow.get_experiment_by_name("handbook").experiment_id])
    assert (run.info.run_name, run.info.status) == ("epochs", "FINISHED")
    assert run.data.params["adapter"] == "two-layer"
    assert run.data.metrics["gain/ndcg_at_10"] == pytest.approx(result.report["ndcg@10"].gain)
    told = client.get_metric_history(run.info.run_id, "training/ndcg_at_10")
    assert [metric.value for metric in told] == pytest.approx([row["ndcg@10"] for row in result.history])
    assert "report.html" in {file.path for file in client.list_artifacts(run.info.run_id)}

    with mlflow.start_run() as own:  # a run that is active is told, and stays open
        result = train(dataset, MLflowTracker())
        assert mlflow.active_run() is not None
    run = client.get_run(own.info.run_id)
    assert run.data.tags["verdict"] == result.verdict
    assert result.selection is not None
    found = client.get_metric_history(own.info.run_id, "selection/gain on same passages")
    gains = [float(gain.mean()) for gain in result.selection.gains["same passages"].values()]
    assert [metric.value for metric in found] == pytest.approx(gains)
    assert {file.path for file in client.list_artifacts(own.info.run_id)} == {"selection.json", "report.html"}


def test_trackio_on_this_machine(dataset: QADataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package("trackio")
    from trackio import cas, sqlite_storage, utils

    for module in (cas, sqlite_storage, utils):
        if hasattr(module, "TRACKIO_DIR"):
            monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path)
    result = train(dataset, TrackioTracker("handbook", name="epochs", embed=False), adapter="two-layer")
    (file,) = tmp_path.glob("*.db")
    with sqlite3.connect(file) as database:
        rows = [(step, json.loads(row)) for step, row in database.execute("SELECT step, metrics FROM metrics")]
        (config,) = database.execute("SELECT config FROM configs").fetchone()
    database.close()
    assert json.loads(config)["questions"] == len(dataset)
    told = {step: row["training/ndcg@10"] for step, row in rows if "training/ndcg@10" in row}
    assert told == pytest.approx({row["epoch"]: row["ndcg@10"] for row in result.history})
    (gain,) = [row["gain/ndcg@10"] for _, row in rows if "gain/ndcg@10" in row]
    assert gain == pytest.approx(result.report["ndcg@10"].gain)
