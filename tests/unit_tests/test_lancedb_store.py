"""LanceDB, in a folder: read back without embedding anything, and queried adapted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter import QADataset, adapt_store, read_store
from langchain_embedding_adapter.stores import reader_of
from langchain_embedding_adapter.stores.lancedb import LanceDBReader
from tests.small_world import DIMENSIONS, PLANES, AngleEmbeddings, turned_back, world

lancedb = pytest.importorskip("lancedb", reason="pip install lancedb")
from langchain_community.vectorstores.lancedb import LanceDB  # noqa: E402

QUESTION, ANSWER = "q 24 2", "p 24 2"
METRICS = ["cosine", "dot", "l2"]

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def dataset() -> QADataset:
    return world(step=24)


@pytest.fixture
def empty(base: AngleEmbeddings, tmp_path: Path) -> Make:
    def make(**settings: Any) -> LanceDB:
        return LanceDB(uri=str(tmp_path / "lance"), embedding=base, **{"mode": "append", **settings})

    return make


@pytest.fixture
def filled(empty: Make, base: AngleEmbeddings, dataset: QADataset) -> Make:
    def make(metric: str | None = None, **settings: Any) -> LanceDB:
        store = empty(**settings)
        metadatas = [
            {"source": dataset.document(key), "key": key, "number": row} for row, key in enumerate(dataset.corpus)
        ]
        store.add_texts(list(dataset.corpus.values()), metadatas, ids=list(dataset.corpus))
        if metric is not None:
            config = lancedb.index.IvfFlat(distance_type=metric, num_partitions=1)
            store.get_table().create_index(store._vector_key, config=config)
        base.documents.clear()
        base.document_calls = 0
        return store

    return make


def found(store: LanceDB, **settings: Any) -> str:
    return store.similarity_search(QUESTION, k=1, **settings)[0].page_content


@pytest.mark.parametrize(
    "settings", [{}, {"vector_key": "my_vector", "id_key": "name", "text_key": "words"}], ids=["usual", "other names"]
)
def test_everything_is_read_back_in_pages(filled: Make, base, dataset, settings) -> None:
    store = filled(**settings)
    reader = reader_of(store)
    assert isinstance(reader, LanceDBReader)
    assert [len(page.ids) for page in reader.pages(25)] == [25, 25, 10]
    stored = read_store(store, page_size=7)
    assert list(stored.ids) == list(dataset.corpus)
    assert list(stored.texts) == list(dataset.corpus.values())
    assert list(stored.metadatas) == [
        {"source": dataset.document(key), "key": key, "number": row} for row, key in enumerate(dataset.corpus)
    ]
    expected = np.array([base._vector(text) for text in stored.texts], dtype=np.float32)
    np.testing.assert_array_equal(stored.vectors, expected)
    found = store.similarity_search(QUESTION, k=3)
    assert [dataset.corpus[reader.identify(document)] for document in found] == [one.page_content for one in found]
    assert base.document_calls == 0


def test_rows_of_several_additions_are_read_back_and_deleted_ones_are_not(filled: Make, dataset) -> None:
    store = filled()
    store.add_texts(["p 5 0", "p 7 0"], [{"key": "new"}] * 2, ids=["new", "deleted"])
    store.delete(ids=["deleted", "p0-0"])
    stored = read_store(store, page_size=7)
    assert {*stored.ids} == {*dataset.corpus, "new"} - {"p0-0"}
    assert len(stored) == len(dataset.corpus)
    assert stored.metadatas[stored.ids.index("new")] == {"source": None, "key": "new", "number": None}


def test_rows_without_a_vector_are_left_out(filled: Make, dataset) -> None:
    store = filled()
    store.get_table().add([{"vector": None, "id": "none", "text": "no vector", "metadata": None}])
    assert list(read_store(store, page_size=7).ids) == list(dataset.corpus)


def test_without_metadata_the_store_keeps_the_id_there(empty: Make, base) -> None:
    store = empty()
    ids = store.add_texts(["p 5 0", "p 7 0"])
    assert list(read_store(store).ids) == ids
    assert read_store(store).metadatas == tuple({"id": key} for key in ids)
    reader = reader_of(store)
    (document,) = store.similarity_search("p 7 0", k=1)
    assert reader.identify(document) == ids[1]
    store.add_texts(["p 90 3"], ids=["late"])
    assert reader.identify(store.similarity_search("p 90 3", k=1)[0]) == "late"
    document.page_content = "another text"
    assert reader.identify(document) is None


def test_a_table_of_ones_own_needs_no_metadata(base, tmp_path: Path) -> None:
    connection = lancedb.connect(str(tmp_path / "lance"))
    rows = [{"vector": base._vector(text), "id": row, "text": text} for row, text in enumerate(["p 5 0", "p 7 0"])]
    store = LanceDB(connection, base, table=connection.create_table("mine", rows))
    stored = read_store(store)
    assert stored.ids == ("0", "1")
    assert stored.metadatas == ({}, {})
    assert reader_of(store).identify(store.similarity_search("p 7 0", k=1)[0]) == "1"


def test_half_precision_is_read_back_as_it_is(base, tmp_path: Path) -> None:
    import pyarrow as pa

    connection = lancedb.connect(str(tmp_path / "lance"))
    halves = np.float16([base._vector("p 5 0"), base._vector("p 7 0")])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(halves.ravel()), DIMENSIONS)
    table = pa.table({"vector": vectors, "id": ["a", "b"], "text": ["p 5 0", "p 7 0"]})
    stored = read_store(LanceDB(connection, base, table=connection.create_table("halves", table)))
    assert stored.vectors.dtype == np.float32
    np.testing.assert_array_equal(stored.vectors, halves.astype(np.float32))


def test_a_store_that_nothing_was_added_to_is_empty(empty: Make) -> None:
    with pytest.raises(ValueError, match="the LanceDB is empty"):
        read_store(empty())


@pytest.mark.parametrize("metric", METRICS)
def test_a_score_is_what_its_metric_says_of_the_cosine(filled: Make, base, metric) -> None:
    store = filled(metric)
    reader = reader_of(store)
    assert reader.metric == metric
    question = np.array(base._vector(QUESTION))
    hits = store.similarity_search_with_score(QUESTION, k=6)
    for document, score in hits:
        cosine = float(question @ base._vector(document.page_content))
        assert score == pytest.approx(reader.score_of(cosine), abs=2e-6)
        assert reader.cosine_of(score) == pytest.approx(cosine, abs=2e-6)
    cosines = [reader.cosine_of(score) for _, score in hits]
    assert cosines == sorted(cosines, reverse=True)


@pytest.mark.parametrize("distance", METRICS)
def test_without_an_index_it_compares_by_l2_whatever_it_was_told(filled: Make, base, distance) -> None:
    store = filled(distance=distance)
    reader = reader_of(store)
    assert reader.metric == "l2"
    ((document, score),) = store.similarity_search_with_score(QUESTION, k=1)
    cosine = float(np.dot(base._vector(QUESTION), base._vector(document.page_content)))
    assert score == pytest.approx(2 - 2 * cosine, abs=2e-6)


def test_an_index_by_hamming_distance_is_refused(filled: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = filled("cosine")
    table = store.get_table()
    monkeypatch.setattr(type(table), "index_stats", lambda self, name: type("Stats", (), {"distance_type": "hamming"}))
    with pytest.raises(TypeError, match="compares by hamming"):
        read_store(store)


@pytest.mark.parametrize("metric", METRICS)
def test_the_twin_finds_what_the_store_does_not(filled: Make, base, metric) -> None:
    store = filled(metric)
    before = dict(vars(store))
    twin = adapt_store(store, turned_back(base))
    assert type(twin) is type(store)
    for _ in range(2):
        assert found(store) != ANSWER
        assert found(twin) == ANSWER
    assert twin.similarity_search_with_score(QUESTION, k=1)[0][0].page_content == ANSWER
    assert twin.similarity_search_with_relevance_scores(QUESTION, k=1)[0][0].page_content == ANSWER
    assert twin.as_retriever(search_kwargs={"k": 1}).invoke(QUESTION)[0].page_content == ANSWER
    assert twin.max_marginal_relevance_search(QUESTION, k=2, fetch_k=5)[0].page_content == ANSWER
    assert twin.as_retriever(search_type="mmr").invoke(QUESTION)[0].page_content == ANSWER
    assert found(twin, filter={"metadata.key": "p2-24"}, prefilter=True) == ANSWER
    assert found(twin, filter="metadata.number < 5", prefilter=True) != ANSWER
    assert vars(store) == before
    assert base.document_calls == 0


async def test_it_is_queried_asynchronously_too(filled: Make, base) -> None:
    store = filled()
    twin = adapt_store(store, turned_back(base))
    assert (await twin.asimilarity_search(QUESTION, k=1))[0].page_content == ANSWER
    assert (await twin.amax_marginal_relevance_search(QUESTION, k=2))[0].page_content == ANSWER
    assert (await twin.as_retriever(search_kwargs={"k": 1}).ainvoke(QUESTION))[0].page_content == ANSWER
    assert (await store.asimilarity_search(QUESTION, k=1))[0].page_content != ANSWER
    assert base.document_calls == 0


def test_what_is_added_through_the_twin_is_embedded_by_the_base_and_found_by_both(filled: Make, base, dataset) -> None:
    store = filled("cosine")
    twin = adapt_store(store, turned_back(base))
    twin.add_texts(["p 27 2"], [{"key": "new"}], ids=["new"])
    assert base.documents == ["p 27 2"]
    assert twin.similarity_search("q 27 2", k=1)[0].page_content == "p 27 2"
    assert store.similarity_search(f"q {27 - base.turn} 2", k=1)[0].page_content == "p 27 2"
    stored = read_store(store)
    assert len(stored) == len(dataset.corpus) + 1
    np.testing.assert_array_equal(stored.vectors[stored.ids.index("new")], np.float32(base._vector("p 27 2")))


def test_by_default_an_addition_replaces_the_table(filled: Make, base) -> None:
    store = filled(mode="overwrite")
    adapt_store(store, turned_back(base)).add_texts(["p 27 2"], ids=["new"])
    assert read_store(store).ids == ("new",)


@pytest.mark.filterwarnings("ignore:create_fts_index is deprecated")
def test_hybrid_search_fails_in_the_store_itself_whatever_the_embeddings(filled: Make, base) -> None:
    store = filled(reranker=lancedb.rerankers.RRFReranker())
    for either in (store, adapt_store(store, turned_back(base))):
        with pytest.raises(TypeError, match="Unsupported query type: <class 'tuple'>"):
            either.similarity_search_with_score(QUESTION, query_type="hybrid")
        with pytest.raises(TypeError, match="multiple values for keyword argument 'name'"):
            either.similarity_search(QUESTION, query_type="hybrid")
    assert base.document_calls == 0


@pytest.mark.filterwarnings("ignore:create_fts_index is deprecated")
def test_full_text_search_embeds_nothing(filled: Make, base) -> None:
    twin = adapt_store(filled(), turned_back(base))
    base.queries.clear()
    hits = twin.similarity_search_with_score("24", k=9, query_type="fts", score=False)
    assert {document.metadata["key"] for document in hits} == {f"p{plane}-24" for plane in range(PLANES)}
    assert base.queries == base.documents == []


def test_the_store_holds_its_embeddings_where_the_reader_looks(filled: Make, base) -> None:
    store = filled()
    assert [name for name, value in vars(store).items() if isinstance(value, Embeddings)] == ["_embedding"]
    assert (store._id_key, store._text_key, store._vector_key) == ("id", "text", "vector")
    assert LanceDBReader.holders == ("_embedding",)
    assert reader_of(store).embeddings is base
