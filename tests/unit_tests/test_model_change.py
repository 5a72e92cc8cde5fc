"""Another model for the questions, in a world of bags of words: one model's space is a known map of the other's."""

from __future__ import annotations

import functools
import hashlib
import json

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    AdapterTrainer,
    BridgeReport,
    LinearAdapter,
    MemoryAdapter,
    QADataset,
    TrainingConfig,
    adapt_store,
    bridge_models,
    evaluate_retrieval,
    read_store,
)
from langchain_embedding_adapter.adapters import LayeredMemoryAdapter
from langchain_embedding_adapter.bridging.alignment import ALIGNMENTS
from langchain_embedding_adapter.bridging.fit import BridgeVectors, Examination, fit_bridge
from langchain_embedding_adapter.bridging.report import BridgeEvaluation
from langchain_embedding_adapter.evaluation.ranking import retrieval_scores
from langchain_embedding_adapter.fitting import filled, memory_for
from langchain_embedding_adapter.selection.candidates import BASE, LOUDER, WHOLE, candidates
from langchain_embedding_adapter.selection.choice import select
from langchain_embedding_adapter.selection.crossvalidation import cross_validate
from langchain_embedding_adapter.selection.fitted import fit_chosen
from langchain_embedding_adapter.selection.folds import question_folds
from langchain_embedding_adapter.vectors import PairVectors, unit

WIDE, NARROW = 24, 16
WORDS = [f"{first}{last}" for first in ("bar", "cor", "del", "fin", "gat", "hul") for last in ("ak", "em", "id", "on")]


class BagOfWords(Embeddings):
    """The sum of its words' vectors; the narrow model's are those of the wide one, mapped. Counts what it is asked."""

    def __init__(self, size: int = WIDE, noise: float = 0.0) -> None:
        self.size, self.noise = size, noise
        self.queries: list[str] = []
        self.documents: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        self.queries.append(text)
        return self.vector(text).tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.documents += texts
        return [self.vector(text).tolist() for text in texts]

    def vector(self, text: str) -> np.ndarray:
        words = text.lower().replace(".", "").replace("?", "").split()
        total = sum((drawn(word, WIDE) for word in words), np.zeros(WIDE))
        if self.size == NARROW:
            total = between() @ total
        total = total + self.noise * drawn(f"{self.size} {text}", self.size)
        return total / np.linalg.norm(total)


@functools.cache
def drawn(text: str, size: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=size)


def between() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(NARROW, WIDE))


def off_the_mark() -> LinearAdapter:
    """A bridge that leads near where it should."""
    adapter = LinearAdapter(WIDE, NARROW)
    adapter.weight = (between() / 5 + 0.15 * drawn("off", NARROW * WIDE).reshape(NARROW, WIDE)).astype(np.float32)
    return adapter


@pytest.fixture(scope="module")
def collection() -> QADataset:
    random = np.random.default_rng(0)
    corpus = {f"p{row}": " ".join(random.choice(WORDS, 7, replace=False)) + "." for row in range(80)}
    words = {key: text.rstrip(".").split() for key, text in corpus.items()}
    queries = {f"q{key}": " ".join(random.choice(found, 5, replace=False)) for key, found in words.items()}
    return QADataset(queries, corpus, {query: [query[1:]] for query in queries})


@pytest.fixture(scope="module")
def bridge(collection):
    return bridge_models(BagOfWords(WIDE), BagOfWords(NARROW), dataset=collection, questions=200)


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_a_rotation_is_found_by_every_closed_form(name: str) -> None:
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    new = np.random.default_rng(2).normal(size=(500, 6))
    found = ALIGNMENTS[name](new, new @ rotation.T)
    cosine = (found * rotation).sum() / np.linalg.norm(found) / np.linalg.norm(rotation)
    assert found.dtype == np.float32
    assert cosine > 0.999


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_closed_forms_lead_from_one_space_to_the_other(name: str) -> None:
    random = np.random.default_rng(3)
    new = random.normal(size=(200, 9))
    assert ALIGNMENTS[name](new, new[:, :4]).shape == (4, 9)
    assert ALIGNMENTS[name](new[:, :4], new).shape == (9, 4)


def test_scores_of_the_reverse_regression_are_those_of_the_new_model() -> None:
    old = np.random.default_rng(4).normal(size=(300, 10))
    new = old @ np.random.default_rng(5).normal(size=(10, 6))
    mapped = new @ ALIGNMENTS["reverse regression"](new, old).T
    ours, theirs = (mapped @ old.T).ravel(), (new @ new.T).ravel()
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99


@pytest.mark.parametrize(("new", "old", "share"), [(WIDE, NARROW, 0.95), (NARROW, WIDE, 0.9)])
def test_the_old_models_quality_is_kept(collection, new: int, old: int, share: float) -> None:
    result = bridge_models(BagOfWords(new), BagOfWords(old), dataset=collection, questions=200)
    evaluation = result.evaluate(collection)
    assert evaluation.report["ndcg@10"].base > 0.5
    assert evaluation.share_kept() >= share
    assert f"nDCG@10 {evaluation.share_kept():.1%}" in str(evaluation)
    assert len(result.embeddings.embed_query("barak corem delid")) == old


def test_every_text_is_embedded_once_by_each_model(collection) -> None:
    new, old = BagOfWords(WIDE), BagOfWords(NARROW)
    result = bridge_models(new, old, dataset=collection, questions=200)
    result.evaluate(collection)
    assert sorted(new.documents) == sorted(old.documents) == sorted(collection.corpus.values())
    assert len(set(new.queries)) == len(new.queries)
    assert len(set(old.queries)) == len(old.queries)
    assert len(new.queries) <= 200 + len(collection)
    assert len(old.queries) < len(new.queries)


def test_a_store_is_enough_where_the_old_model_is_gone(collection, tmp_path) -> None:
    old = BagOfWords(NARROW)
    store = InMemoryVectorStore(old)
    store.add_texts(list(collection.corpus.values()), ids=list(collection.corpus))
    old.documents.clear()
    result = bridge_models(BagOfWords(WIDE), store=store, questions=200)
    assert not old.documents + old.queries
    assert result.report.native is None
    assert result.report.share_kept is None
    assert "of the old model" not in str(result)
    absent = "a model that is not at hand built the index, .* to add documents, or to compare .* document_embeddings=…"
    with pytest.raises(ValueError, match=absent):
        result.embeddings.embed_documents(["barak"])
    with pytest.raises(ValueError, match=absent):
        result.evaluate(collection)
    result.save(tmp_path / "bridge")
    loaded = AdaptedEmbeddings.from_pretrained(tmp_path / "bridge", BagOfWords(WIDE))
    assert len(loaded.embed_query("barak")) == NARROW
    found = adapt_store(store, result.embeddings).similarity_search(collection.queries["qp3"], k=3)
    assert "p3" in [document.id for document in found]


def test_what_the_store_lacks_the_old_model_embeds(collection) -> None:
    old, texts = BagOfWords(NARROW), list(collection.corpus.values())
    store = InMemoryVectorStore.from_texts(texts[:60], old)
    old.documents.clear()
    result = bridge_models(BagOfWords(WIDE), old, store=store, texts=texts, questions=200)
    assert old.documents == texts[60:]
    assert result.report.texts == 80
    with pytest.raises(ValueError, match="20 of 80 texts have no stored vector"):
        bridge_models(BagOfWords(WIDE), store=store, texts=texts)
    with pytest.raises(ValueError, match=r"vectors of \[16, 24\] dimensions"):
        bridge_models(BagOfWords(WIDE), BagOfWords(WIDE), store=store, texts=texts)


def test_a_part_of_the_index_counts_as_a_part(collection) -> None:
    store = InMemoryVectorStore.from_texts(list(collection.corpus.values()), BagOfWords(NARROW))
    report = bridge_models(BagOfWords(WIDE), store=read_store(store), most_texts=40, questions=100).report
    assert (report.texts, report.coverage) == (40, 0.5)
    assert all(row.figure == pytest.approx((row.covered + row.uncovered) / 2) for row in report.rows)
    assert report.best.figure == max(row.figure for row in report.rows)


def test_a_memory_is_taken_where_no_linear_map_leads_across() -> None:
    random = np.random.default_rng(0)
    new, old = (random.normal(size=(120, size)).astype(np.float32) for size in (32, 12))  # nothing in common
    about = np.repeat(np.arange(120), 4)
    questions = (new[about] + 0.3 * random.normal(size=(480, 32))).astype(np.float32)
    vectors = BridgeVectors(new, old, questions, about)
    remembered, report = fit_bridge(vectors)
    linear, _ = fit_bridge(vectors, memory=False)
    assert isinstance(remembered, MemoryAdapter)
    assert isinstance(linear, LinearAdapter)
    assert "memory" in report.chosen
    assert report.best.covered > 0.95
    assert report.best.uncovered < 0.3
    assert report.best.covered > max(row.covered for row in report.rows if "memory" not in row.name) + 0.05
    unknown, _ = fit_bridge(vectors, coverage=0.0)
    assert isinstance(unknown, LinearAdapter)


def test_what_examines_is_not_learned_from() -> None:
    about = np.repeat(np.arange(50), 3)
    blank = np.zeros((50, 2), np.float32)
    drawn_ = Examination.draw(BridgeVectors(blank, blank, np.zeros((150, 2), np.float32), about), 0)
    assert len(drawn_.texts) == 40
    assert not set(about[drawn_.uncovered]) & set(drawn_.texts)
    assert set(about[drawn_.questions]) | set(about[drawn_.covered]) <= set(drawn_.texts)
    together = np.concatenate([drawn_.questions, drawn_.covered, drawn_.uncovered])
    assert sorted(together) == list(range(150))


def test_the_same_again_is_the_same(collection, bridge) -> None:
    again = bridge_models(BagOfWords(WIDE), BagOfWords(NARROW), dataset=collection, questions=200)
    for name, array in bridge.adapter.to_arrays().items():
        assert np.array_equal(array, again.adapter.to_arrays()[name])


def test_it_is_saved_with_what_is_known_of_it(bridge, collection, tmp_path) -> None:
    bridge.save(tmp_path / "bridge")
    report = json.loads((tmp_path / "bridge" / "bridge.json").read_text())
    assert report["chosen"] == bridge.report.chosen
    assert report["share_kept"] == pytest.approx(bridge.report.share_kept)
    loaded = AdaptedEmbeddings.from_pretrained(
        tmp_path / "bridge", BagOfWords(WIDE), document_embeddings=BagOfWords(NARROW)
    )
    question = collection.queries["qp1"]
    assert loaded.embed_query(question) == bridge.embeddings.embed_query(question)
    assert len(loaded.embed_documents([question])[0]) == NARROW


def test_the_report_says_what_was_tried(bridge) -> None:
    report: BridgeReport = bridge.report
    lines = str(report).splitlines()
    assert lines[0].startswith("80 texts, 100% of the index")
    assert lines[0].endswith("of the old model's own figure on them (of real questions: evaluate)")
    assert sum("(taken)" in line for line in lines) == 1
    assert {row.name for row in report.rows} >= set(ALIGNMENTS)
    assert report.native is not None
    assert report.share_kept == pytest.approx(report.best.figure / report.native.figure)


def test_labelled_pairs_refine_it(collection) -> None:
    new, old = BagOfWords(WIDE), BagOfWords(NARROW)
    trainer = AdapterTrainer(new, document_embeddings=old)
    result = trainer.train(collection, adapter=off_the_mark())
    assert sorted(old.documents) == sorted(collection.corpus.values())
    assert not new.documents
    assert not old.queries
    assert result.improved
    assert len(result.embeddings.embed_documents(["barak"])[0]) == NARROW
    report = evaluate_retrieval(result.embeddings, collection)
    off = evaluate_retrieval(AdaptedEmbeddings(new, off_the_mark(), document_embeddings=old), collection)
    assert report["ndcg@10"].adapted > off["ndcg@10"].adapted
    assert report["ndcg@10"].base == off["ndcg@10"].base == evaluate_retrieval(old, collection)["ndcg@10"].base


def test_a_memory_is_refined_too(collection, bridge) -> None:
    memory = MemoryAdapter(WIDE, NARROW, 80, temperature=0.03, strength=1.0)
    memory.weight = off_the_mark().weight
    memory.keys[:40] = [BagOfWords(WIDE).vector(text) for text in list(collection.corpus.values())[:40]]
    memory.values[:40] = [BagOfWords(NARROW).vector(text) for text in list(collection.corpus.values())[:40]]
    trainer = AdapterTrainer(BagOfWords(WIDE), document_embeddings=BagOfWords(NARROW))
    result = trainer.train(collection, adapter=memory)
    assert isinstance(result.adapter, MemoryAdapter)
    assert result.improved
    known = {key.tobytes() for key in result.adapter.keys}
    assert all(key.tobytes() in known for key in memory.keys[:40])


@pytest.fixture(scope="module")
def unlike() -> tuple[MemoryAdapter, PairVectors]:
    """Texts about which two models have nothing in common: a bridge that remembers them wrongly, and pairs."""
    random = np.random.default_rng(0)
    new, old = (unit(random.normal(size=(150, size)).astype(np.float32)) for size in (32, 12))
    about = np.repeat(np.arange(150), 3)
    asked = unit(new[about] + 0.05 * random.normal(size=(450, 32)).astype(np.float32))
    bridge = filled(memory_for(32, 12, 150, 0.02, 1e13), new, np.concatenate([old[75:], old[:75]]), 0)
    return bridge, BridgeVectors(new, old, asked, about).pairs(np.flatnonzero(about < 40))


def test_labels_correct_a_bridge_that_remembers_and_leave_the_rest_of_it(unlike) -> None:
    bridge, vectors = unlike
    selection = select(vectors, bridge, TrainingConfig(), family="bridge")
    gains = {choice: found.mean() for choice, found in selection.gains["same passages"].items() if choice.map == WHOLE}
    best = max(gains, key=lambda choice: gains[choice])
    assert str(best).startswith("bridge + memory, temperature ")
    assert gains[best] > 0.1
    fitted, _ = fit_chosen(vectors, best, bridge, TrainingConfig())
    assert isinstance(fitted, LayeredMemoryAdapter)
    found, before = (
        retrieval_scores(vectors, adapter.adapt(vectors.queries), [10])["ndcg@10"] for adapter in (fitted, bridge)
    )
    assert found.mean() > before.mean() + 0.3
    others = bridge.keys[100:]
    assert np.einsum("nd,nd->n", fitted.adapt(others), bridge.adapt(others)).min() > 0.99


def test_what_is_examined_of_a_bridge_is_what_would_be_served(unlike) -> None:
    bridge, vectors = unlike
    fold = question_folds(vectors, 3, 0)[0]
    choices = candidates(bridge, TrainingConfig(), questions=120, family="bridge")
    assert len(choices) == 1 + len(TrainingConfig().memory_grid) + len(LOUDER) + 4
    examined = cross_validate({"same passages": [fold]}, choices, bridge, TrainingConfig())["same passages"]
    for choice in [found for found in choices if found.map in (BASE.map, WHOLE)]:
        adapter, _ = fit_chosen(fold.fitted, choice, bridge, TrainingConfig())
        expected = retrieval_scores(fold.examined, adapter.adapt(fold.examined.queries), [10])["ndcg@10"]
        assert examined.scores(choice, [10])["ndcg@10"].mean() == pytest.approx(expected.mean(), abs=0.01), choice


def test_a_memory_over_a_bridge_is_not_trained_again(collection) -> None:
    trainer = AdapterTrainer(BagOfWords(WIDE), document_embeddings=BagOfWords(NARROW))
    layered = LayeredMemoryAdapter(WIDE, NARROW, 3, below_size=2)
    with pytest.raises(ValueError, match=r"train\(…, adapter=adapter.below\)"):
        trainer.train(collection, adapter=layered)


@pytest.mark.parametrize("adapter", [None, "linear", "two-layer", "auto"])
@pytest.mark.parametrize("old", [NARROW, WIDE])
def test_no_identity_passes_as_the_base_of_another_models_index(collection, adapter, old: int) -> None:
    trainer = AdapterTrainer(BagOfWords(WIDE), document_embeddings=BagOfWords(old))
    with pytest.raises(ValueError, match="bridge the models first"):
        trainer.train(collection, adapter=adapter)
    with pytest.raises(ValueError, match="a bridged index has none"):
        trainer.train(collection, adapter=LinearAdapter(WIDE, old), calibrate=True)


def test_the_base_is_the_old_model_asking_itself(collection, bridge) -> None:
    old = BagOfWords(NARROW)
    store = InMemoryVectorStore(old)
    store.add_texts(list(collection.corpus.values()), ids=list(collection.corpus))
    native = evaluate_retrieval(old, collection)
    plain = evaluate_retrieval(bridge.embeddings, collection)
    through = evaluate_retrieval(bridge.embeddings, collection, store=store)
    read = evaluate_retrieval(bridge.embeddings, collection, store=read_store(store))
    for metric in ("ndcg@10", "hit_rate@5"):
        assert plain[metric].base == native[metric].base
        assert plain[metric].adapted == through[metric].adapted == read[metric].adapted
        assert plain[metric].base == through[metric].base == read[metric].base
    unknown = AdaptedEmbeddings(BagOfWords(WIDE), bridge.adapter)
    with pytest.raises(ValueError, match="document_embeddings="):
        evaluate_retrieval(unknown, collection)


def test_a_share_of_nothing_is_no_share(collection) -> None:
    report = evaluate_retrieval(BagOfWords(WIDE), collection)
    with pytest.raises(ValueError, match="no share of it"):
        BridgeEvaluation(report).share_kept()


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({}, ValueError, "expected texts to learn from"),
        ({"texts": "barak"}, TypeError, "got one text"),
        ({"texts": [" "]}, ValueError, "no text to learn from"),
        ({"texts": ["barak corem delid finon gatak"]}, ValueError, "at least 20 texts"),
        ({"texts": ["barak"], "most_texts": 0}, ValueError, "most_texts must be at least 1"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(options, error, told: str) -> None:
    with pytest.raises(error, match=told):
        bridge_models(BagOfWords(WIDE), BagOfWords(NARROW), **options)


def test_a_store_without_texts_is_refused(collection) -> None:
    store = InMemoryVectorStore.from_texts(list(collection.corpus.values()), BagOfWords(NARROW))
    with pytest.raises(ValueError, match="read without texts"):
        bridge_models(BagOfWords(WIDE), store=read_store(store, texts=False))
    with pytest.raises(TypeError, match="expected LangChain Embeddings"):
        bridge_models("text-embedding-3-large", store=store)
