"""An index that is there already: trained from, asked about, evaluated through, with no document embedded."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.storage import InMemoryByteStore
from langchain_community.vectorstores import FAISS
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_embedding_adapter import (
    AdaptedEmbeddings,
    AdapterTrainer,
    QADataset,
    StoredPage,
    StoreReader,
    TrainingConfig,
    adapt_store,
    evaluate_retrieval,
    read_store,
    register_store,
)
from langchain_embedding_adapter.calibration import ScoreCalibration, ScoreShift
from langchain_embedding_adapter.evaluation.ranking import nearest_passages
from langchain_embedding_adapter.evaluation.stored_pairs import align
from langchain_embedding_adapter.evaluation.through_store import StoreReport
from langchain_embedding_adapter.selection import unseen
from langchain_embedding_adapter.vectors import PairVectors
from tests.small_world import DIMENSIONS, AngleEmbeddings, AngleWriter
from tests.stores import faiss, fill, in_memory

CONFIG = TrainingConfig(ridge=1e-3)


class NoDocuments(AngleEmbeddings):
    """Embeds questions only."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        raise AssertionError(f"a document was embedded: {texts[0]}")


@pytest.fixture
def store(dataset: QADataset, tmp_path: Path) -> VectorStore:
    filled = faiss(AngleEmbeddings(), dataset, tmp_path)
    return adapt_store(filled, NoDocuments())


@pytest.fixture
def trainer() -> AdapterTrainer:
    return AdapterTrainer(NoDocuments(), AngleWriter(), config=CONFIG)


def by_id(dataset: QADataset) -> QADataset:
    """The same questions about the store's ids, without any text."""
    return QADataset(dataset.queries, {}, dataset.relevant_docs)


def test_training_from_a_store_is_training_from_texts(trainer, store, dataset) -> None:
    result = trainer.train(by_id(dataset), store=store)
    expected = AdapterTrainer(AngleEmbeddings(), config=CONFIG).train(dataset)
    assert result.improved
    assert str(result.selection.chosen) == str(expected.selection.chosen)
    np.testing.assert_array_equal(result.adapter.weight, expected.adapter.weight)
    assert result.embeddings.provenance["training"]["passages"] == len(dataset.corpus)
    found = adapt_store(store, result.embeddings).similarity_search("q 24 2", k=1)
    assert found[0].page_content == "p 24 2"


@pytest.mark.parametrize("adapter", ["linear", "two-layer"])
def test_every_way_of_training_takes_a_store(trainer, store, dataset, adapter: str) -> None:
    learned, validation = by_id(dataset).split(by="passage")
    config = TrainingConfig(epochs=2)
    result = trainer.train(learned, adapter=adapter, store=store, validation=validation, config=config)
    assert set(result.report.query_ids) == validation.queries.keys()
    assert result.report.passages == len(dataset.corpus)


def test_a_teacher_reads_the_texts_in_the_store(trainer, store, dataset) -> None:
    asked: list[tuple[str, str]] = []

    def teacher(pairs: list[tuple[str, str]]) -> list[float]:
        asked.extend(pairs)
        return [float(question[1:] == passage[1:]) for question, passage in pairs]

    assert trainer.train(by_id(dataset), store=store, teacher=teacher).teacher.used
    assert {passage[:2] for _, passage in asked} == {"p "}


def test_questions_are_written_about_what_a_store_holds(trainer, store, dataset) -> None:
    made = trainer.generate_dataset(store=store, found_within=100)
    assert made.corpus == dataset.corpus
    assert made.documents == dataset.documents
    assert len(made) == len(dataset)
    with pytest.raises(ValueError, match=r"no answer held a usable question .not found: 120"):
        trainer.generate_dataset(store=store, found_within=3)
    assert trainer.train(made, store=store).improved
    with pytest.raises(ValueError, match="either documents or store"):
        trainer.generate_dataset([Document("p 1 1")], store=store)
    with pytest.raises(ValueError, match="expected documents, or the store"):
        trainer.generate_dataset()
    with pytest.raises(ValueError, match="read without texts"):
        trainer.generate_dataset(store=read_store(store, texts=False))


def test_passages_are_found_by_id_or_by_text(store, dataset, caplog: pytest.LogCaptureFixture) -> None:
    stored = read_store(store)
    renamed = QADataset(
        {"by text": "q 0 0", "by id": "q 12 0", "both": "q 24 0", "gone": "q 1 0"},
        {"a": " p 0 0\n", "p0-12": "another wording", "b": "p 24 0", "p0-24": "p 24 0", "c": "p 1 1"},
        {"by text": ["a"], "by id": ["p0-12"], "both": ["b", "p0-24", "c"], "gone": ["c"]},
        grades={"both": {"b": 2.0}},
    )
    with caplog.at_level(logging.WARNING):
        aligned = align(renamed, stored)
    assert aligned.relevant_docs == {"by text": ["p0-0"], "by id": ["p0-12"], "both": ["p0-24"]}
    assert aligned.grades == {"both": {"p0-24": 2.0}}
    numbered = QADataset(
        {"q": "q 36 0"}, {"p0-0": "p 36 0"}, {"q": ["p0-0"]}
    )  # ids of its own, which the store has too
    assert align(numbered, stored).relevant_docs == {"q": ["p0-36"]}
    assert "1 of 5 passages are not in the store ('c' …): 1 questions about them alone" in caplog.text
    with pytest.raises(ValueError, match=r"none of the 1 passages .* by id \('x'; the store's ids are like 'p0-0'\)"):
        align(QADataset({"q": "?"}, {}, {"q": ["x"]}), stored)


def test_a_sample_with_the_passages_asked_about_is_enough(trainer, store, dataset) -> None:
    few = by_id(dataset).subset(list(dataset.queries)[::4])
    stored = read_store(store, sample=60, keep=few.passages_asked_about(), texts=False)
    assert (len(stored), stored.total) == (60, 120)
    result = trainer.train(few, store=stored)
    assert result.improved
    assert result.evaluate(by_id(dataset), store=store)["ndcg@5"].gain > 0.2


def test_a_dataset_without_texts_says_what_it_needs(trainer, dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"name the vector store that does: store="):
        trainer.train(by_id(dataset))
    by_id(dataset).save(tmp_path / "pairs.json")
    assert QADataset.load(tmp_path / "pairs.json") == by_id(dataset)
    assert str(by_id(dataset)) == "120 questions about 120 passages of a store"


def test_the_report_is_of_the_stores_own_search_and_of_an_exact_one(trainer, store, dataset) -> None:
    adapted = trainer.train(by_id(dataset), store=store).embeddings
    report = evaluate_retrieval(adapted, by_id(dataset), store=store)
    assert isinstance(report, StoreReport)
    assert report["ndcg@10"] == report.exact["ndcg@10"]  # a flat index is exact
    assert report["hit_rate@10"].adapted == 1.0
    assert report.exact.shift.adapted[1] > report.exact.shift.base[1]
    assert report.to_dict()["exact"]["questions"] == 120
    assert str(report).startswith("The store's own search: 120 questions, 120 passages")
    assert "score of the best hit, quartiles:" in str(report)
    base = evaluate_retrieval(NoDocuments(), by_id(dataset), store=store)
    assert base["ndcg@10"].base == report["ndcg@10"].base
    assert base.exact.shift is None
    again = evaluate_retrieval(adapted, by_id(dataset), store=store, stored=read_store(store))
    assert again.to_dict() == report.to_dict()
    exact = evaluate_retrieval(adapted, by_id(dataset), store=read_store(store))
    assert exact["ndcg@10"] == report.exact["ndcg@10"]


def test_filters_and_approximate_search_show_in_the_report(dataset, trainer, tmp_path: Path) -> None:
    store = faiss(AngleEmbeddings(), dataset, tmp_path, kind="IVF16,Flat")
    store.index.nprobe = 1
    adapted = trainer.train(by_id(dataset), store=store).embeddings
    report = evaluate_retrieval(adapted, by_id(dataset), store=store)
    assert report["hit_rate@10"].base < report.exact["hit_rate@10"].base
    assert report["ndcg@10"] != report.exact["ndcg@10"]
    nothing = evaluate_retrieval(adapted, by_id(dataset), store=store, search_kwargs={"filter": {"source": "no"}})
    assert nothing["hit_rate@10"].adapted == 0.0
    with pytest.raises(ValueError, match="go with a vector store as `store`"):
        evaluate_retrieval(adapted, dataset, search_kwargs={"filter": {}})


class Shelf(VectorStore):
    """A store of one's own."""

    def __init__(self, base: Embeddings) -> None:
        self._embeddings = base
        self.rows: list[tuple[str, str, dict, list[float]]] = []

    def add_texts(self, texts, metadatas=None, *, ids=None, **_) -> list[str]:
        vectors = self._embeddings.embed_documents(list(texts))
        self.rows += zip(ids, texts, metadatas, vectors, strict=True)
        return ids

    def similarity_search(self, query: str, k: int = 4, **_) -> list[Document]:
        question = np.array(self._embeddings.embed_query(query))
        best = sorted(self.rows, key=lambda row: -float(question @ np.array(row[3])))[:k]
        return [Document(text, metadata=metadata) for _, text, metadata, _ in best]

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, **_) -> Shelf:
        raise NotImplementedError


class ShelfReader(StoreReader):
    metric = "dot"

    def pages(self, size):
        for start in range(0, len(self.store.rows), size):
            ids, texts, metadatas, vectors = zip(*self.store.rows[start : start + size], strict=True)
            yield StoredPage(ids, texts, metadatas, np.array(vectors, dtype=np.float32))


def test_a_store_of_ones_own_takes_ten_lines(trainer, dataset) -> None:
    store = fill(Shelf(AngleEmbeddings()), dataset)
    with pytest.raises(TypeError, match="how to read a Shelf back is not known; write a StoreReader"):
        read_store(store)
    register_store(Shelf, ShelfReader)
    result = trainer.train(by_id(dataset), store=store)
    report = result.evaluate(by_id(dataset), store=store)  # its search tells no ids: passages are known by text
    assert report["hit_rate@10"].adapted == 1.0
    with pytest.raises(TypeError, match="what the scores of a Shelf mean is not known"):
        ShelfReader(store).cosine_of(0.5)
    with pytest.raises(TypeError, match="expected a subclass of StoreReader"):
        register_store(Shelf, Shelf)  # type: ignore[arg-type]


class Lengths(AngleEmbeddings):
    """The same with passages of different lengths: those at an angle above 180° are long."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        found = np.array(super().embed_documents(texts))
        long = np.array([float(text.split()[1]) >= 180 for text in texts])
        return (found * np.where(long, 3.0, 1.0)[:, None]).tolist()


@pytest.mark.parametrize(("metric", "dot"), [("dot", True), ("l2", False)])
def test_the_metric_of_the_store_is_the_metric_of_the_ranking(metric: str, dot: bool, dataset, tmp_path: Path) -> None:
    store = faiss(Lengths(), dataset, tmp_path, dot=dot)
    stored = read_store(store)
    assert (stored.metric, stored.normalised) == (metric, False)
    questions = np.array([AngleEmbeddings().embed_query(f"q {angle} 0") for angle in (11, 127, 251)], np.float32)
    three = {str(row): "?" for row in range(3)}
    asked = QADataset(three, {}, {key: ["p0-0"] for key in three})
    vectors = PairVectors.from_arrays(asked, questions, stored.vectors, passage_ids=stored.ids, metric=stored.metric)
    nearest = nearest_passages(vectors, questions, 3)
    _, expected = store.index.search(questions, 3)
    np.testing.assert_array_equal(nearest, expected)


def test_lengths_count_in_training_where_the_inner_product_compares(dataset, trainer, tmp_path: Path, caplog) -> None:
    by_product = faiss(Lengths(), dataset, tmp_path, dot=True)
    with caplog.at_level(logging.WARNING):
        result = trainer.train(by_id(dataset), store=by_product, calibrate=True)
    assert "those of vectors of different lengths are no cosines" in caplog.text
    assert result.embeddings.calibration is None
    # The candidates are compared as the store compares: for the base, which no fit has touched, to the digit.
    found = evaluate_retrieval(NoDocuments(), by_id(dataset), store=by_product)["ndcg@10"].base
    assert set(result.report.query_ids) == dataset.queries.keys()
    assert result.report["ndcg@10"].base == pytest.approx(found)
    by_direction = evaluate_retrieval(AngleEmbeddings(), dataset)["ndcg@10"].base
    assert found != pytest.approx(by_direction, abs=0.01)


def test_by_distance_the_winner_has_to_win_once_more(dataset, trainer, tmp_path: Path, monkeypatch) -> None:
    store = faiss(Lengths(), dataset, tmp_path)
    result = trainer.train(by_id(dataset), store=store)
    assert result.improved
    assert "by Euclidean distance on 240 questions that the fit had not seen" in result.verdict  # two futures
    assert result.evaluate(by_id(dataset), store=store)["ndcg@10"].gain > 0

    def harmful(task, trained, expect):
        yield task.vectors, -task.vectors.queries

    monkeypatch.setattr(unseen, "unseen", harmful)
    kept = trainer.train(by_id(dataset), store=store, calibrate=True)
    assert not kept.improved
    assert kept.verdict.startswith("The base is kept: the winner by direction (procrustes) does -")
    np.testing.assert_array_equal(kept.adapter.weight, np.eye(DIMENSIONS))
    assert kept.embeddings.calibration is None


def test_a_calibration_maps_scores_to_those_that_are_right_as_often() -> None:
    draw = np.random.default_rng(0)
    right = draw.random(20_000) < 0.3
    scores = np.where(right, 0.6, 0.4) + 0.1 * draw.standard_normal(20_000)
    calibration = ScoreCalibration.fit((scores, right), (scores * 0.5 + 0.4, right))
    for score in (0.4, 0.5, 0.6):
        assert calibration(score * 0.5 + 0.4) == pytest.approx(score, abs=0.02)
        assert calibration.inverse(score) == pytest.approx(score * 0.5 + 0.4, abs=0.02)
    rising = [calibration(score) for score in np.linspace(-1, 1, 101)]
    assert np.all(np.diff(rising) >= 0)
    assert max(rising) <= 1
    assert ScoreCalibration.from_dict(calibration.to_dict()) == calibration
    with pytest.raises(ValueError, match="hits that are right and hits that are not"):
        ScoreCalibration.fit((scores, right), (scores, np.ones_like(right)))
    with pytest.raises(ValueError, match="must rise"):
        ScoreCalibration((0.5, 0.4), (0.1, 0.2))
    with pytest.raises(ValueError, match="expected a calibration with 'adapted'"):
        ScoreCalibration.from_dict({"base": [0.1]})


def test_a_threshold_set_on_base_scores_keeps_its_meaning(trainer, store, dataset, tmp_path: Path) -> None:
    result = trainer.train(by_id(dataset), store=store, calibrate=True)
    calibration = result.embeddings.calibration
    assert calibration is not None
    twin = adapt_store(store, result.embeddings)
    ((_, raw),) = twin.similarity_search_with_score("q 24 2", k=1)
    ((_, relevance),) = twin.similarity_search_with_relevance_scores("q 24 2", k=1)
    expected = store._select_relevance_score_fn()(2 - 2 * calibration(1 - raw / 2))
    assert relevance == pytest.approx(expected, abs=1e-6)
    result.save(tmp_path / "adapter")
    loaded = AdaptedEmbeddings.from_pretrained(tmp_path / "adapter", NoDocuments())
    assert loaded.calibration == calibration
    threshold = relevance - 1e-6
    retriever = adapt_store(store, loaded).as_retriever(
        search_type="similarity_score_threshold", search_kwargs={"score_threshold": threshold, "k": 1}
    )
    assert [document.page_content for document in retriever.invoke("q 24 2")] == ["p 24 2"]
    assert trainer.train(by_id(dataset), store=store).embeddings.calibration is None


def test_the_shift_of_scores_in_words() -> None:
    shift = ScoreShift.of(np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.4, 0.5]))
    assert str(shift) == "score of the best hit, quartiles: 0.150 / 0.200 / 0.250 → 0.350 / 0.400 / 0.450"


def test_a_cache_of_the_base_holds_the_bases_vectors_only(dataset, trainer, tmp_path: Path) -> None:
    base, kept = AngleEmbeddings(), InMemoryByteStore()
    cached = CacheBackedEmbeddings.from_bytes_store(
        base, kept, namespace="angles", query_embedding_cache=True, key_encoder="sha256"
    )
    store = in_memory(cached, dataset, tmp_path)
    adapted = AdaptedEmbeddings(cached, trainer.train(by_id(dataset), store=store).adapter)
    twin = adapt_store(store, adapted)
    assert twin.similarity_search("q 24 2", k=1)[0].page_content == "p 24 2"
    assert cached.embed_query("q 24 2") == base._vector("q 24 2")  # what the twin asked for is the base's own
    asked = base.queries.count("q 24 2")
    twin.similarity_search("q 24 2", k=1)
    assert base.queries.count("q 24 2") == asked
    assert isinstance(twin, InMemoryVectorStore)


def test_two_ways_to_open_one_chroma_collection_do_not_clash(dataset, trainer, tmp_path: Path) -> None:
    from langchain_chroma import Chroma

    from tests.stores import chroma

    store = chroma(AngleEmbeddings(), dataset, tmp_path)
    before = store._collection.configuration
    adapted = trainer.train(by_id(dataset), store=store).embeddings
    again = Chroma("angles", adapted, str(tmp_path / "chroma"))
    assert again.similarity_search("q 24 2", k=1)[0].page_content == "p 24 2"
    assert again._collection.configuration == before
    assert read_store(again).metadatas == read_store(store).metadatas
    assert Chroma("angles", AngleEmbeddings(), str(tmp_path / "chroma"))._collection.configuration == before


def test_bad_rows_are_named(dataset) -> None:
    class Broken(ShelfReader):
        def pages(self, size):
            yield StoredPage(["a"], ["p"], [{}], np.array([[np.nan, 1]], dtype=np.float32))

    class Uneven(ShelfReader):
        def pages(self, size):
            yield StoredPage(["a"], ["p"], [{}], np.ones((1, 2), dtype=np.float32))
            yield StoredPage(["b"], ["p"], [{}], np.ones((1, 3), dtype=np.float32))

    class Other(Shelf):
        pass

    for reader, message in ((Broken, "vector of 'a' holds values"), (Uneven, "different lengths, 2 and")):
        register_store(Other, reader)
        with pytest.raises(ValueError, match=message):
            read_store(Other(AngleEmbeddings()))
    with pytest.raises(ValueError, match="the InMemoryVectorStore is empty"):
        read_store(InMemoryVectorStore(AngleEmbeddings()))


def test_faiss_without_its_document_is_named(store) -> None:
    assert isinstance(store, FAISS)
    store.docstore._dict.pop("p0-0")
    with pytest.raises(ValueError, match="a vector for 'p0-0', and the docstore has no document"):
        read_store(store)
