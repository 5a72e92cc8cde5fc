"""The whole journey in the small world."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from langchain_core.documents import Document

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    AdapterTrainer,
    BaseAdapter,
    LinearAdapter,
    MemoryAdapter,
    QADataset,
    TrainingConfig,
    TwoLayerAdapter,
)
from langchain_embedding_adapter.selection.holdout import figure, hold_out
from tests.small_world import DIMENSIONS, AngleEmbeddings, AngleWriter, world

GENTLE = TrainingConfig(linear_grid=((40, 1e-3),), ridge=1e-3)


class OwnAdapter(BaseAdapter):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        torch.manual_seed(0)
        self.net = torch.nn.Linear(in_features, out_features)
        torch.nn.init.eye_(self.net.weight)
        torch.nn.init.zeros_(self.net.bias)

    def forward(self, queries: torch.Tensor) -> torch.Tensor:
        return self.net(queries)


ONE_PASSAGE = QADataset({"a": "q 1 0", "b": "q 2 0"}, {"p": "p 1 0"}, {"a": ["p"], "b": ["p"]})


def hopeless() -> QADataset:
    """Questions whose answers were dealt at random: whatever is learned is wrong elsewhere."""
    dataset = world()
    answers = [found[0] for found in dataset.relevant_docs.values()]
    random.Random(3).shuffle(answers)
    return QADataset(dataset.queries, dataset.corpus, {q: [a] for q, a in zip(dataset.queries, answers, strict=True)})


def test_documents_to_a_retriever_that_finds_everything(base: AngleEmbeddings, tmp_path: Path) -> None:
    source = world()
    documents = [
        Document(text, id=key, metadata={"source": source.documents[key]}) for key, text in source.corpus.items()
    ]
    llm = AngleWriter()
    trainer = AdapterTrainer(base, llm=llm, config=GENTLE)
    dataset = trainer.generate_dataset(documents, path=tmp_path / "pairs.jsonl")
    assert trainer.generate_dataset(documents, path=tmp_path / "pairs.jsonl") == dataset
    assert llm.calls == len(documents)
    train, test = dataset.split(test_size=0.2, seed=0)
    result = trainer.train(train)
    assert result.improved
    row = result.evaluate(test)["ndcg@10"]
    assert row.base < 0.35
    assert row.adapted > 0.95
    result.embeddings.save_pretrained(tmp_path / "adapter")
    loaded = AdaptedEmbeddings.from_pretrained(tmp_path / "adapter", base)
    assert loaded.embed_query("q 17 1") == result.embeddings.embed_query("q 17 1")


async def test_generation_is_there_asynchronously(base: AngleEmbeddings) -> None:
    dataset = await AdapterTrainer(base, llm=AngleWriter()).agenerate_dataset([Document("p 10 0")])
    assert list(dataset.queries.values()) == ["q 10 0 ?"]


def test_each_distinct_text_is_embedded_once_for_training_and_evaluation(base: AngleEmbeddings, dataset) -> None:
    train, test = dataset.split()
    trainer = AdapterTrainer(base)
    result = trainer.train(train)
    result.evaluate(test)
    trainer.train(train, adapter="two-layer", config=TrainingConfig(epochs=2))
    trainer.train(train, adapter="auto", config=TrainingConfig(epochs=2))
    assert sorted(base.queries) == sorted(dataset.queries.values())
    assert sorted(base.documents) == sorted(dataset.corpus.values())


def test_a_cache_file_spares_the_next_trainer(base: AngleEmbeddings, dataset, tmp_path: Path) -> None:
    AdapterTrainer(base, cache=tmp_path / "vectors.sqlite").train(dataset)
    other = AngleEmbeddings()
    AdapterTrainer(other, cache=tmp_path / "vectors.sqlite").train(dataset)
    assert (other.queries, other.documents) == ([], [])


def test_whole_documents_are_held_out_and_decide_for_adapters_trained_in_epochs(base, dataset) -> None:
    result = AdapterTrainer(base).train(dataset, adapter="two-layer", config=TrainingConfig(epochs=2))
    deciding = {dataset.document(dataset.relevant_docs[query][0]) for query in result.report.query_ids}
    others = dataset.queries.keys() - set(result.report.query_ids)
    assert not deciding & {dataset.document(dataset.relevant_docs[query][0]) for query in others}
    assert 0.1 < len(result.report.query_ids) / len(dataset) < 0.3
    assert result.report.passages == len(dataset.corpus)


def test_one_document_is_held_out_by_passage() -> None:
    dataset = world()
    single = QADataset(dataset.queries, dataset.corpus, dataset.relevant_docs, dict.fromkeys(dataset.corpus, "book"))
    fitted, deciding = hold_out(single, TrainingConfig())
    assert not fitted.passages_asked_about() & deciding.passages_asked_about()


def test_questions_about_one_passage_are_too_few(base: AngleEmbeddings) -> None:
    with pytest.raises(ValueError, match="cannot split into 2 parts: the 2 questions are about 1 passage"):
        AdapterTrainer(base).train(ONE_PASSAGE, adapter="two-layer")
    with pytest.raises(ValueError, match=r"questions about at least two passages.*got 2 about 1"):
        AdapterTrainer(base).train(ONE_PASSAGE)


def test_the_base_is_kept_and_said_so_when_the_adapter_does_not_beat_it() -> None:
    aligned = AngleEmbeddings(turn=0)
    result = AdapterTrainer(aligned).train(world())
    assert not result.improved
    assert str(result).startswith("No gain that can be relied on: none of ")
    assert "the base is kept" in result.verdict
    assert isinstance(result.adapter, LinearAdapter)
    assert (result.adapter.weight == np.eye(DIMENSIONS)).all()
    assert result.embeddings.embed_query("q 10 0") == pytest.approx(aligned._vector("q 10 0"), abs=1e-6)


@pytest.mark.parametrize("adapter", ["linear", "low-rank", "memory"])
def test_no_adapter_that_loses_is_served(base: AngleEmbeddings, adapter: str) -> None:
    result = AdapterTrainer(base, config=TrainingConfig(epochs=5)).train(hopeless(), adapter=adapter)
    row = result.report["ndcg@10"]
    assert result.improved == (result.selection.improved if result.selection else row.gain > 0)
    served = np.asarray(result.embeddings.embed_queries(["q 10 0", "q 20 1"]))
    if not result.improved:
        assert served == pytest.approx(np.array([base._vector("q 10 0"), base._vector("q 20 1")]), abs=1e-6)


@pytest.mark.parametrize(
    "adapter",
    [
        None,
        "linear",
        "memory",
        "auto",
        LinearAdapter(DIMENSIONS, DIMENSIONS, bias=True),
        TwoLayerAdapter(DIMENSIONS, 64, DIMENSIONS),
        "two-layer",
        "low-rank",
        OwnAdapter(DIMENSIONS, DIMENSIONS),
    ],
    ids=lambda adapter: getattr(adapter, "kind", str(adapter)),
)
def test_every_kind_of_adapter_learns_the_turn(base: AngleEmbeddings, dataset, adapter) -> None:
    train, test = dataset.split()
    config = TrainingConfig(
        linear_grid=((40, 1e-3),), ridge=1e-3, learning_rate=2e-2, epochs=60, patience=60, memory_grid=((0.05, 0.5),)
    )
    result = AdapterTrainer(base, config=config).train(train, adapter=adapter)
    assert result.improved
    assert result.evaluate(test)["ndcg@10"].gain > 0.1
    first = result.history[0]
    assert first["ndcg@10"] == pytest.approx(result.report["ndcg@10"].base)


def test_the_adapter_given_is_left_as_it_is(base: AngleEmbeddings, dataset) -> None:
    start = OwnAdapter(DIMENSIONS, DIMENSIONS)
    AdapterTrainer(base, config=TrainingConfig(epochs=3, learning_rate=0.1)).train(dataset, adapter=start)
    assert (start.to_arrays()["net.weight"] == np.eye(DIMENSIONS)).all()


def test_validation_can_be_given(base: AngleEmbeddings, dataset) -> None:
    train, validation, _ = dataset.split(0.2, 0.2)
    result = AdapterTrainer(base).train(train, validation=validation)
    assert result.report.query_ids == tuple(validation.queries)
    assert list(result.selection.gains) == ["validation questions"]
    in_epochs = AdapterTrainer(base).train(
        train, validation=validation, adapter="low-rank", config=TrainingConfig(epochs=1)
    )
    assert in_epochs.report.query_ids == tuple(validation.queries)


def test_another_metric_decides(base: AngleEmbeddings, dataset) -> None:
    result = AdapterTrainer(base).train(dataset, config=TrainingConfig(metric="mrr@3"))
    assert "MRR@3" in result.verdict
    assert "mrr@3" in result.history[0]


def test_training_gives_the_same_bits_every_time_and_on_any_number_of_threads(dataset) -> None:
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (threads, threads, 1, 3):
            torch.set_num_threads(number)
            results.append(AdapterTrainer(AngleEmbeddings()).train(dataset))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    first = results[0]
    for other in results[1:]:
        assert str(other.selection) == str(first.selection)
        assert all(
            (array == other.adapter.to_arrays()[name]).all() for name, array in first.adapter.to_arrays().items()
        )


def test_a_result_is_saved_with_its_report_and_history(base: AngleEmbeddings, dataset, tmp_path: Path) -> None:
    result = AdapterTrainer(base).train(dataset)
    result.save(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == result.report.to_dict()
    assert json.loads((tmp_path / "run" / "history.json").read_text()) == result.history
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["report"] == result.report.to_dict()
    assert config["training"]["chosen"] == str(result.selection.chosen)
    assert json.loads((tmp_path / "run" / "selection.json").read_text()) == result.selection.to_dict()
    card = (tmp_path / "run" / "README.md").read_text()
    assert str(result.report).split("\n\n")[1] in card
    loaded = AdaptedEmbeddings.from_pretrained(tmp_path / "run", base)
    loaded.save_pretrained(tmp_path / "again")
    again = json.loads((tmp_path / "again" / "config.json").read_text())
    of_files = {"sha256", "further_files"}
    assert {key: again[key] for key in again.keys() - of_files} == {
        key: config[key] for key in config.keys() - of_files
    }


def test_checkpoints_are_resumed_through_the_trainer(
    base: AngleEmbeddings, dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = AdapterTrainer(base, config=TrainingConfig(epochs=6))
    whole = trainer.train(dataset, adapter="two-layer")
    calls = []

    def interrupted(*arguments: Any) -> float:
        calls.append(arguments)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return figure(*arguments)

    monkeypatch.setattr("langchain_embedding_adapter.selection.training.figure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(dataset, adapter="two-layer", checkpoint=tmp_path / "state")
    monkeypatch.undo()
    resumed = trainer.train(dataset, adapter="two-layer", checkpoint=tmp_path / "state")
    assert resumed.history == whole.history
    for name, array in whole.adapter.to_arrays().items():
        assert (resumed.adapter.to_arrays()[name] == array).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"adapter": "three-layer"}, ValueError, "one of auto, linear, low-rank, memory, two-layer, got 'three-layer'"),
        (
            {"adapter": LinearAdapter(4, 4)},
            ValueError,
            "maps 4 to 4 dimensions, and AngleEmbeddings gives queries of 8",
        ),
        ({"checkpoint": "state"}, ValueError, "a linear map is fitted in seconds"),
        ({"expect": "the best"}, ValueError, "expected expect= one of new passages, same passages, both"),
        ({"weights": {"nobody": 1.0}}, ValueError, "not in the dataset: .'nobody'"),
        ({"weights": {"q0-0": -1.0}}, ValueError, "question weights must be 0 or above"),
    ],
)
def test_wrong_arguments_are_refused(base: AngleEmbeddings, dataset, arguments, error, message: str) -> None:
    with pytest.raises(error, match=message):
        AdapterTrainer(base).train(dataset, **arguments)


def test_a_trainer_needs_embeddings_and_generation_an_llm(base: AngleEmbeddings) -> None:
    with pytest.raises(TypeError, match="expected LangChain Embeddings, got str"):
        AdapterTrainer("text-embedding-3-small")
    with pytest.raises(ValueError, match="this trainer has no LLM"):
        AdapterTrainer(base).generate_dataset([Document("p 1 0")])


def test_trained_again_the_map_is_held_to_yesterdays(base: AngleEmbeddings, dataset) -> None:
    """A few new questions say little about the turn; what was learned before stays."""
    parts = list(dataset.queries)
    few = dataset.subset(parts[::10])
    trainer = AdapterTrainer(
        base, config=TrainingConfig(linear_grid=((40, 0.3), (40, 1e-3)), memory_grid=(), closed_forms=())
    )
    before = trainer.train(dataset.subset([query for query in parts if query not in few.queries]))
    afresh = trainer.train(few)
    again = trainer.train(few, adapter=before.adapter)
    assert again.evaluate(dataset)["ndcg@10"].adapted > afresh.evaluate(dataset)["ndcg@10"].adapted + 0.05
    assert again.evaluate(dataset)["ndcg@10"].adapted > 0.9
    held = trainer.train(few, adapter=before.adapter, config=TrainingConfig(linear_grid=((40, 1e4),), memory_grid=()))
    assert held.adapter.to_arrays()["weight"] == pytest.approx(before.adapter.to_arrays()["weight"], abs=1e-3)


def test_trained_again_a_memory_does_not_forget(base: AngleEmbeddings, dataset) -> None:
    parts = list(dataset.queries)
    config = TrainingConfig(linear_grid=((40, 0.1),), memory_grid=((0.05, 1),), small=0)
    trainer = AdapterTrainer(base, config=config)
    old = dataset.subset(parts[::2])
    first = trainer.train(old, adapter="memory", expect="same passages")
    assert isinstance(first.adapter, MemoryAdapter)
    again = trainer.train(dataset.subset(parts[1::2]), adapter=first.adapter, expect="same passages")
    assert isinstance(again.adapter, MemoryAdapter)
    before = first.evaluate(old)["ndcg@10"].adapted
    assert before > first.evaluate(old)["ndcg@10"].base + 0.03
    assert again.evaluate(old)["ndcg@10"].adapted >= before - 0.02


def test_weights_say_which_questions_count(base: AngleEmbeddings, dataset) -> None:
    """Half of the questions are turned one way, half the other: the map follows those that count."""
    odd = {query: f"q {float(text.split()[1]) + 260} {text.split()[2]}" for query, text in dataset.queries.items()}
    both = QADataset(
        {**dataset.queries, **{f"odd {query}": text for query, text in odd.items()}},
        dataset.corpus,
        {**dataset.relevant_docs, **{f"odd {query}": found for query, found in dataset.relevant_docs.items()}},
    )
    trainer = AdapterTrainer(base, config=TrainingConfig(linear_grid=((40, 1e-3),), memory_grid=(), small=0))
    weights = {query: 0.0 for query in both.queries if query.startswith("odd")}
    result = trainer.train(both, adapter="linear", expect="same passages", weights=weights)
    assert result.evaluate(dataset)["ndcg@10"].adapted > 0.95
