"""Folds leave out what they say: topics with all their questions, or questions alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from langchain_embedding_adapter import QADataset
from langchain_embedding_adapter.selection.folds import Fold, question_folds, topic_folds
from langchain_embedding_adapter.vectors import PairVectors, embed_dataset
from tests.small_world import AngleEmbeddings, world


@pytest.fixture(scope="module")
def vectors() -> PairVectors:
    """The small world, where one question has answers in every plane."""
    dataset = world()
    relevant = {**dataset.relevant_docs, "q0-0": ["p0-0", "p0-12", "p1-0", "p2-0"]}
    return embed_dataset(AngleEmbeddings(), QADataset(dataset.queries, dataset.corpus, relevant))


def passages(part: PairVectors) -> set[int]:
    return set(np.concatenate(part.relevant).tolist())


def examined(folds: list[Fold]) -> Counter[str]:
    return Counter(query for fold in folds for query in fold.examined.query_ids)


@pytest.mark.parametrize("make", [topic_folds, question_folds])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_each_question_is_examined_once_and_never_fitted_on_then(vectors: PairVectors, make, count: int) -> None:
    folds = make(vectors, count, 0)
    assert len(folds) == count
    assert examined(folds) == Counter(vectors.query_ids)
    for fold in folds:
        assert not set(fold.fitted.query_ids) & set(fold.examined.query_ids)
        assert len(fold.hidden) == len(fold.examined.query_ids)
        assert len(fold.examined.query_ids) == pytest.approx(len(vectors.query_ids) / count, rel=0.5)


def test_topic_folds_share_no_passage(vectors: PairVectors) -> None:
    for fold in topic_folds(vectors, 3, 0):
        assert fold.among_asked
        assert not passages(fold.fitted) & passages(fold.examined)
        for query, found, hidden in zip(fold.examined.query_ids, fold.examined.relevant, fold.hidden, strict=True):
            whole = vectors.relevant[vectors.query_ids.index(query)]
            assert sorted([*found, *hidden]) == sorted(whole)


def test_topics_are_clusters_not_single_passages(vectors: PairVectors) -> None:
    """A passage's nearest neighbour is mostly left out with it."""
    fold = topic_folds(vectors, 3, 0)[0]
    left_out = passages(fold.examined)
    near = vectors.passages @ vectors.passages.T - 2 * np.eye(len(vectors.passages))
    together = [int(near[passage].argmax()) in left_out for passage in left_out]
    assert np.mean(together) > 0.7


def test_question_folds_share_passages_but_not_equal_questions() -> None:
    dataset = world()
    twice = QADataset(
        {**dataset.queries, **{f"again {query}": text for query, text in dataset.queries.items()}},
        dataset.corpus,
        {**dataset.relevant_docs, **{f"again {query}": found for query, found in dataset.relevant_docs.items()}},
    )
    for fold in question_folds(embed_dataset(AngleEmbeddings(), twice), 3, 0):
        fitted = {query.removeprefix("again ") for query in fold.fitted.query_ids}
        assert not fitted & {query.removeprefix("again ") for query in fold.examined.query_ids}


@pytest.mark.parametrize("make", [topic_folds, question_folds])
def test_a_seed_decides(vectors: PairVectors, make) -> None:
    first, again, other = (make(vectors, 3, seed)[0].examined.query_ids for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_folds_without_questions_are_left_out() -> None:
    two = QADataset({"a": "q 0 0", "b": "q 180 0"}, {"p": "p 0 0", "r": "p 180 0"}, {"a": ["p"], "b": ["r"]})
    vectors = embed_dataset(AngleEmbeddings(), two)
    assert len(topic_folds(vectors, 3, 0)) == len(question_folds(vectors, 3, 0)) == 2
