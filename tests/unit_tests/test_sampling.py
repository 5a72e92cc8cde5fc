"""Many questions and passages: examined on a sample that is large enough, ranked a part at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from langchain_embedding_adapter import AdapterTrainer, TrainingConfig, evaluate_retrieval
from langchain_embedding_adapter.evaluation import ranking
from langchain_embedding_adapter.evaluation.ranking import compare, look_up, nearest_passages
from langchain_embedding_adapter.fitting import fit_linear, pools, ridge_path
from langchain_embedding_adapter.selection import choice, crossvalidation, sampling
from langchain_embedding_adapter.selection.candidates import candidates
from langchain_embedding_adapter.selection.choice import folds_of, select
from langchain_embedding_adapter.selection.sampling import enough, passages_beside, sample_of, sample_with
from langchain_embedding_adapter.vectors import PairVectors, embed_dataset, unit
from tests.small_world import AngleEmbeddings, world
from tests.unit_tests.test_sampled import START, made

QUICK = TrainingConfig(memory_grid=(), closed_forms=())


@pytest.fixture(scope="module")
def turned() -> PairVectors:
    return embed_dataset(AngleEmbeddings(), world())


def test_a_sample_holds_the_passages_of_its_questions_and_some_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "RANKED_PASSAGES", 100)
    vectors = made()
    part = sample_of(vectors, 50, seed=3)
    asked = len(np.unique(part.relevant.flat))
    assert (len(part), len(part.passages)) == (50, asked + 100)
    rows = [int(query[1:]) for query in part.query_ids]
    assert np.array_equal(part.queries, vectors.queries[rows])
    for row, found in zip(rows, part.relevant, strict=True):
        named = {part.passage_ids[passage] for passage in found}
        assert named == {vectors.passage_ids[passage] for passage in vectors.relevant[row]}
        assert np.array_equal(part.passages[found[0]], vectors.passages[vectors.relevant[row][0]])
    small = replace(vectors, passages=vectors.passages[:0], passage_ids=())
    assert sample_of(small, 2000, seed=0) is small  # nothing to leave out


def test_questions_that_decide_stay_on_the_same_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "RANKED_PASSAGES", 10)
    vectors = made()
    learned, deciding = vectors.rows(np.arange(1000)), vectors.rows(np.arange(1000, 1100))
    fitted, validation = sample_with(learned, deciding, 40, seed=0)
    assert (len(fitted), len(validation)) == (40, 100)
    assert fitted.passages is validation.passages
    right = validation.passages[validation.relevant.flat]
    assert np.array_equal(right, vectors.passages[deciding.relevant.flat])
    fitted, validation = sample_with(learned, replace(deciding, passages=deciding.passages.copy()), 40, seed=0)
    assert fitted.passages is not validation.passages


def test_few_questions_decide_among_a_part_of_very_many_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fit of sixty questions is small, and yet not all passages may be held."""
    monkeypatch.setattr(sampling, "RANKED_PASSAGES", 50)
    vectors = made(questions=100)
    learned, judges = vectors.rows(np.arange(60)), vectors.rows(np.arange(60, 100))
    asked = len(np.unique(vectors.relevant.flat))
    for memory, held in (("1GB", 1200), ("50kB", asked + 50)):
        (fold,) = choice.deciding(learned, judges, TrainingConfig(memory=memory), 3072)[choice.VALIDATION]
        assert (len(fold.fitted), len(fold.examined), len(fold.examined.passages)) == (60, 40, held)
    (fold,) = choice.deciding(learned, judges, TrainingConfig(exact_entries=1), 20)[choice.VALIDATION]
    assert (len(fold.fitted), len(fold.examined)) == (20, 40)


def test_other_passages_are_drawn_from_all() -> None:
    random = np.random.default_rng(0)
    asked = np.array([5, 17, 900_000])
    rows = passages_beside(asked, 10_000_000, random)
    assert len(rows) == 3 + sampling.RANKED_PASSAGES
    assert (np.diff(rows) > 0).all()
    assert np.isin(asked, rows).all()
    assert 4.8e6 < rows.mean() < 5.2e6
    for passages in (20_000, 80_000):  # some more than are ranked
        assert len(passages_beside(np.arange(3000), passages, random)) == 3000 + sampling.RANKED_PASSAGES
    assert passages_beside(asked, 20, random).tolist() == list(range(20))


def test_as_many_questions_as_tell_the_candidates_apart() -> None:
    draw = np.random.default_rng(0)
    clear, close = draw.normal(0.05, 0.1, 400), draw.normal(0.001, 0.1, 400)
    assert enough([[clear, clear]], 400) == 400
    needed = enough([[clear, clear], [close, close]], 400)
    assert needed > 1000
    wider = enough([[np.tile(close, 4), np.tile(close, 4)]], 1600)
    assert wider == pytest.approx(needed, rel=0.01)  # however many there are, so many are needed


def test_selection_asks_more_where_it_cannot_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = made(questions=900)
    config = replace(QUICK, linear_grid=((15, 0.05), (12, 0.05)))
    monkeypatch.setattr(choice, "LARGEST", 150)
    assert select(vectors, START, config).sampled == 150
    monkeypatch.setattr(sampling, "SIGNIFICANT", 6.0)
    monkeypatch.setattr(crossvalidation, "BEHIND", 1e9)  # nothing is given up
    told = select(vectors, START, config)
    assert told.improved
    assert 150 < told.sampled <= 600
    assert max(len(fold.examined) for folds in folds_of(vectors, config, told.sampled).values() for fold in folds) > 50
    monkeypatch.setattr(choice, "enough", lambda *_: 10**6)
    assert select(vectors, START, config).sampled == 600


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a_part_of_the_passages_at_a_time_ranks_as_all_at_once(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = made(questions=60, passages=200, metric=metric)
    if metric == "dot":  # whole numbers: their products are exact, and many are equal
        vectors = replace(vectors, queries=np.rint(2 * vectors.queries), passages=np.rint(4 * vectors.passages))
    whole, ranks = nearest_passages(vectors, vectors.queries, 15), look_up(vectors, None).base.ranks
    scores = compare(vectors, None).base_scores
    monkeypatch.setattr(ranking, "PASSAGES", 33)
    monkeypatch.setattr(ranking, "BLOCK", 7)
    assert np.array_equal(nearest_passages(vectors, vectors.queries, 15), whole)
    assert look_up(vectors, None).base.ranks == ranks
    assert all(np.array_equal(compare(vectors, None).base_scores[key], found) for key, found in scores.items())


def test_vectors_train_as_their_dataset_does(turned: PairVectors) -> None:
    trainer = AdapterTrainer(AngleEmbeddings(), config=QUICK)
    of_texts, of_vectors = trainer.train(world()), trainer.train(turned)
    assert np.array_equal(of_texts.adapter.weight, of_vectors.adapter.weight)
    assert of_texts.verdict == of_vectors.verdict
    assert of_vectors.embeddings.provenance["training"]["questions"] == len(world())
    assert of_vectors.embeddings.provenance["training"]["data"] == {"digest": turned.digest}
    by_texts, by_vectors = of_texts.evaluate(world()), of_vectors.evaluate(turned)
    assert by_texts.to_dict() == by_vectors.to_dict()
    assert "nDCG" in str(by_vectors)


def test_what_vectors_cannot_do_is_said(turned: PairVectors, tmp_path: Path) -> None:
    trainer = AdapterTrainer(AngleEmbeddings(), config=QUICK)
    with pytest.raises(ValueError, match=r"need questions that decide: validation="):
        trainer.train(turned, adapter="two-layer")
    assert trainer.train(turned, adapter="two-layer", validation=turned, config=replace(QUICK, epochs=1)).history
    with pytest.raises(ValueError, match="`teacher` reads texts"):
        trainer.train(turned, teacher=lambda pairs: [0.0] * len(pairs))
    with pytest.raises(ValueError, match="vectors bring their own"):
        trainer.train(turned, store=object())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`engine` is for linear maps"):
        trainer.train(turned, adapter="two-layer", engine="ray")
    with pytest.raises(ValueError, match="'local', 'ray' or a RayEngine"):
        trainer.train(turned, engine="spark")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not in the dataset"):
        trainer.train(turned, weights={"nobody": 2.0})
    other = replace(turned, queries=turned.queries[:, :5])
    with pytest.raises(ValueError, match="expected 8, 8 and cosine, as the training questions have"):
        trainer.train(turned, validation=other)
    with pytest.raises(ValueError, match="compared by l2"):
        trainer.train(turned, validation=replace(turned, metric="l2"))
    with pytest.raises(ValueError, match="vectors bring their own passages"):
        evaluate_retrieval(AngleEmbeddings(), turned, search_kwargs={"k": 3})
    trainer.train(turned).report.save(tmp_path / "report.html")
    assert "120 questions" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_memory_that_is_given_reaches_the_fit(turned: PairVectors) -> None:
    result = AdapterTrainer(AngleEmbeddings(), config=QUICK).train(turned, memory="1kB")
    assert result.config.memory == "1kB"
    assert result.improved
    assert "ridge" in result.history[-1]  # streamed


def test_a_lighter_ridge_where_held_out_questions_gain_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, config = made(questions=4000), TrainingConfig(scale=20, ridge=3.0, memory="1kB", tolerance=1e-3)
    heavy, told = fit_linear(vectors, START, config)
    assert told[-1]["ridge"] == 3.0
    light, told = fit_linear(vectors, START, config, lighten=True)
    assert told[-1]["ridge"] < 1.0
    before, after = (compare(vectors, adapter.adapt, [10])["ndcg@10"].adapted for adapter in (heavy, light))
    assert after > before + 0.02
    monkeypatch.setattr(ridge_path, "SIGNIFICANT", 1e6)
    _, told = fit_linear(vectors, START, config, lighten=True)
    assert told[-1]["ridge"] == 3.0


def test_a_memory_of_too_many_questions_is_no_candidate() -> None:
    for size, remembers in ((100, True), (99, False)):
        config = TrainingConfig(memory_size=size)
        found = candidates(START, config, questions=1000, family="default", all_passages=False)
        assert any(choice.memory for choice in found) is remembers
    crowded = candidates(START, TrainingConfig(memory_size=9), questions=1000, family="memory", all_passages=False)
    assert any(choice.memory for choice in crowded)  # it was asked for


def test_cells_that_hold_very_many_are_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate stays unbiased, and no more is read than is asked for."""
    monkeypatch.setattr(pools, "MOST_CELLS", 2)
    monkeypatch.setattr(pools, "MOST_READ", 0.5)
    vectors = made()
    problem = pools.Candidates(vectors, np.arange(1200), in_memory=True, seed=0)
    asked: list[int] = []
    read = problem.vectors.read
    monkeypatch.setattr(problem.vectors, "read", lambda rows: asked.append(len(rows)) or read(rows))
    queries = torch.from_numpy(unit(vectors.queries[:20]))
    every = (queries @ torch.from_numpy(problem.vectors.array).T * 5).exp()
    drawn = [problem.draw(queries, np.array([3]), 100, 5.0, (seed,)) for seed in range(300)]
    assert max(asked) <= 200
    found = np.array(
        [(every[:, pool.rows.astype(int)] @ torch.from_numpy(pool.log_weights).exp()).numpy() for pool in drawn]
    )
    error = found.std(axis=0) / len(found) ** 0.5
    assert (np.abs(found.mean(axis=0) - every.sum(dim=1).numpy()) < 4.5 * error).all()
