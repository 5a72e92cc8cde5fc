"""The fit on several ranks: the optimum of one process, whatever the problem; here the ranks are threads."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributed.run import get_args_parser

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter, QADataset, TrainingConfig
from langchain_embedding_adapter.fitting import Problem, distributed, on_ranks
from langchain_embedding_adapter.fitting.convex import fit_linear_exactly
from langchain_embedding_adapter.fitting.distributed import fit_linear_on_ranks, loss_and_gradient, reduced
from langchain_embedding_adapter.fitting.ranks import Ranks, joined
from langchain_embedding_adapter.fitting.shard import Pairs, Shard, read_passages, shard_of
from langchain_embedding_adapter.fitting.shard_masks import masked
from langchain_embedding_adapter.fitting.torchrun import SETTINGS as SETTINGS_OF_A_FIT
from langchain_embedding_adapter.fitting.torchrun import _parser, _start
from langchain_embedding_adapter.vectors import PairVectors, Ragged
from tests.ranks import on_threads
from tests.small_world import AngleEmbeddings

DIMENSIONS = 6
CONFIG = TrainingConfig(scale=10, tolerance=1e-11, negatives="all")


def some_vectors(questions: int = 90, passages: int = 37) -> PairVectors:
    """Random questions with one to three graded answers, passages of different lengths, some nearly the same."""
    random = np.random.default_rng(0)
    answers = {
        f"q{n}": [f"p{5 + p}" for p in random.choice(passages - 5, 1 + n % 3, replace=False)] for n in range(questions)
    }
    grades = {query: {p: float(1 + number) for number, p in enumerate(found)} for query, found in answers.items()}
    corpus = {f"p{number}": f"passage {number}" for number in range(passages)}
    dataset = QADataset({query: query for query in answers}, corpus, answers, grades=grades)
    directions = random.normal(size=(passages, DIMENSIONS)).astype(np.float32)
    directions[[3, 20, 31]] = directions[[8, 12, 30]]
    directions[::4] *= 2
    return PairVectors.from_arrays(dataset, random.normal(size=(questions, DIMENSIONS)).astype(np.float32), directions)


def taught(vectors: PairVectors) -> PairVectors:
    """With a teacher's opinion of some passages, for most questions."""
    random = np.random.default_rng(1)
    count = len(vectors.passages)
    listed = Ragged.of(
        [np.sort(random.choice(count, n % 6, replace=False)) for n in range(len(vectors.queries))], np.intp
    )
    return replace(vectors, listed=listed, opinions=listed.like(random.normal(size=len(listed.flat))))


def distance(first: LinearAdapter, second: LinearAdapter) -> float:
    """How far apart two maps are, as a share of their length."""
    mine, yours = (np.concatenate([part.ravel() for part in map_.to_arrays().values()]) for map_ in (first, second))
    return float(np.linalg.norm(mine - yours) / np.linalg.norm(yours))


SETTINGS = {
    "all passages": {},
    "asked passages": {"negatives": "asked"},
    "nothing masked": {"duplicates_above": None},
    "likely positives": {"false_negatives_above": 0.9},
    "blocks, by length too": {"block_entries": 1, "metric": "dot"},
    "everything": {"negatives": "asked", "false_negatives_above": 0.9, "teacher_share": 0.3, "block_entries": 1},
}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_several_ranks_find_the_optimum_of_one_process(settings: dict, count: int) -> None:
    settings = dict(settings)
    vectors = replace(some_vectors(), metric=settings.pop("metric", "cosine"))
    config = replace(CONFIG, **settings)
    if "teacher_share" in settings:
        vectors = taught(vectors)
    weights = {query: 1 + row % 4 for row, query in enumerate(vectors.query_ids)}
    start = LinearAdapter(DIMENSIONS, DIMENSIONS, bias=True)
    start.weight = np.roll(start.weight, 1, axis=0)
    one, history = fit_linear_exactly(vectors, start, config, question_weights=weights)
    found = on_threads(
        count, lambda ranks: fit_linear_on_ranks(vectors, start, config, ranks, question_weights=weights)
    )
    for adapter, losses in found:
        assert distance(adapter, one) < 1e-5
        assert losses[-1]["loss"] == pytest.approx(history[-1]["loss"], rel=1e-6)
        assert losses == found[0][1]
        assert distance(adapter, found[0][0]) == 0
    assert distance(one, start) > 0.1


def test_ranks_that_round_differently_take_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, start, exact = some_vectors(), LinearAdapter(DIMENSIONS, DIMENSIONS), distributed.entrywise
    makes: dict[int, float] = {}  # of the processor of each thread

    def rounded(left: torch.Tensor, right: torch.Tensor) -> float:
        return exact(left, right) * (1 + 1e-4 * makes[threading.get_ident()])

    def work(ranks: Ranks) -> list[dict[str, float]]:
        makes[threading.get_ident()] = ranks.rank
        return fit_linear_on_ranks(vectors, start, CONFIG, ranks)[1]

    monkeypatch.setattr(distributed, "entrywise", rounded)
    first, *others = on_threads(3, work)
    assert all(losses == first for losses in others)


def masks(shards: list[tuple[range, Shard]]) -> set[tuple[int, int]]:
    return {
        (row, column + own.start)
        for own, shard in shards
        for row, column in zip(shard.masked.rows.tolist(), shard.masked.columns.tolist(), strict=True)
    }


@pytest.mark.parametrize("settings", [{}, {"false_negatives_above": 0.8}, {"duplicates_above": None}])
def test_shards_leave_out_what_one_process_leaves_out(settings: dict) -> None:
    vectors, config = some_vectors(), replace(CONFIG, **settings)
    problem = Problem.of(vectors, config)
    pairs = Pairs.of(vectors, config, None)

    def work(ranks: Ranks) -> tuple[range, Shard]:
        return pairs.share(ranks)[ranks.rank], masked(
            shard_of(vectors, pairs, config, ranks), pairs, config, ranks, "cosine"
        )

    expected = set(zip(problem.masked_rows.tolist(), problem.masked_columns.tolist(), strict=True))
    assert masks(on_threads(3, work)) == expected
    assert bool(expected) == (settings != {"duplicates_above": None})


def test_loss_and_gradient_are_those_of_one_process() -> None:
    vectors, config = taught(some_vectors(20)), replace(CONFIG, false_negatives_above=0.9)
    problem = Problem.of(vectors, config)
    matrix = torch.eye(DIMENSIONS).roll(1, 0)
    loss, pull = problem.loss_and_gradient(10 * problem.queries @ matrix.T @ problem.passages.T)
    expected = 10 * (pull @ problem.passages).T @ problem.queries

    def work(ranks: Ranks) -> tuple[float, torch.Tensor]:
        pairs = Pairs.of(vectors, config, None)
        shard = masked(shard_of(vectors, pairs, config, ranks), pairs, config, ranks, "cosine")
        return reduced(lambda point: loss_and_gradient(shard, point, 10.0, ranks), ranks)(matrix)

    for found, gradient in on_threads(3, work):
        assert found == pytest.approx(loss.item(), rel=1e-6)
        assert torch.allclose(gradient, expected, atol=1e-4)


class Watched:
    """An array that says which rows were read."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.read, self.shape = array, [], array.shape

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows) -> np.ndarray:
        self.read += np.arange(len(self.array))[rows].tolist()
        return self.array[rows]


@pytest.mark.parametrize("negatives", ["all", "asked"])
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a_rank_reads_its_own_passages_alone(negatives, metric) -> None:
    vectors = replace(some_vectors(), metric=metric)
    whole = vectors.asked_about() if negatives == "asked" else vectors
    pairs = Pairs.of(vectors, replace(CONFIG, negatives=negatives), None)
    assert pairs.count == len(whole.passages)

    def work(ranks: Ranks) -> tuple[list[int], torch.Tensor]:
        watched = Watched(vectors.passages)
        own = pairs.share(ranks)[ranks.rank]
        return watched.read, read_passages(replace(vectors, passages=watched), pairs, own, ranks)

    found = on_threads(3, work)
    assert torch.allclose(torch.cat([passages for _, passages in found]), torch.from_numpy(whole.targets), atol=1e-6)
    rows = [set(read) for read, _ in found]
    assert sum(map(len, rows)) == len(set.union(*rows)) == pairs.count


def test_of_many_questions_a_part_is_fitted_first(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, start = some_vectors(), LinearAdapter(DIMENSIONS, DIMENSIONS)
    weights = dict.fromkeys(vectors.query_ids[1::2], 0.0)
    for counting in (None, weights):
        work = lambda ranks: fit_linear_on_ranks(vectors, start, CONFIG, ranks, question_weights=counting)  # noqa: B023,E731
        (whole, history), _ = on_threads(2, work)
        with monkeypatch.context() as patch:
            patch.setattr(distributed, "SAMPLE", 20)
            (found, rest), _ = on_threads(2, work)
        assert distance(found, whole) < 1e-5
        assert rest[0]["loss"] < history[0]["loss"]


def test_ranks_that_were_started_on_different_things_are_told() -> None:
    vectors, start = some_vectors(), LinearAdapter(DIMENSIONS, DIMENSIONS)

    def other_settings(ranks: Ranks) -> None:
        fit_linear_on_ranks(vectors, start, replace(CONFIG, scale=10 + ranks.rank), ranks)

    def other_vectors(ranks: Ranks) -> None:
        fit_linear_on_ranks(vectors if ranks.rank else vectors.asked_about(), start, CONFIG, ranks)

    def other_weights(ranks: Ranks) -> None:
        fit_linear_on_ranks(vectors, start, CONFIG, ranks, question_weights={"q1": 1.0 + ranks.rank})

    def other_seeds_of_a_sample(ranks: Ranks) -> None:
        on_ranks.fit_on_ranks(vectors, start, replace(CONFIG, exact_entries=1, seed=ranks.rank), ranks)

    for work in (other_settings, other_vectors, other_weights, other_seeds_of_a_sample):
        with pytest.raises(ValueError, match="start them on the same data with the same settings"):
            on_threads(2, work)


def test_more_ranks_than_passages_are_refused() -> None:
    with pytest.raises(ValueError, match="expected a passage for each rank, got 37 for 38 ranks"):
        fit_linear_on_ranks(some_vectors(), LinearAdapter(DIMENSIONS, DIMENSIONS), CONFIG, _Many())


class _Many(Ranks):
    """So many that there are more of them than passages; they agree on everything."""

    def __init__(self) -> None:
        super().__init__(count=38)

    def check_same(self, what: str, *numbers: int) -> None: ...


def test_a_fit_that_is_cut_short_says_so(caplog: pytest.LogCaptureFixture) -> None:
    fit_linear_on_ranks(some_vectors(), LinearAdapter(DIMENSIONS, DIMENSIONS), replace(CONFIG, max_steps=2), Ranks())
    assert "before it converged" in caplog.text


def test_a_group_of_one_is_its_own_sum() -> None:
    alone = Ranks.here()
    assert (alone.rank, alone.count) == (0, 1)
    assert alone.total(1.5) == 1.5
    assert alone.add(torch.ones(2)).tolist() == alone.told(torch.ones(2)).tolist() == [1, 1]
    value, gradient = reduced(lambda point: (2.0, 3 * point), alone)(torch.ones(2))
    assert (value, gradient.tolist()) == (2, [3, 3])


def test_parts_of_an_objective_add_up_on_every_rank() -> None:
    objective = lambda ranks: reduced(lambda point: (0.5 + ranks.rank, (1 + ranks.rank) * point), ranks)  # noqa: E731
    for value, gradient in on_threads(3, lambda ranks: objective(ranks)(torch.ones(2))):
        assert (value, gradient.tolist()) == (4.5, [6, 6])


def test_an_inner_product_is_the_first_ranks_on_all() -> None:
    def work(ranks: Ranks) -> float:
        return ranks.agreed(lambda left, right: 0.1 + ranks.rank)(torch.ones(1), torch.ones(1))

    assert on_threads(3, work) == [0.1, 0.1, 0.1]


def test_whoever_is_not_started_by_torchrun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(RuntimeError, match="start them with torchrun"), joined():
        pass


def test_torchrun_takes_none_of_the_flags_for_its_own() -> None:
    own = [flag for action in _parser()._actions for flag in action.option_strings if flag not in ("-h", "--help")]
    launcher = [flag for action in get_args_parser()._actions for flag in action.option_strings]
    assert {"--vectors", "--out", "--from", "--scale", "--ridge"} <= set(own)
    taken = [flag for flag in own if any(theirs.startswith(flag) for theirs in launcher)]  # it takes beginnings too
    assert not taken


def test_settings_are_flags() -> None:
    given = vars(_parser().parse_args(["--vectors", "v", "--out", "o"]))
    assert TrainingConfig(**{name: given[name] for name in SETTINGS_OF_A_FIT}) == TrainingConfig()
    flags = "--scale 20 --duplicates-above none --false-negatives-above 0.9 --memory 2GB --max-steps 9 --negatives all"
    given = vars(_parser().parse_args(["--vectors", "v", "--out", "o", *flags.split()]))
    expected = TrainingConfig(
        scale=20, duplicates_above=None, false_negatives_above=0.9, memory="2GB", max_steps=9, negatives="all"
    )
    assert TrainingConfig(**{name: given[name] for name in SETTINGS_OF_A_FIT}) == expected


@pytest.mark.parametrize(
    ("settings", "exact"), [({}, True), ({"exact_entries": 1000}, False), ({"memory": 100}, False)]
)
def test_what_is_too_much_for_the_ranks_is_sampled(settings, exact, monkeypatch: pytest.MonkeyPatch) -> None:
    """37 × 90 scores are more than a thousand for each of two ranks."""
    vectors, start = some_vectors(), LinearAdapter(DIMENSIONS, DIMENSIONS)
    asked = []
    for name in ("fit_linear_on_ranks", "fit_linear_sampled"):
        monkeypatch.setattr(on_ranks, name, lambda *_, name=name, **__: asked.append(name) or (start, []))
    on_threads(2, lambda ranks: on_ranks.fit_on_ranks(vectors, start, replace(CONFIG, **settings), ranks))
    assert asked == 2 * ["fit_linear_on_ranks" if exact else "fit_linear_sampled"]


def test_the_ranks_of_a_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a machine's by default, for all of them; an amount that is given is each one's."""
    vectors, start = some_vectors(), LinearAdapter(DIMENSIONS, DIMENSIONS)
    given = []
    monkeypatch.setattr(on_ranks, "fit_linear_sampled", lambda *found, **_: given.append(found[2]) or (start, []))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    for memory in (None, "1MB"):
        on_ranks.fit_on_ranks(vectors, start, replace(CONFIG, exact_entries=1, memory=memory), Ranks())
    assert [config.memory_bytes for config in given] == [TrainingConfig().memory_bytes // 4, 1_000_000]


def test_a_start_of_another_kind_is_refused(tmp_path) -> None:
    AdaptedEmbeddings(AngleEmbeddings(), LinearAdapter(8, 8)).save_pretrained(tmp_path)
    assert _start(str(tmp_path), (8, 8), bias=False)[0].in_features == 8
    with pytest.raises(ValueError, match="a linear adapter 6 → 6, got a linear one 8 → 8"):
        _start(str(tmp_path), (6, 6), bias=False)
