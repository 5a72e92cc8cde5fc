"""Pictures show the figures they are given, change nothing else of matplotlib, and refuse what cannot be drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from langchain_core.vectorstores import InMemoryVectorStore
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from langchain_embedding_adapter import (
    AdapterTrainer,
    RetrievalReport,
    TrainingConfig,
    TrainingResult,
    plot_changes,
    plot_gains,
    plot_history,
    plot_map,
    plot_metrics,
    plot_selection,
)
from langchain_embedding_adapter.plots import Gain
from langchain_embedding_adapter.plots.paper import PENS, interval
from langchain_embedding_adapter.plots.space import principal_plane
from langchain_embedding_adapter.selection.candidates import BASE
from tests.small_world import AngleEmbeddings, turned_back, world

GENTLE = TrainingConfig(linear_grid=((40, 1e-3),), ridge=1e-3, closed_forms=())
WORLD = world(step=24)


@pytest.fixture(scope="module")
def linear() -> TrainingResult:
    return AdapterTrainer(AngleEmbeddings(), config=GENTLE).train(WORLD)


@pytest.fixture(scope="module")
def epochs() -> TrainingResult:
    config = TrainingConfig(epochs=4, learning_rate=0.01, device="cpu")
    return AdapterTrainer(AngleEmbeddings(), config=config).train(WORLD, adapter="two-layer")


@pytest.fixture
def axes() -> Axes:
    return Figure(layout="constrained").subplots()


def report(gains: list[float], base: float = 0.25) -> RetrievalReport:
    before = np.full(len(gains), base)
    scores = {"mrr@5": before, "mrr@10": before, "ndcg@10": before}
    adapted = dict.fromkeys(scores, before + gains)
    return RetrievalReport(tuple(f"q{row}" for row in range(len(gains))), 50, scores, adapted)


def drawn(axes: Axes, file: Path) -> bytes:
    axes.figure.savefig(file)
    return file.read_bytes()


def test_gains_stand_over_their_pairs_with_intervals(axes: Axes) -> None:
    gains = [0.0, 0.5, 0.25, 0.25] * 5
    found = report(gains)
    plot_gains({100: found, 400: Gain(0.3, 0.2, 0.5)}, ax=axes)
    line, bars = axes.containers[0][0], axes.containers[0][2][0]
    np.testing.assert_allclose(line.get_xydata(), [[100, 25], [400, 30]])
    low, high = interval(np.array(gains))
    np.testing.assert_allclose([s[:, 1] for s in bars.get_segments()], [[100 * low, 100 * high], [20, 50]])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "400"]
    assert axes.get_ylabel() == "nDCG@10 × 100 gained over the base"
    assert axes.get_legend() is None


def test_several_lines_have_names_and_marks_of_their_own(axes: Axes) -> None:
    plot_gains({"a": {1000: report([0.1, 0.3])}, "b": {1000: report([0.2, 0.2])}}, metric="mrr@10", ax=axes)
    first, second = (container[0] for container in axes.containers)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert (first.get_marker(), first.get_linestyle()) != (second.get_marker(), second.get_linestyle())
    assert first.get_xdata()[0] < 1000 < second.get_xdata()[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1,000"]


def test_several_trainings_count_by_question(axes: Axes) -> None:
    plot_gains({10: [report([0.0, 0.4] * 5), report([0.4, 0.0] * 5)]}, ax=axes)
    assert axes.containers[0][0].get_ydata()[0] == pytest.approx(20)
    np.testing.assert_allclose(axes.containers[0][2][0].get_segments()[0][:, 1], [20, 20])


def test_metrics_stand_at_base_plus_gain(axes: Axes) -> None:
    plot_metrics({"linear": report([0.1, 0.2]), "network": report([0.0, 0.0])}, ax=axes)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["MRR@10", "nDCG@10"]
    assert axes.collections[0].get_offsets()[:, 0].tolist() == [0.25, 0.25]
    np.testing.assert_allclose(axes.containers[0][0].get_xdata(), [0.4, 0.4])
    np.testing.assert_allclose(axes.containers[1][0].get_xdata(), [0.25, 0.25])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["base", "linear", "network"]


def test_every_question_has_a_bar(axes: Axes) -> None:
    plot_changes(report([0.5, -0.25, 0.0, 0.25, 0.0]), ax=axes)
    heights = [bar.get_height() for container in axes.containers for bar in container]
    assert heights == [0.5, 0.25, -0.25]
    assert all(bar.get_hatch() for bar in axes.containers[1])
    assert axes.get_title(loc="left").startswith("mean +0.100\n")  # too few for an interval
    assert "2 better, 2 same, 1 worse" in axes.get_title(loc="left")


def test_the_interval_of_the_mean_is_the_reports(axes: Axes) -> None:
    gains = np.array([0.5, -0.25, 0.0, 0.25, 0.0] * 4)
    plot_changes(report(gains.tolist()), ax=axes)
    low, high = interval(gains)
    assert axes.get_title(loc="left").startswith(f"mean +0.100 (95%: {low:+.3f} … {high:+.3f})\n")


def test_dots_of_equal_questions_are_one_and_larger(axes: Axes) -> None:
    plot_changes(report([0.0, 0.0, 0.0, 0.5]), kind="scatter", ax=axes)
    same, better, worse = axes.collections
    assert same.get_offsets().tolist() == [[0.25, 0.25]]
    assert better.get_offsets().tolist() == [[0.25, 0.75]]
    assert len(worse.get_offsets()) == 0
    assert same.get_sizes()[0] > better.get_sizes()[0]


def test_a_linear_fit_shows_its_losses(axes: Axes, linear: TrainingResult) -> None:
    plot_history(linear, ax=axes)
    assert axes.lines[0].get_ydata().tolist() == [row["loss"] for row in linear.history]
    assert axes.get_title(loc="left").startswith(f"nDCG@10 {linear.history[0]['ndcg@10']:.3f} →")


def test_epochs_show_the_figure_and_the_loss_on_a_scale_of_its_own(axes: Axes, epochs: TrainingResult) -> None:
    plot_history(epochs.history, ax=axes)
    figures = [row["ndcg@10"] for row in epochs.history]
    assert axes.lines[0].get_ydata().tolist() == figures
    assert axes.lines[2].get_xydata().tolist() == [[figures.index(max(figures)), max(figures)]]
    _, second = axes.figure.axes
    assert second.lines[0].get_ydata().tolist() == [row["loss"] for row in epochs.history[1:]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["nDCG@10", "base", "loss"]


def test_a_selection_shows_the_winner_and_the_base(axes: Axes, linear: TrainingResult) -> None:
    selection = linear.selection
    assert selection is not None
    plot_selection(linear, most=1, ax=axes)
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert f"✔ {selection.chosen}" in names
    assert names[-1] == str(BASE)
    new = axes.containers[0][0].get_xdata()
    gain = 100 * selection.gains["new passages"][selection.chosen].mean()
    assert new[names.index(f"✔ {selection.chosen}")] == pytest.approx(gain)
    assert new[-1] == 0
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["new passages", "same passages"]


def test_a_map_leads_questions_to_their_passages(axes: Axes) -> None:
    base = AngleEmbeddings()
    asked = ["q0-0", "q1-24"]
    plot_map(turned_back(base), WORLD, questions=asked, ax=axes)
    passages, right, before, after = (np.asarray(found.get_offsets()) for found in axes.collections[:4])
    assert (len(passages), len(right), len(before)) == (len(WORLD.corpus), 2, 2)
    np.testing.assert_allclose(after, right, atol=1e-6)
    assert np.linalg.norm(before - after) > 0.1
    assert "of the passages' variance" in axes.get_xlabel()


def test_a_map_of_a_result_or_of_a_store_embeds_no_passage_again(linear: TrainingResult) -> None:
    base = linear.embeddings.embeddings
    assert isinstance(base, AngleEmbeddings)
    known = len(base.documents)
    plot_map(linear, WORLD, questions=5, ax=Figure().subplots())
    assert len(base.documents) == known
    store = InMemoryVectorStore.from_texts(list(WORLD.corpus.values()), base, ids=list(WORLD.corpus))
    known = len(base.documents)
    plot_map(linear.embeddings, WORLD, questions=5, store=store, ax=Figure().subplots())
    assert len(base.documents) == known


def test_the_plane_is_that_of_the_largest_spread() -> None:
    draw = np.random.default_rng(0)
    points = draw.normal(size=(200, 6)).astype(np.float32) * np.array([0.1, 3, 0.1, 0.1, 1, 0.1], np.float32)
    centre, plane, share = principal_plane(points)
    np.testing.assert_allclose(centre, points.mean(axis=0))
    assert np.abs(plane).argmax(axis=0).tolist() == [1, 4]
    assert plane[1, 0] > 0.99
    assert share[0] > 0.8 > share[1]


def test_an_interval_holds_the_mean_and_narrows_with_more_questions() -> None:
    draw = np.random.default_rng(1)
    few, many = draw.normal(size=50), draw.normal(size=5_000)
    low, high = interval(few)
    assert low < few.mean() < high
    assert interval(few) == (low, high)
    assert high - low == pytest.approx(2 * 1.96 * few.std() / 50**0.5, rel=0.1)
    assert interval(many)[1] - interval(many)[0] < (high - low) / 5


def test_without_axes_there_is_one_new_figure_and_nothing_else_changes(tmp_path: Path) -> None:
    settings, backend = dict(mpl.rcParams), mpl.get_backend()
    before = set(pyplot.get_fignums())
    made = plot_changes(report([0.5, -0.25, 0.0]))
    (number,) = set(pyplot.get_fignums()) - before
    try:
        assert drawn(made, tmp_path / "it.png").startswith(b"\x89PNG")
        plot_gains({10: report([0.5, -0.25, 0.0])}, ax=Figure().subplots())
        assert set(pyplot.get_fignums()) - before == {number}
    finally:
        pyplot.close(number)
    assert dict(mpl.rcParams) == settings
    assert mpl.get_backend() == backend


def test_inks_differ_in_grey() -> None:
    luminance = sorted(float(np.dot(mpl.colors.to_rgb(pen.colour), [0.2126, 0.7152, 0.0722])) for pen in PENS[:3])
    assert min(np.diff(luminance)) > 0.08
    assert len({pen.marker for pen in PENS}) == len(PENS)


def test_what_cannot_be_drawn_is_refused(linear: TrainingResult, epochs: TrainingResult) -> None:
    alone = replace(report([0.1]), adapted_scores=None)
    with pytest.raises(ValueError, match="the base alone"):
        plot_changes(alone)
    with pytest.raises(ValueError, match="several of the same questions"):
        plot_gains({10: [report([0.1]), report([0.1, 0.2])]})
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_gains({})
    with pytest.raises(ValueError, match="at least one report"):
        plot_metrics({})
    with pytest.raises(ValueError, match="expected kind='bars' or 'scatter', got 'pie'"):
        plot_changes(report([0.1]), kind="pie")
    with pytest.raises(ValueError, match="no losses"):
        plot_history([{"step": 0, "ndcg@10": 0.5}])
    with pytest.raises(ValueError, match="trained in epochs"):
        plot_selection(epochs)
    with pytest.raises(ValueError, match="expected ids of questions"):
        plot_map(linear, WORLD, questions=["unheard of"])
    with pytest.raises(KeyError, match="no metric 'map@10'"):
        plot_changes(report([0.1]), metric="map@10")
