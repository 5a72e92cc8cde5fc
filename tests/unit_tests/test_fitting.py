"""The solvers: the optimum of the convex problem, and a loop that can be stopped and resumed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from langchain_embedding_adapter import (
    BaseAdapter,
    LinearAdapter,
    MemoryAdapter,
    QADataset,
    TrainingConfig,
    TwoLayerAdapter,
)
from langchain_embedding_adapter.evaluation.ranking import retrieval_scores
from langchain_embedding_adapter.fitting import CLOSED_FORMS, Problem, convex, fit_by_descent, fit_linear, fit_memory
from langchain_embedding_adapter.vectors import PairVectors, Ragged, embed_dataset, unit
from tests.small_world import DIMENSIONS, AngleEmbeddings, world


class DroppingAdapter(BaseAdapter):
    """A user's own module, with dropout."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        torch.manual_seed(0)
        self.shift = torch.nn.Sequential(torch.nn.Linear(in_features, 32), torch.nn.ReLU(), torch.nn.Dropout(0.2))
        self.out = torch.nn.Linear(32, out_features)
        torch.nn.init.zeros_(self.out.weight)
        torch.nn.init.zeros_(self.out.bias)

    def forward(self, queries: torch.Tensor) -> torch.Tensor:
        return queries + self.out(self.shift(queries))


@pytest.fixture(scope="module")
def turned() -> PairVectors:
    return embed_dataset(AngleEmbeddings(), world())


def ndcg(vectors: PairVectors, adapter: BaseAdapter) -> float:
    return float(retrieval_scores(vectors, adapter.adapt(vectors.queries), [10])["ndcg@10"].mean())


def small_problem(seed: int = 0) -> PairVectors:
    """A few random questions with one to three graded answers each."""
    random = np.random.default_rng(seed)
    passages = {f"p{number}": f"passage {number}" for number in range(12)}
    relevant = {f"q{n}": [f"p{p}" for p in random.choice(12, 1 + n % 3, replace=False)] for n in range(15)}
    grades = {query: {p: float(1 + number) for number, p in enumerate(found)} for query, found in relevant.items()}
    dataset = QADataset({query: query for query in relevant}, passages, relevant, grades=grades)
    draw = lambda rows: random.normal(size=(rows, 5)).astype(np.float32)  # noqa: E731
    return PairVectors.from_arrays(dataset, draw(15), draw(12))


def reference_optimum(vectors: PairVectors, config: TrainingConfig) -> np.ndarray:
    """The same problem written plainly, in float64, given to SciPy."""
    asked = vectors.asked_about()
    queries = asked.queries / np.linalg.norm(asked.queries, axis=1, keepdims=True).astype(np.float64)
    passages = asked.passages / np.linalg.norm(asked.passages, axis=1, keepdims=True).astype(np.float64)
    identity = np.eye(queries.shape[1])

    def objective(flat: np.ndarray) -> float:
        weight = flat.reshape(identity.shape)
        scores = config.scale * queries @ weight.T @ passages.T
        total = 0.0
        for row, (found, grades) in enumerate(zip(asked.relevant, asked.grades, strict=True)):
            negatives = np.delete(scores[row], found)
            for column, grade in zip(found, grades, strict=True):
                everything = np.append(negatives, scores[row, column])
                total += grade / grades.sum() * (np.log(np.exp(everything).sum()) - scores[row, column])
        return total / len(queries) + config.ridge * ((weight - identity) ** 2).sum()

    solution = minimize(objective, identity.ravel(), method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 200_000})
    return solution.x.reshape(identity.shape)


def test_the_linear_fit_turns_the_small_world_back(turned: PairVectors) -> None:
    start = LinearAdapter(DIMENSIONS, DIMENSIONS)
    adapter, history = fit_linear(turned, start, TrainingConfig(ridge=1e-3))
    assert ndcg(turned, start) < 0.35
    assert ndcg(turned, adapter) == pytest.approx(1)
    assert history[-1]["loss"] < history[0]["loss"]
    assert (start.weight == np.eye(DIMENSIONS)).all()


@pytest.mark.parametrize("ridge", [0.1, 1.0])
def test_the_linear_fit_reaches_the_optimum_of_an_independent_solver(ridge: float) -> None:
    config = TrainingConfig(ridge=ridge, scale=10, tolerance=1e-9)
    adapter, _ = fit_linear(small_problem(), LinearAdapter(5, 5), config)
    assert adapter.weight == pytest.approx(reference_optimum(small_problem(), config), abs=1e-3)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("tolerance", [0.1, 1e-2, 1e-3])
def test_what_is_left_to_gain_is_within_the_tolerance(tolerance: float, bias: bool) -> None:
    config = TrainingConfig(scale=80, tolerance=tolerance)
    _, near = fit_linear(small_problem(), LinearAdapter(5, 5, bias=bias), config)
    _, nearest = fit_linear(small_problem(), LinearAdapter(5, 5, bias=bias), replace(config, tolerance=1e-8))
    assert near[-1]["loss"] <= (1 + tolerance) * nearest[-1]["loss"]
    assert len(near) < len(nearest)


def test_of_many_questions_a_part_is_fitted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainingConfig(tolerance=1e-8)
    weights = dict.fromkeys(small_problem().query_ids[1::2], 0.0)
    for counting in (None, weights):
        whole, history = fit_linear(small_problem(), LinearAdapter(5, 5), config, question_weights=counting)
        with monkeypatch.context() as patch:
            patch.setattr(convex, "SAMPLE", 3)
            found, rest = fit_linear(small_problem(), LinearAdapter(5, 5), config, question_weights=counting)
        assert found.weight == pytest.approx(whole.weight, abs=1e-3)
        assert rest[0]["loss"] != history[0]["loss"]


def test_blocks_give_what_one_block_gives() -> None:
    whole, _ = fit_linear(small_problem(), LinearAdapter(5, 5), TrainingConfig(tolerance=1e-8))
    blocked, _ = fit_linear(small_problem(), LinearAdapter(5, 5), TrainingConfig(block_entries=40, tolerance=1e-8))
    assert blocked.weight == pytest.approx(whole.weight, abs=1e-3)


def test_the_optimum_is_found_to_the_last_digits_though_the_loss_is_rounded(caplog: pytest.LogCaptureFixture) -> None:
    config = TrainingConfig(scale=10, tolerance=1e-12)
    turned_around = small_problem().rows(np.arange(15)[::-1])
    whole, _ = fit_linear(small_problem(), LinearAdapter(5, 5), config)
    other, _ = fit_linear(turned_around, LinearAdapter(5, 5), replace(config, block_entries=40))
    assert other.weight == pytest.approx(whole.weight, abs=1e-5)
    assert "before it converged" not in caplog.text


def test_the_linear_fit_is_the_same_every_time(turned: PairVectors) -> None:
    first, again = (fit_linear(turned, LinearAdapter(DIMENSIONS, DIMENSIONS), TrainingConfig())[0] for _ in range(2))
    assert (first.weight == again.weight).all()


def test_a_strong_ridge_holds_the_map_to_where_it_started() -> None:
    start = LinearAdapter(5, 5)
    start.weight = 2 * start.weight
    adapter, _ = fit_linear(small_problem(), start, TrainingConfig(ridge=1e4))
    assert adapter.weight == pytest.approx(start.weight, abs=1e-2)


def test_the_bias_is_learned_when_there_is_one() -> None:
    adapter, _ = fit_linear(small_problem(), LinearAdapter(5, 5, bias=True), TrainingConfig())
    assert adapter.bias is not None
    assert np.abs(adapter.bias).max() > 0


def test_a_fit_that_is_cut_short_says_so(caplog: pytest.LogCaptureFixture) -> None:
    fit_linear(small_problem(), LinearAdapter(5, 5), TrainingConfig(max_steps=2, ridge=0.001))
    assert "before it converged" in caplog.text


def test_the_memory_holds_the_questions_it_was_given(turned: PairVectors) -> None:
    adapter = fit_memory(turned, MemoryAdapter(DIMENSIONS, DIMENSIONS, size=500), seed=0)
    used = adapter.keys.any(axis=1)
    assert used.sum() == len(turned.query_ids)
    assert adapter.keys[used] == pytest.approx(turned.queries, abs=1e-6)
    answers = turned.passages[np.concatenate(turned.relevant)]
    assert adapter.keys[used] + adapter.values[used] == pytest.approx(answers, abs=1e-6)


def test_a_small_memory_merges_questions_into_their_neighbours(turned: PairVectors) -> None:
    whole = fit_memory(turned, MemoryAdapter(DIMENSIONS, DIMENSIONS, size=500, temperature=0.5), seed=0)
    small, again = (
        fit_memory(turned, MemoryAdapter(DIMENSIONS, DIMENSIONS, size=60, temperature=0.5), seed=0) for _ in range(2)
    )
    assert (small.keys == again.keys).all()
    assert small.keys.any(axis=1).all()
    near = np.sum(small.adapt(turned.queries) * whole.adapt(turned.queries), axis=1)
    assert near.min() > 0.9


def test_a_memory_keeps_what_it_knew(turned: PairVectors) -> None:
    first = fit_memory(turned.take(turned.query_ids[:20]), MemoryAdapter(DIMENSIONS, DIMENSIONS, size=20), seed=0)
    both = fit_memory(
        turned.take(turned.query_ids[20:30]), MemoryAdapter(DIMENSIONS, DIMENSIONS, size=30), seed=0, known=first
    )
    assert both.keys == pytest.approx(turned.queries[:30], abs=1e-6)


def masked(vectors: PairVectors, **settings) -> set[tuple[int, int]]:
    problem = Problem.of(vectors, TrainingConfig(negatives="all", **settings))
    return set(zip(problem.masked_rows.tolist(), problem.masked_columns.tolist(), strict=True))


def test_near_duplicates_of_a_right_passage_are_no_negatives() -> None:
    vectors = small_problem()
    passages = vectors.passages.copy()
    passages[1], passages[3] = passages[0], passages[2] * 1.5
    vectors = replace(vectors, passages=passages)
    expected = set()
    for row, found in enumerate(vectors.relevant):
        for twins in ({0, 1}, {2, 3}):
            if twins & set(found.tolist()):
                expected |= {(row, twin) for twin in twins - set(found.tolist())}
    assert expected
    for entries in (2**22, 12):
        assert masked(vectors, block_entries=entries) == expected
    assert masked(vectors, duplicates_above=None) == set()


def test_likely_positives_are_no_negatives_where_asked_for() -> None:
    vectors = small_problem()
    scores = unit(vectors.queries) @ unit(vectors.passages).T
    expected = set()
    for row, found in enumerate(vectors.relevant):
        best = scores[row, found].max()
        expected |= {(row, p) for p in range(12) if best > 0 and scores[row, p] > 0.95 * best and p not in found}
    assert expected
    assert masked(vectors, false_negatives_above=0.95, duplicates_above=None) == expected


def test_what_is_masked_does_not_push() -> None:
    config = TrainingConfig(negatives="all", false_negatives_above=0.95)
    problem = Problem.of(small_problem(), config)
    scores = torch.zeros(15, 12)
    raised = scores.index_put((problem.masked_rows, problem.masked_columns), torch.tensor(9.0))
    assert problem.loss(raised, config) == problem.loss(scores, config)
    _, gradient = problem.loss_and_gradient(raised)
    assert gradient[problem.masked_rows, problem.masked_columns].abs().max() < 1e-20
    assert problem.loss(scores + torch.eye(15, 12), config) != problem.loss(scores, config)


def test_weights_of_questions_are_of_one_on_average() -> None:
    vectors = small_problem()
    weights = {query: float(number) for number, query in enumerate(vectors.query_ids)}
    problem = Problem.of(vectors, TrainingConfig(), question_weights=weights)
    assert float(problem.weights.sum()) == pytest.approx(15)
    one_question = problem.weights[problem.rows == 14]
    assert float(one_question.sum()) == pytest.approx(14 / 7)
    assert (one_question / one_question.sum()).tolist() == pytest.approx((np.array([1, 2, 3]) / 6).tolist())
    with pytest.raises(ValueError, match="not all of them 0"):
        Problem.of(vectors, TrainingConfig(), question_weights=dict.fromkeys(vectors.query_ids, 0.0))


def test_fewer_questions_and_passages_than_dimensions_give_the_same_optimum() -> None:
    """Turned into a space of more dimensions, the same vectors give the same map, turned."""
    small = small_problem()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(40, 5)))[0].astype(np.float32)
    wide = replace(small, queries=small.queries @ turn.T, passages=small.passages @ turn.T)
    config = TrainingConfig(scale=10, tolerance=1e-9)
    narrow, _ = fit_linear(small, LinearAdapter(5, 5, bias=True), config)
    found, _ = fit_linear(wide, LinearAdapter(40, 40, bias=True), config)
    assert turn.T @ found.weight @ turn == pytest.approx(narrow.weight, abs=2e-3)
    assert turn.T @ found.bias == pytest.approx(narrow.bias, abs=2e-3)
    aside = np.eye(40, dtype=np.float32) - turn @ turn.T  # what no question covers is passed through
    assert found.weight @ aside == pytest.approx(aside, abs=1e-4)


def rotated(dimensions: int, count: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Questions, their answers turned by a known rotation and shifted, and the rotation."""
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(dimensions, dimensions)))[0]
    queries = unit(random.normal(size=(count, dimensions)).astype(np.float32))
    answers = (queries @ rotation.T + 0.1).astype(np.float32)
    return torch.from_numpy(queries), torch.from_numpy(answers), rotation


def test_procrustes_finds_a_rotation_and_a_shift() -> None:
    queries, answers, rotation = rotated(6, 200)
    adapter = CLOSED_FORMS["procrustes"](queries, answers)
    assert adapter.weight == pytest.approx(rotation, abs=0.02)
    assert adapter.forward(queries.numpy()) == pytest.approx(answers.numpy(), abs=0.02)


def test_procrustes_of_few_questions_is_a_rotation_that_leaves_other_directions_alone() -> None:
    queries, answers, _ = rotated(50, 8)
    adapter = CLOSED_FORMS["procrustes"](queries, answers)
    assert adapter.weight @ adapter.weight.T == pytest.approx(np.eye(50), abs=1e-4)
    covered = np.linalg.qr(np.concatenate([(part - part.mean(0)).numpy() for part in (queries, answers)]).T)[0]
    aside = np.eye(50) - covered @ covered.T
    assert adapter.weight @ aside == pytest.approx(aside, abs=1e-3)


def test_the_mean_shift_brings_means_together_and_ridge_regression_lies_between() -> None:
    queries, answers, _ = rotated(6, 200)
    shifted = CLOSED_FORMS["mean shift"](queries, answers)
    assert (shifted.weight == np.eye(6)).all()
    assert shifted.forward(queries.numpy()).mean(axis=0) == pytest.approx(answers.mean(dim=0).numpy(), abs=1e-5)
    regressed = CLOSED_FORMS["ridge regression"](queries, answers).forward(queries.numpy())
    assert np.square(regressed - answers.numpy()).sum() < np.square(queries.numpy() - answers.numpy()).sum()


CONFIG = TrainingConfig(epochs=6, learning_rate=1e-2, ridge=0, patience=20, batch_size=16)
STARTS = pytest.mark.parametrize(
    "start",
    [TwoLayerAdapter(DIMENSIONS, 32, DIMENSIONS), DroppingAdapter(DIMENSIONS, DIMENSIONS)],
    ids=["built-in", "own"],
)


def train(vectors: PairVectors, start: BaseAdapter, config: TrainingConfig, **options):
    return fit_by_descent(vectors, start, config, lambda adapter: ndcg(vectors, adapter), **options)


def same(first: BaseAdapter, second: BaseAdapter) -> bool:
    mine, yours = first.to_arrays(), second.to_arrays()
    return all((mine[name] == yours[name]).all() for name in mine)


@STARTS
def test_the_loop_learns_and_row_0_is_the_base(turned: PairVectors, start: BaseAdapter) -> None:
    adapter, history = train(turned, start, TrainingConfig(epochs=40, learning_rate=1e-2, ridge=0, patience=40))
    assert history[0] == {"epoch": 0, "ndcg@10": ndcg(turned, start)}
    assert ndcg(turned, adapter) > 0.8
    assert ndcg(turned, adapter) == max(row["ndcg@10"] for row in history)


@STARTS
def test_a_seed_gives_the_same_weights_and_another_seed_others(turned: PairVectors, start: BaseAdapter) -> None:
    first, again = train(turned, start, CONFIG)[0], train(turned, start, CONFIG)[0]
    other = train(turned, start, TrainingConfig(**{**vars(CONFIG), "seed": 1}))[0]
    assert same(first, again)
    assert not same(first, other)


@STARTS
def test_training_leaves_the_callers_random_state_alone(turned: PairVectors, start: BaseAdapter) -> None:
    before = torch.random.get_rng_state()
    train(turned, start, CONFIG)
    assert (torch.random.get_rng_state() == before).all()


@STARTS
@pytest.mark.parametrize("stop", [1, 4])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(turned, start, stop: int, tmp_path) -> None:
    whole, history = train(turned, start, CONFIG)
    calls = []

    def interrupted(adapter: BaseAdapter) -> float:
        calls.append(adapter)
        if len(calls) > stop + 1:  # the base, and one for each epoch
            raise KeyboardInterrupt
        return ndcg(turned, adapter)

    with pytest.raises(KeyboardInterrupt):
        fit_by_descent(turned, start, CONFIG, interrupted, checkpoint=tmp_path / "state.safetensors")
    resumed, resumed_history = train(turned, start, CONFIG, checkpoint=tmp_path / "state.safetensors")
    assert same(resumed, whole)
    assert resumed_history == history


def test_a_finished_checkpoint_is_not_trained_again(turned: PairVectors, tmp_path) -> None:
    start = TwoLayerAdapter(DIMENSIONS, 32, DIMENSIONS)
    first, _ = train(turned, start, CONFIG, checkpoint=tmp_path / "state.safetensors")
    written = (tmp_path / "state.safetensors").read_bytes()
    again, _ = train(turned, start, CONFIG, checkpoint=tmp_path / "state.safetensors")
    assert same(first, again)
    assert (tmp_path / "state.safetensors").read_bytes() == written


def test_a_checkpoint_of_something_else_is_refused(turned: PairVectors, tmp_path) -> None:
    path = tmp_path / "state.safetensors"
    train(turned, TwoLayerAdapter(DIMENSIONS, 32, DIMENSIONS), CONFIG, checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint of other data, settings or another adapter"):
        train(turned, TwoLayerAdapter(DIMENSIONS, 16, DIMENSIONS), CONFIG, checkpoint=path)
    weights = dict.fromkeys(turned.query_ids[:9], 2.0)
    with pytest.raises(ValueError, match="checkpoint of other data, settings or another adapter"):
        train(turned, TwoLayerAdapter(DIMENSIONS, 32, DIMENSIONS), CONFIG, checkpoint=path, question_weights=weights)
    path.write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match="is no checkpoint"):
        train(turned, TwoLayerAdapter(DIMENSIONS, 32, DIMENSIONS), CONFIG, checkpoint=path)


def test_training_stops_when_nothing_gets_better_and_keeps_the_best(turned: PairVectors) -> None:
    figures = iter([0.5, 0.6, 0.4, 0.3, 0.2])
    seen = []

    def validate(adapter: BaseAdapter) -> float:
        seen.append(adapter)
        return next(figures)

    start = TwoLayerAdapter(DIMENSIONS, 8, DIMENSIONS)
    best, history = fit_by_descent(turned, start, TrainingConfig(epochs=50, patience=3), validate)
    assert [row["ndcg@10"] for row in history] == [0.5, 0.6, 0.4, 0.3, 0.2]
    assert same(best, seen[1])


def test_an_adapter_that_never_gets_better_comes_back_as_it_was(turned: PairVectors) -> None:
    figures = iter([0.9] + [0.1] * 10)
    start = TwoLayerAdapter(DIMENSIONS, 8, DIMENSIONS)
    best, _ = fit_by_descent(turned, start, TrainingConfig(patience=2), lambda _: next(figures))
    assert same(best, start)


def test_a_loss_that_explodes_is_an_error(turned: PairVectors) -> None:
    with pytest.raises(FloatingPointError, match="lower the learning_rate"):
        train(turned, TwoLayerAdapter(DIMENSIONS, 8, DIMENSIONS), TrainingConfig(learning_rate=1e30))


def test_the_learning_rate_falls_along_a_cosine_and_gradients_are_kept_short(turned, monkeypatch) -> None:
    rates, lengths = [], []
    step = torch.optim.AdamW.step

    def watched(optimizer: torch.optim.AdamW, *arguments):
        (group,) = optimizer.param_groups
        rates.append(group["lr"])
        lengths.append(float(torch.cat([parameter.grad.ravel() for parameter in group["params"]]).norm()))
        return step(optimizer, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    config = TrainingConfig(epochs=4, patience=4, batch_size=30, max_gradient_norm=0.5)
    train(turned, TwoLayerAdapter(DIMENSIONS, 32, DIMENSIONS), config)
    progress = np.arange(len(rates)) / len(rates)
    assert len(rates) == 4 * -(-len(turned.query_ids) // 30)
    assert np.allclose(rates, 1e-3 * (1 + np.cos(np.pi * progress)) / 2)
    assert max(lengths) == pytest.approx(0.5, abs=1e-4)  # they are longer without


@pytest.mark.parametrize("loss", ["softmax", "margin"])
def test_either_loss_by_labels_learns(turned: PairVectors, loss) -> None:
    config = TrainingConfig(epochs=40, learning_rate=1e-2, ridge=0, patience=40, loss=loss)
    adapter, history = train(turned, TwoLayerAdapter(DIMENSIONS, 32, DIMENSIONS), config)
    assert history[1]["loss"] > history[-1]["loss"]
    assert ndcg(turned, adapter) > 0.8


def test_a_taught_fit_is_the_optimum_of_both_losses(turned: PairVectors) -> None:
    random = np.random.default_rng(0)
    listed = Ragged.of(np.sort(random.choice(len(turned.passages), 5, replace=False)) for _ in turned.query_ids)
    taught = replace(turned, listed=listed, opinions=Ragged.of(random.normal(size=5) for _ in listed))
    config = TrainingConfig(scale=5, ridge=0.1, tolerance=1e-7, negatives="all", teacher_share=0.3)
    fitted, history = fit_linear(taught, LinearAdapter(DIMENSIONS, DIMENSIONS), config)
    problem = Problem.of(taught, config)
    weight = torch.tensor(fitted.weight, requires_grad=True)
    scores = config.scale * problem.queries @ weight.T @ problem.passages.T
    loss = problem.loss(scores, config) / len(problem.queries)
    loss = loss + config.ridge * ((weight - torch.eye(DIMENSIONS)) ** 2).sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    assert loss.item() == pytest.approx(history[-1]["loss"], rel=1e-5)
    assert gradient.abs().max() < 1e-3
    in_blocks, _ = fit_linear(taught, LinearAdapter(DIMENSIONS, DIMENSIONS), replace(config, block_entries=1000))
    assert np.allclose(in_blocks.weight, fitted.weight, atol=1e-3)
    labels_only, _ = fit_linear(turned, LinearAdapter(DIMENSIONS, DIMENSIONS), config)
    assert not np.allclose(labels_only.weight, fitted.weight, atol=1e-2)
