"""Trackers are told of settings, rows and result in order; what one of them does wrong costs no training."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from langchain_embedding_adapter import (
    AdapterTrainer,
    MLflowTracker,
    TensorBoardTracker,
    Tracker,
    TrackioTracker,
    TrainingConfig,
    TrainingResult,
    WandbTracker,
)
from langchain_embedding_adapter.trackers.told import candidate_steps, candidates_of, figures_of, report_file
from tests.small_world import AngleEmbeddings, world

GENTLE = TrainingConfig(linear_grid=((40, 1e-3),), ridge=1e-3, closed_forms=(), epochs=3, device="cpu")
WORLD = world(step=24)


class Recording:
    """Keeps what it is told; fails where it is told to."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.told: list[tuple[Any, ...]] = []

    def _keep(self, *what: Any) -> None:
        self.told.append(what)
        if what[0] == self.fails:
            raise ConnectionError(f"no {self.fails} today")

    def start(self, settings: Mapping[str, Any]) -> None:
        self._keep("start", settings)

    def log(self, row: Mapping[str, float], step: int) -> None:
        self._keep("log", row, step)

    def finish(self, result: TrainingResult | None) -> None:
        self._keep("finish", result)


def train(*callbacks: Tracker, **options: Any) -> TrainingResult:
    return AdapterTrainer(AngleEmbeddings(), config=GENTLE).train(WORLD, callbacks=callbacks, **options)


@pytest.fixture(scope="module")
def linear() -> TrainingResult:
    return AdapterTrainer(AngleEmbeddings(), config=GENTLE).train(WORLD)


def test_epochs_are_told_as_they_happen() -> None:
    recording = Recording()
    result = train(recording, adapter="two-layer")
    assert [told[0] for told in recording.told] == ["start", *["log"] * len(result.history), "finish"]
    rows = [{"epoch": step, **row} for _, row, step in recording.told[1:-1]]
    assert rows == result.history
    settings = recording.told[0][1]
    expected = {"embeddings": "AngleEmbeddings", "adapter": "two-layer", "questions": len(WORLD), "epochs": 3}
    assert settings.items() >= expected.items()
    assert recording.told[-1] == ("finish", result)


def test_each_epoch_is_told_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain_embedding_adapter.selection import training

    validate, order = training.figure, []
    monkeypatch.setattr(training, "figure", lambda *given: order.append("validated") or validate(*given))

    class Following(Recording):
        def log(self, row: Mapping[str, float], step: int) -> None:
            order.append(f"told {step}")

    train(Following(), adapter="two-layer")
    assert order[:4] == ["validated", "told 0", "validated", "told 1"]


def test_a_resumed_training_tells_what_was_before(tmp_path: Path) -> None:
    for epochs in (2, 3):
        recording = Recording()
        config = TrainingConfig(epochs=3, patience=epochs, device="cpu", learning_rate=1e-9)
        train(recording, adapter="two-layer", config=config, checkpoint=tmp_path / "epochs.safetensors")
    assert [told[2] for told in recording.told if told[0] == "log"] == [0, 1, 2, 3]


def test_a_linear_fit_tells_its_losses() -> None:
    recording = Recording()
    result = train(recording)
    rows = [{"step": step, **row} for kind, row, step in recording.told[1:-1] if kind == "log"]
    assert rows == result.history
    assert recording.told[0][1]["adapter"] == "default"


def test_networks_that_are_candidates_tell_no_epochs() -> None:
    recording = Recording()
    result = train(recording, adapter="auto")
    assert [told[2] for told in recording.told if told[0] == "log"] == [row["step"] for row in result.history]


@pytest.mark.parametrize("fails", ["start", "log", "finish"])
def test_one_that_fails_is_logged_once_and_costs_nothing(fails: str, caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = Recording(fails), Recording()
    with caplog.at_level(logging.ERROR):
        result = train(broken, sound, adapter="two-layer")
    assert len(result.history) > 1
    assert broken.told[-1] == ("finish", result if fails == "finish" else None)
    assert [told[0] for told in broken.told].index(fails) == len(broken.told) - (1 if fails == "finish" else 2)
    assert [told[0] for told in broken.told].count(fails) == 1
    assert sound.told[-1] == ("finish", result)
    (record,) = caplog.records
    assert record.getMessage() == "Recording failed and is told no more of this training, which goes on"
    assert record.exc_info is not None
    assert f"no {fails} today" in str(record.exc_info[1])


def test_one_does_not_change_what_the_next_is_told() -> None:
    class Greedy(Recording):
        def start(self, settings: Any) -> None:
            settings.clear()

        def log(self, row: Any, step: int) -> None:
            row.clear()

    recording = Recording()
    train(Greedy(), recording)
    assert recording.told[0][1]["questions"] == len(WORLD)
    assert all(told[1] for told in recording.told if told[0] == "log")


def test_a_training_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise FloatingPointError("the loss is no longer finite")

    monkeypatch.setattr("langchain_embedding_adapter.selection.training.in_epochs", fail)
    recording = Recording()
    with pytest.raises(FloatingPointError):
        train(recording, adapter="two-layer")
    assert [told[0] for told in recording.told] == ["start", "finish"]
    assert recording.told[-1] == ("finish", None)


def test_an_interrupt_is_told_and_comes_through() -> None:
    class Interrupting(Recording):
        def log(self, row: Mapping[str, float], step: int) -> None:
            raise KeyboardInterrupt

    interrupting = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        train(interrupting, adapter="two-layer")
    assert interrupting.told[-1] == ("finish", None)


def test_what_is_no_tracker_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected callbacks with start, log and finish .* got object"):
        train(object())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got Recording"):
        train(Recording)  # type: ignore[arg-type]


def test_the_final_figures_are_the_reports(linear: TrainingResult) -> None:
    figures = figures_of(linear)
    row = linear.report["ndcg@10"]
    found = [figures[f"{name}/ndcg@10"] for name in ("base", "adapted", "gain", "p_value")]
    assert found == [row.base, row.adapted, row.gain, row.p_value]
    assert figures["improved"] == 1.0


def test_candidates_are_a_table_and_steps(linear: TrainingResult) -> None:
    rows, selection = candidates_of(linear), linear.selection
    assert selection is not None
    assert [row["candidate"] for row in rows if row["chosen"]] == [str(selection.chosen)]
    assert rows[0]["gain, new passages"] == 0.0
    assert set(rows[0]) == set(rows[-1])
    steps = candidate_steps(linear)
    assert len(steps) == len(rows)
    assert steps[1]["selection/gain, same passages"] == rows[1]["gain, same passages"]


def test_the_report_is_a_file_for_as_long_as_it_is_needed(
    linear: TrainingResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with report_file(linear) as path:
        assert path.name == "report.md"
        assert "| nDCG@10" in path.read_text(encoding="utf-8")
    assert not path.exists()


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("tensorboard", lambda: TensorBoardTracker("runs")),
        ("wandb", WandbTracker),
        ("mlflow", MLflowTracker),
        ("trackio", lambda: TrackioTracker("it")),
    ],
)
def test_a_missing_package_is_known_before_anything_is_trained(
    package: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"`{package}` is needed here and is not installed; pip install {package}"):
        make()
