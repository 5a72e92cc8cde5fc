"""A teacher in the small world: checked, asked once, learned from where it helps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import BaseDocumentCompressor, Document

from langchain_embedding_adapter import AdapterTrainer, LinearAdapter, QADataset, TrainingConfig
from langchain_embedding_adapter.evaluation.ranking import compare
from langchain_embedding_adapter.fitting import fit_linear
from langchain_embedding_adapter.teacher import Consultation
from langchain_embedding_adapter.vector_cache import VectorCache
from langchain_embedding_adapter.vectors import PairVectors, Ragged, embed_dataset
from tests.small_world import DIMENSIONS, PLANES, AngleEmbeddings

Pairs = list[tuple[str, str]]
CONFIG = TrainingConfig()


def nearness(question: str, passage: str) -> float:
    """How near a passage's angle is to the question's: what the base does not see."""
    (_, asked, plane), (_, angle, other) = question.split()[:3], passage.split()[:3]
    return math.cos(math.radians(float(asked) - float(angle))) if plane == other else -1.0


def knows(pairs: Pairs) -> list[float]:
    return [3 * nearness(*pair) for pair in pairs]


def errs(pairs: Pairs) -> list[float]:
    return [-score for score in knows(pairs)]


class Encoder(BaseCrossEncoder):
    model_name = "angles"

    def score(self, text_pairs: Pairs) -> list[float]:
        return knows(text_pairs)


class Reranker(BaseDocumentCompressor):
    """The best three, with or without their score."""

    scored: bool = True

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> list[Document]:
        best = sorted(documents, key=lambda document: -nearness(query, document.page_content))[:3]
        if not self.scored:
            return best
        return [
            Document(d.page_content, metadata={**d.metadata, "relevance_score": nearness(query, d.page_content)})
            for d in best
        ]


class Counting:
    """Keeps what it was asked, and gives up after so many calls."""

    def __init__(self, calls: float = math.inf) -> None:
        self.asked: Pairs = []
        self.calls = calls

    def score(self, text_pairs: Pairs) -> list[float]:
        self.calls -= 1
        if self.calls < 0:
            raise ConnectionError("the teacher has left")
        self.asked += text_pairs
        return knows(text_pairs)


@pytest.fixture
def vectors(base: AngleEmbeddings, dataset: QADataset) -> PairVectors:
    return embed_dataset(base, dataset)


def consult(teacher: Any) -> Consultation:
    return Consultation(teacher, VectorCache(), show_progress=False)


@pytest.mark.parametrize(
    "teacher", [knows, Encoder(), Reranker(), Reranker(scored=False)], ids=["function", "encoder", "scores", "order"]
)
def test_whoever_knows_better_than_the_base_is_used(teacher, dataset: QADataset, vectors: PairVectors) -> None:
    check = consult(teacher).check(dataset, vectors, CONFIG)
    assert check.used
    assert check.report["ndcg@10"].gain > 0.1
    assert "ranks the base's nearest passages no worse than the base" in str(check)


def test_one_who_ranks_worse_is_left_out_and_changes_nothing(base, dataset: QADataset, caplog) -> None:
    alone = AdapterTrainer(base, config=CONFIG).train(dataset)
    result = AdapterTrainer(base, config=CONFIG).train(dataset, teacher=errs)
    assert result.teacher is not None
    assert not result.teacher.used
    assert "ranks worse than the base" in caplog.text
    assert "errs ranks worse than the base" in str(result)
    assert "was left out" in result.embeddings.provenance["training"]["teacher"]
    assert result.selection.chosen == alone.selection.chosen
    for name, array in alone.adapter.to_arrays().items():
        assert (result.adapter.to_arrays()[name] == array).all()


def test_the_check_is_made_on_validation_questions_where_there_are_some(base, dataset: QADataset) -> None:
    learning, validation = dataset.split(0.3, seed=0)
    result = AdapterTrainer(base, config=CONFIG).train(learning, validation=validation, teacher=knows)
    assert result.teacher.report.query_ids == tuple(validation.queries)


def test_taught_fits_are_candidates(base, dataset: QADataset) -> None:
    result = AdapterTrainer(base, config=CONFIG).train(dataset, teacher=knows)
    gains = next(iter(result.selection.gains.values()))
    assert any(choice.map.taught for choice in (*gains, *result.selection.given_up))
    untaught = AdapterTrainer(base, config=CONFIG).train(dataset)
    assert untaught.teacher is None
    assert not any(choice.map.taught for choice in next(iter(untaught.selection.gains.values())))


def test_opinions_are_of_the_nearest_and_the_right_passages(dataset: QADataset, vectors: PairVectors) -> None:
    taught = consult(knows).teach(dataset, vectors, CONFIG)
    for row, query in enumerate(taught.query_ids):
        listed = [dataset.corpus[taught.passage_ids[passage]] for passage in taught.listed[row]]
        assert set(taught.relevant[row]) <= set(taught.listed[row])
        assert 20 <= len(listed) <= 21
        ours = np.array(knows([(dataset.queries[query], text) for text in listed]))
        factors = (taught.opinions[row] / np.where(ours == 0, np.nan, ours))[~np.isclose(ours, 0)]
        assert np.allclose(factors, factors[0])
        assert factors[0] > 1  # its softmax has to pick one of neighbours that are all near


def misled(vectors: PairVectors) -> PairVectors:
    """Every second label names a passage that lies three further around its plane."""
    around = np.arange(len(vectors.passages)).reshape(PLANES, -1)
    wrong = np.roll(around, -3, axis=1).ravel()
    return replace(
        vectors,
        relevant=Ragged.of(wrong[found] if row % 2 else found for row, found in enumerate(vectors.relevant)),
    )


def test_a_teacher_makes_up_for_wrong_labels(dataset: QADataset, vectors: PairVectors) -> None:
    wrong = misled(vectors)
    taught = consult(knows).teach(dataset, wrong, CONFIG)

    def figure(learned: PairVectors) -> float:
        adapter, _ = fit_linear(learned, LinearAdapter(DIMENSIONS, DIMENSIONS), TrainingConfig(ridge=0.01))
        return float(compare(vectors, adapter.adapt)["ndcg@10"].adapted or 0)

    assert figure(taught) > figure(wrong) + 0.05


def test_every_pair_is_asked_about_once_and_kept(base, dataset: QADataset, tmp_path: Path) -> None:
    teacher = Counting()
    AdapterTrainer(base, config=CONFIG, cache=tmp_path / "cache").train(dataset, teacher=teacher)
    assert teacher.asked
    assert len(teacher.asked) == len(set(teacher.asked))
    again = Counting()
    AdapterTrainer(base, config=CONFIG, cache=tmp_path / "cache").train(dataset, teacher=again)
    assert again.asked == []


def test_what_it_said_before_it_failed_is_not_asked_again(base, dataset: QADataset) -> None:
    trainer = AdapterTrainer(base, config=CONFIG)
    first, second = Counting(calls=30), Counting()
    with pytest.raises(ConnectionError, match="the teacher has left"):
        trainer.train(dataset, teacher=first)
    trainer.train(dataset, teacher=second)
    assert first.asked
    assert not set(first.asked) & set(second.asked)


@pytest.mark.parametrize("adapter", ["two-layer", "low-rank"])
@pytest.mark.parametrize("loss", ["listwise-kl", "margin-mse"])
def test_adapters_trained_in_epochs_learn_from_it_too(base, dataset: QADataset, adapter: str, loss: Any) -> None:
    config = replace(CONFIG, teacher_loss=loss, epochs=6, learning_rate=1e-2)
    alone = AdapterTrainer(base, config=config).train(dataset, adapter=adapter)
    taught = AdapterTrainer(base, config=config).train(dataset, adapter=adapter, teacher=knows)
    assert taught.history[1]["loss"] != alone.history[1]["loss"]
    assert taught.report["ndcg@10"].adapted > taught.report["ndcg@10"].base


@pytest.mark.parametrize(
    ("teacher", "error", "message"),
    [
        (lambda pairs: [1.0], ValueError, "gave 1 scores for 20 passages"),
        (lambda pairs: [math.nan] * len(pairs), ValueError, "gave a score that is not finite for 'q 0 0'"),
        ("gpt", TypeError, "expected a teacher that scores .* got str"),
    ],
)
def test_what_is_no_teacher_says_so(base, dataset, teacher: Callable[..., Any], error, message: str) -> None:
    with pytest.raises(error, match=message):
        AdapterTrainer(base, config=CONFIG).train(dataset, teacher=teacher)
