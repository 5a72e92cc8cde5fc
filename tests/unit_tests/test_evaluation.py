"""Base against adapted: counted by hand, tested for significance, shown in one table."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter, QADataset, RetrievalReport, evaluate_retrieval
from langchain_embedding_adapter.evaluation.ranking import compare
from langchain_embedding_adapter.report.retrieval import randomisation_test
from langchain_embedding_adapter.vectors import PairVectors
from tests.small_world import DIMENSIONS, TURN, AngleEmbeddings

# The base ranks passages by nearness to the question's angle plus 50°. Turned back, each finds its own passage first.
DATASET = QADataset(
    queries={"a": "q 0 0", "b": "q 60 0", "c": "q 200 0"},
    corpus={"p0": "p 0 0", "p60": "p 60 0", "p120": "p 120 0", "p200": "p 200 0"},
    relevant_docs={"a": ["p0"], "b": ["p60"], "c": ["p200"]},
)


def back(turn: float = TURN) -> LinearAdapter:
    adapter = LinearAdapter(DIMENSIONS, DIMENSIONS)
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    for plane in range(DIMENSIONS // 2):
        block = slice(2 * plane, 2 * plane + 2)
        adapter.weight[block, block] = [[cosine, sine], [-sine, cosine]]
    return adapter


def test_the_base_alone(base: AngleEmbeddings) -> None:
    report = evaluate_retrieval(base, DATASET, ks=(1, 2))
    # a: 50° → p60 before p0. b: 110° → p120 before p60. c: 250° → p200 first.
    assert report["hit_rate@1"].base == pytest.approx(1 / 3)
    assert report["mrr@2"].base == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert report["ndcg@2"].base == pytest.approx((2 / np.log2(3) + 1) / 3)
    assert report["hit_rate@1"].adapted is None
    assert "adapted" not in str(report)


def test_base_against_adapted(base: AngleEmbeddings) -> None:
    report = evaluate_retrieval(AdaptedEmbeddings(base, back()), DATASET, ks=(1, 2))
    row = report["mrr@2"]
    assert (row.adapted, row.better, row.same, row.worse) == (pytest.approx(1), 2, 1, 0)
    assert row.gain == pytest.approx(1 - 2 / 3)
    assert sorted(base.queries) == sorted(DATASET.queries.values())
    assert sorted(base.documents) == sorted(DATASET.corpus.values())


def test_worse_is_counted_too(base: AngleEmbeddings) -> None:
    row = evaluate_retrieval(AdaptedEmbeddings(base, back(-70)), DATASET, ks=(1, 2))["mrr@2"]
    assert row.gain < 0
    assert row.worse == 3


def test_cutoffs_beyond_the_corpus(base: AngleEmbeddings) -> None:
    report = evaluate_retrieval(base, DATASET, ks=(50,))
    assert report["recall@50"].base == 1


def test_part_of_the_questions(base: AngleEmbeddings) -> None:
    report = evaluate_retrieval(AdaptedEmbeddings(base, back()), DATASET, ks=(1,)).subset(["a", "c"])
    assert report.query_ids == ("a", "c")
    assert report["hit_rate@1"].base == 0.5
    with pytest.raises(ValueError, match="none of these questions"):
        report.subset(["b"])


def test_the_table_is_the_same_everywhere(base: AngleEmbeddings, tmp_path: Path) -> None:
    report = evaluate_retrieval(AdaptedEmbeddings(base, back()), DATASET)
    assert str(report) == report._repr_markdown_() == report.to_markdown()
    report.save(tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text() == f"{report}\n"
    report.save(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == report.to_dict()
    assert report.to_dict()["questions"] == 3
    with pytest.raises(ValueError, match=r"ends in .json, .md or .html"):
        report.save(tmp_path / "report.txt")


def test_an_unknown_metric_names_those_there_are(base: AngleEmbeddings) -> None:
    with pytest.raises(KeyError, match="no metric 'ndcg@7' in this report; it has hit_rate@5"):
        evaluate_retrieval(base, DATASET)["ndcg@7"]


def test_what_cannot_be_evaluated_is_refused(base: AngleEmbeddings) -> None:
    with pytest.raises(ValueError, match="no question to evaluate with"):
        evaluate_retrieval(base, QADataset({}, DATASET.corpus, {}))
    with pytest.raises(ValueError, match="cut-offs must lie"):
        evaluate_retrieval(base, DATASET, ks=(0, 5))
    vectors = PairVectors.from_arrays(DATASET, np.ones((3, 3), np.float32), np.ones((4, 2), np.float32))
    with pytest.raises(ValueError, match="queries of 3 dimensions cannot rank passages of 2"):
        compare(vectors, None)


@pytest.mark.parametrize("seed", range(5))
def test_p_is_the_share_of_sign_flips_that_are_as_extreme(seed: int) -> None:
    differences = np.random.default_rng(seed).normal(0.3, 1, size=8)
    flips = [abs(np.mean(differences * signs)) for signs in itertools.product([-1, 1], repeat=8)]
    exact = np.mean([flip >= abs(differences.mean()) - 1e-12 for flip in flips])
    padded = np.concatenate([differences, np.zeros(100)])  # questions that do not differ carry no sign
    assert randomisation_test(padded) == pytest.approx(exact)


def test_p_of_large_samples_is_small_for_a_gain_and_not_for_noise() -> None:
    random = np.random.default_rng(0)
    assert randomisation_test(random.normal(0.2, 1, size=1000)) < 0.001
    noise = [randomisation_test(random.normal(0, 1, size=200)) for _ in range(20)]
    assert np.mean(np.array(noise) < 0.1) < 0.35


def test_one_question_that_differs_proves_nothing() -> None:
    assert randomisation_test(np.array([0.0, 1.0, 0.0])) == 1


def test_reports_compare_by_content() -> None:
    report = RetrievalReport(("a",), 1, {"ndcg@10": np.array([1.0])})
    assert report.rows[0].base == 1


def test_vectors_may_go_to_a_folder_and_stay_for_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    expected = evaluate_retrieval(AdaptedEmbeddings(AngleEmbeddings(), back()), DATASET)
    for asked in (len(DATASET.queries), 0):
        model = AngleEmbeddings()
        report = evaluate_retrieval(AdaptedEmbeddings(model, back()), DATASET, path=tmp_path / "vectors")
        assert report.to_dict() == expected.to_dict()
        assert len(model.queries) == asked


def test_what_does_not_go_together_is_refused(base: AngleEmbeddings, tmp_path: Path) -> None:
    vectors = PairVectors.from_arrays(DATASET, np.ones((3, 2), np.float32), np.ones((4, 2), np.float32))
    with pytest.raises(ValueError, match="vectors bring their own passages"):
        evaluate_retrieval(base, vectors, path=tmp_path)
    store = InMemoryVectorStore.from_texts(["p 0 0"], base)
    with pytest.raises(ValueError, match="the store has its own"):
        evaluate_retrieval(base, DATASET, store=store, path=tmp_path)
    with pytest.raises(ValueError, match="expected engine="):
        evaluate_retrieval(base, DATASET, engine="spark")  # type: ignore[arg-type]
