"""Two adapters on the same questions."""

from __future__ import annotations

import pytest

from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter, evaluate_retrieval
from langchain_embedding_adapter.evaluation.comparing import compare_adapters
from tests.small_world import DIMENSIONS, AngleEmbeddings, turned_back, world


def nothing(base: AngleEmbeddings) -> AdaptedEmbeddings:
    return AdaptedEmbeddings(base, LinearAdapter(DIMENSIONS, DIMENSIONS))


def test_the_difference_is_that_of_the_two(base: AngleEmbeddings) -> None:
    dataset = world()
    found = compare_adapters(turned_back(base), nothing(base), dataset, names=("turned", "same"), most=3)
    row = found.between["ndcg@10"]
    reports = [evaluate_retrieval(each, dataset) for each in (turned_back(base), nothing(base))]
    assert row.gain == pytest.approx(reports[0]["ndcg@10"].adapted - reports[1]["ndcg@10"].adapted)
    assert (row.better, row.same, row.worse) == (120, 0, 0)
    assert found.verdict.startswith("turned is ahead of same (nDCG@10 +")
    assert [each.ranks[1] for each in found.differences] == [1, 1, 1]
    assert all(each.ranks[0] == each.ranks[2] > 1 for each in found.differences)
    assert found.differences[0].passage.startswith("p ")
    assert "| base | turned | same | change | question" in str(found)
    assert found.to_dict()["difference"][0]["metric"] == "hit_rate@5"


def test_the_other_way_round_it_is_behind(base: AngleEmbeddings) -> None:
    found = compare_adapters(nothing(base), turned_back(base), world(step=30), metric="mrr@10", most=0)
    assert found.verdict.startswith("B is ahead of A (MRR@10 -")
    assert found.between["mrr@10"].worse == 48
    assert "Ranks of the right passage" not in str(found)


def test_the_same_twice_is_no_difference(base: AngleEmbeddings) -> None:
    found = compare_adapters(nothing(base), nothing(base), world(step=60))
    assert found.verdict == "Both answer every one of 24 questions alike."
    assert found.differences == ()


def test_what_may_be_chance_is_said_to_be(base: AngleEmbeddings) -> None:
    few = world(step=60)
    found = compare_adapters(turned_back(base), nothing(base), few.subset(list(few.queries)[:2]))
    assert found.verdict.startswith("No clear difference between A and B")


def test_no_text_is_embedded_twice(base: AngleEmbeddings) -> None:
    dataset = world(step=60)
    compare_adapters(turned_back(base), nothing(base), dataset)
    assert sorted(base.documents) == sorted(dataset.corpus.values())
    assert sorted(base.queries) == sorted(dataset.queries.values())


def test_two_bases_are_shown_apart(base: AngleEmbeddings) -> None:
    class Other(AngleEmbeddings):
        pass

    found = compare_adapters(turned_back(base), nothing(Other(turn=0)), world(step=60))
    assert "| base of A | base of B |" in str(found)


def test_a_metric_that_nobody_counts_is_refused(base: AngleEmbeddings) -> None:
    with pytest.raises(ValueError, match="unknown metric 'ndgc@10'; expected one of hit_rate@5"):
        compare_adapters(nothing(base), nothing(base), world(step=60), metric="ndgc@10")


def test_passages_of_another_model_are_embedded_by_it(base: AngleEmbeddings) -> None:
    old, dataset = AngleEmbeddings(turn=0), world(step=60)
    turned = AdaptedEmbeddings(base, turned_back(base).adapter, document_embeddings=old)
    same = AdaptedEmbeddings(base, nothing(base).adapter, document_embeddings=old)
    found = compare_adapters(turned, same, dataset)
    assert {each.ranks[:2] for each in found.differences} == {(1, 1)}  # the index's own queries; the adapted ones
    assert sorted(old.documents) == sorted(dataset.corpus.values())
    assert not base.documents
