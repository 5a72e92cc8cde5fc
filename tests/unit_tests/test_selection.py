"""Selection: candidates are examined as they would be served, and the rule takes what it says it takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from langchain_embedding_adapter import LinearAdapter, MemoryAdapter, QADataset, TrainingConfig
from langchain_embedding_adapter.evaluation.ranking import retrieval_scores
from langchain_embedding_adapter.selection import crossvalidation
from langchain_embedding_adapter.selection.candidates import BASE, Candidate, QueryMap, candidates
from langchain_embedding_adapter.selection.choice import select
from langchain_embedding_adapter.selection.crossvalidation import cross_validate
from langchain_embedding_adapter.selection.fitted import fit_chosen
from langchain_embedding_adapter.selection.folds import question_folds, topic_folds
from langchain_embedding_adapter.selection.rule import NEW, SAME, VALIDATION, choose
from langchain_embedding_adapter.vectors import PairVectors, Ragged, embed_dataset
from tests.small_world import DIMENSIONS, AngleEmbeddings, world

CONFIG = TrainingConfig(linear_grid=((40, 0.3), (40, 0.01)), memory_grid=((0.05, 0.5), (0.1, 1)), closed_forms=())
START = LinearAdapter(DIMENSIONS, DIMENSIONS)


@pytest.fixture(scope="module")
def turned() -> PairVectors:
    """The small world, in which some passages have no question."""
    dataset = world()
    corpus = {**dataset.corpus, **{f"r{angle}": f"p {angle + 5} {angle % 4}" for angle in range(0, 360, 12)}}
    return embed_dataset(AngleEmbeddings(), QADataset(dataset.queries, corpus, dataset.relevant_docs))


def test_what_is_examined_is_what_would_be_served(turned: PairVectors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every candidate's figures on a fold are those of its adapter, fitted on the fold and evaluated as any other."""
    monkeypatch.setattr(crossvalidation, "TOLERANCE", 1e-4)
    for kind, fold in ((NEW, topic_folds(turned, 3, 0)[1]), (SAME, question_folds(turned, 3, 0)[0])):
        choices = candidates(START, TrainingConfig(), questions=120, family="default", all_passages=True)
        found = cross_validate({kind: [fold]}, choices, START, TrainingConfig())[kind]
        ranked = fold.examined
        if fold.among_asked:
            asked = np.unique(np.concatenate([*fold.fitted.relevant, *fold.examined.relevant]))
            ranked = PairVectors(
                ranked.query_ids,
                tuple(ranked.passage_ids[row] for row in asked),
                ranked.queries,
                ranked.passages[asked],
                Ragged.of(np.searchsorted(asked, rows) for rows in ranked.relevant),
                ranked.grades,
            )
        for choice in choices:
            adapter, _ = fit_chosen(fold.fitted, choice, START, TrainingConfig(tolerance=1e-6))
            expected = retrieval_scores(ranked, adapter.adapt(ranked.queries), [5, 10])
            for metric, scores in found.scores(choice, [5, 10]).items():
                assert scores.mean() == pytest.approx(expected[metric].mean(), abs=0.03), (kind, str(choice), metric)


def test_graded_questions_with_several_answers_are_counted_as_evaluation_counts_them(turned: PairVectors) -> None:
    random = np.random.default_rng(0)
    several = PairVectors(
        turned.query_ids,
        turned.passage_ids,
        turned.queries,
        turned.passages,
        Ragged.of(random.choice(120, 1 + row % 4, replace=False) for row in range(len(turned.query_ids))),
        Ragged.of(random.integers(1, 4, 1 + row % 4).astype(float) for row in range(len(turned.query_ids))),
    )
    fold = question_folds(several, 3, 0)[0]
    found = cross_validate({SAME: [fold]}, [BASE], START, CONFIG)[SAME]
    expected = retrieval_scores(fold.examined, fold.examined.queries, [3, 10])
    for metric, scores in found.scores(BASE, [3, 10]).items():
        assert scores == pytest.approx(expected[metric], abs=1e-9), metric


def test_it_finds_the_turn_and_says_so(turned: PairVectors) -> None:
    selection = select(turned, START, CONFIG)
    assert selection.improved
    assert selection.reports[NEW]["ndcg@10"].gain > 0.1
    assert set(selection.reports[NEW].query_ids) == set(turned.query_ids)
    printed = str(selection)
    assert printed.startswith(f"Chosen: {selection.chosen}. It gains ")
    assert f"✔ {selection.chosen}" in printed
    assert "| base " in printed
    rows = selection.to_dict()["candidates"]
    assert len(rows) + len(selection.given_up) == len(
        candidates(START, CONFIG, questions=120, family="default", all_passages=False)
    )


def test_where_there_is_nothing_to_gain_the_base_is_kept() -> None:
    straight = embed_dataset(AngleEmbeddings(turn=0), world())
    selection = select(straight, START, CONFIG)
    assert selection.chosen == BASE
    assert selection.reason.startswith("No gain that can be relied on")
    assert str(selection).count("✔") == str(selection).count("| ✔ base ") == 1
    assert fit_chosen(straight, BASE, START, CONFIG)[0] is START


def test_the_memory_is_for_the_same_passages(turned: PairVectors) -> None:
    """Random answers can only be remembered: nothing of them holds for other passages."""
    shuffled = np.random.default_rng(0).permutation(len(turned.relevant))
    twice = PairVectors(
        (*turned.query_ids, *(f"again {query}" for query in turned.query_ids)),
        turned.passage_ids,
        np.concatenate([turned.queries, turned.queries + np.float32(0.01)]),
        turned.passages,
        turned.relevant.take([*shuffled, *shuffled]),
        Ragged.of([*turned.grades, *turned.grades]),
    )
    config = TrainingConfig(linear_grid=((40, 1.0),), memory_grid=((0.005, 1),), closed_forms=(), small=0)
    selection = select(twice, START, config, expect="same passages")
    assert selection.chosen.memory == (0.005, 1)
    assert selection.gains[SAME][selection.chosen].mean() > 0.3
    assert selection.gains[NEW][selection.chosen].mean() < 0.1


def noise(number: int) -> np.ndarray:
    """400 figures with a mean of zero and a standard error of 0.01, independent of those of another number."""
    return np.where(np.arange(400) // 2**number % 2 == 0, -0.2, 0.2)


def gains(**means: tuple[float, float]) -> dict[str, dict[Candidate, np.ndarray]]:
    """Gains on 400 questions with these means (new, same) and a standard error of 0.01, simple candidates first."""
    named = {Candidate(QueryMap("convex", 1, number)): figures for number, figures in enumerate(means.values())}
    zeros = {BASE: np.zeros(400)}
    return {
        kind: zeros | {choice: noise(number) + figures[place] for number, (choice, figures) in enumerate(named.items())}
        for place, kind in enumerate((NEW, SAME))
    }


@pytest.mark.parametrize(
    ("means", "expect", "small", "winner"),
    [
        # the best sum of those not significantly (0.0165) behind the best on new passages
        ({"a": (0.030, 0.05), "b": (0.025, 0.09), "c": (0.010, 0.30)}, "both", False, 1),
        ({"a": (0.030, 0.05), "b": (0.025, 0.09), "c": (0.010, 0.30)}, "new passages", False, 0),
        ({"a": (0.030, 0.05), "b": (0.025, 0.09), "c": (0.010, 0.30)}, "same passages", False, 2),
        # nothing that loses on new passages, however much it gains on the same
        ({"a": (-0.001, 0.30)}, "both", False, None),
        ({"a": (0.0, 0.30)}, "both", False, 0),
        # with few questions the simplest within one standard error
        ({"a": (0.029, 0.05), "b": (0.030, 0.05)}, "both", True, 0),
        ({"a": (0.029, 0.05), "b": (0.030, 0.05)}, "both", False, 1),
    ],
)
def test_the_rule(means, expect, small: bool, winner: int | None) -> None:
    chosen, reason = choose(gains(**means), expect, small=small, metric="ndcg@10")
    if winner is None:
        assert chosen == BASE
        assert "the base is kept" in reason
    else:
        assert chosen.map.ridge == winner
        assert "nDCG@10 × 100" in reason


def test_with_few_questions_to_be_near_the_best_by_noise_is_not_enough() -> None:
    noisy, good = (Candidate(QueryMap("convex", 1, ridge)) for ridge in (0, 1))
    for mean, winner in (
        (-0.01, good),
        (0.03, good),
        (0.045, good),
        (0.06, noisy),
    ):  # the noisy one's standard error is 0.05
        found = {BASE: np.zeros(400), noisy: 5 * noise(0) + mean, good: noise(1) + 0.04}
        assert choose({SAME: found}, "same passages", small=True, metric="ndcg@10")[0] == winner


def test_with_few_questions_only_a_form_of_the_best_is_preferred_to_it() -> None:
    convex, memory = QueryMap("convex", 40, 0.1), (0.05, 1.0)
    best = Candidate(convex, memory)
    for simpler, winner in {
        Candidate(QueryMap("mean shift")): best,
        Candidate(convex): Candidate(convex),
        Candidate(QueryMap(), memory): Candidate(QueryMap(), memory),
        Candidate(QueryMap("convex", 80, 0.3), memory): Candidate(QueryMap("convex", 80, 0.3), memory),
        Candidate(convex, (0.1, 1.0)): best,
        Candidate(replace(convex, negatives="all"), memory): best,
    }.items():
        found = {BASE: np.zeros(400), simpler: noise(0) + 0.035, best: noise(1) + 0.04}
        assert choose({SAME: found}, "same passages", small=True, metric="ndcg@10")[0] == winner


def test_with_few_questions_a_gain_must_stand_out() -> None:
    faint = gains(a=(0.005, 0.005))
    assert choose(faint, "both", small=True, metric="ndcg@10")[0] == BASE
    assert choose(faint, "both", small=False, metric="ndcg@10")[0] != BASE


def test_given_questions_decide_in_place_of_folds(turned: PairVectors) -> None:
    train, validation = turned.rows(np.arange(80)), turned.rows(np.arange(80, 120))
    selection = select(train, START, CONFIG, validation=validation)
    assert list(selection.gains) == list(selection.reports) == [VALIDATION]
    assert selection.reports[VALIDATION].query_ids == validation.query_ids


@pytest.mark.parametrize(
    ("family", "memories", "linear"), [("default", True, True), ("linear", False, True), ("memory", True, False)]
)
def test_families(family, memories: bool, linear: bool) -> None:
    found = candidates(START, TrainingConfig(), questions=120, family=family, all_passages=False)
    assert found[0] == BASE
    assert len(set(found)) == len(found)
    assert any(choice.memory for choice in found) is memories
    assert any(choice.memory is None for choice in found[1:]) is linear


def test_what_was_trained_before_is_where_candidates_start() -> None:
    memory = MemoryAdapter(DIMENSIONS, DIMENSIONS, size=2, temperature=0.07, strength=0.3)
    assert candidates(memory, CONFIG, questions=120, family="default", all_passages=False) == candidates(
        START, CONFIG, questions=120, family="default", all_passages=False
    )
    memory.keys[0, 0] = 1
    again = candidates(memory, TrainingConfig(), questions=120, family="default", all_passages=False)
    assert {choice.memory for choice in again} == {None, (0.07, 0.3)}
    assert not any(choice.map.method in ("procrustes", "mean shift") for choice in again)


def test_a_memory_trained_again_holds_old_and_new_questions(turned: PairVectors) -> None:
    choice = Candidate(QueryMap(), (0.05, 1))
    old, new = turned.rows(np.arange(0, 120, 2)), turned.rows(np.arange(1, 120, 2))
    first, _ = fit_chosen(old, choice, START, CONFIG)
    assert isinstance(first, MemoryAdapter)
    again, _ = fit_chosen(new, choice, first, CONFIG)
    assert isinstance(again, MemoryAdapter)
    assert again.keys[again.keys.any(axis=1)] == pytest.approx(np.concatenate([old.queries, new.queries]), abs=1e-6)
    small, _ = fit_chosen(new, choice, first, TrainingConfig(memory_size=70))
    assert isinstance(small, MemoryAdapter)
    assert small.size == len(small.keys) == 70
