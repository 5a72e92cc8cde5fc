"""Milvus, in a file: read back without embedding anything, and queried adapted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from langchain_embedding_adapter import AdaptedEmbeddings, QADataset, adapt_store, read_store
from langchain_embedding_adapter.stores import reader_of
from langchain_embedding_adapter.stores.milvus import MilvusReader
from tests.small_world import DIMENSIONS, AngleEmbeddings, turned_back, world

milvus = pytest.importorskip("langchain_milvus", reason="pip install langchain-milvus")
pytest.importorskip("milvus_lite", reason="pip install milvus-lite")

QUESTION, ANSWER = "q 24 2", "p 24 2"
METRICS = {"COSINE": "cosine", "IP": "dot", "L2": "l2"}
WORDS = {"metric_type": "BM25", "index_type": "SPARSE_INVERTED_INDEX"}
SPARSE = {"metric_type": "IP", "index_type": "SPARSE_INVERTED_INDEX", "params": {"drop_ratio_build": 0}}


def index(metric: str = "COSINE") -> dict[str, Any]:
    return {"metric_type": metric, "index_type": "FLAT", "params": {}}


def searched(*indexes: dict[str, Any]) -> dict[str, Any]:
    """Indexes, and searches by the same metrics: Milvus Lite takes none of the parameters that are the default."""
    searches = [{"metric_type": one["metric_type"], "params": {}} for one in indexes]
    return {"index_params": list(indexes), "search_params": searches}


class Words(milvus.utils.sparse.BaseSparseEmbedding):
    """Sparse embeddings: a dimension for each plane and one for each angle."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    def embed_query(self, query: str) -> dict[int, float]:
        self.queries.append(query)
        return self._vector(query)

    def embed_documents(self, texts: list[str]) -> list[dict[int, float]]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> dict[int, float]:
        return {1000 + int(text.split()[2]): 1.0, int(text.split()[1]): 1.0}


Make = Callable[..., Any]


@pytest.fixture(scope="module")
def dataset() -> QADataset:
    return world(step=24)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Make]:
    made: list[Any] = []

    def make(embeddings: Any, **settings: Any) -> Any:
        settings = {"index_params": index(), "enable_dynamic_field": True, **settings}
        made.append(milvus.Milvus(embeddings, connection_args={"uri": str(tmp_path / "angles.db")}, **settings))
        return made[-1]

    yield make
    for store in made:
        store.client.close()


@pytest.fixture
def filled(empty: Make, dataset: QADataset) -> Make:
    def make(embeddings: Any, **settings: Any) -> Any:
        store = empty(embeddings, **settings)
        metadatas = [
            {"source": dataset.document(key), "key": key, "number": row} for row, key in enumerate(dataset.corpus)
        ]
        ids = None if store.auto_id else list(dataset.corpus)
        store.add_texts(list(dataset.corpus.values()), metadatas, ids=ids)
        if isinstance(embeddings, AngleEmbeddings):
            embeddings.documents.clear()
            embeddings.document_calls = 0
        return store

    return make


def found(store: Any, **settings: Any) -> str:
    return store.similarity_search(QUESTION, k=1, **settings)[0].page_content


@pytest.mark.parametrize(
    "settings",
    [{}, {"enable_dynamic_field": False}, {"enable_dynamic_field": False, "metadata_field": "all"}, {"auto_id": True}],
    ids=["dynamic fields", "columns", "a metadata field", "keys of its own"],
)
def test_everything_is_read_back_in_pages(filled: Make, base, dataset, settings) -> None:
    store = filled(base, **settings)
    reader = reader_of(store)
    assert isinstance(reader, MilvusReader)
    assert [len(page.ids) for page in reader.pages(25)] == [25, 25, 10]
    stored = read_store(store, page_size=7)
    numbers = [metadata["number"] for metadata in stored.metadatas]
    assert sorted(numbers) == list(range(len(dataset.corpus)))
    keys = [list(dataset.corpus)[number] for number in numbers]
    if "auto_id" in settings:
        assert all(key.isdigit() for key in stored.ids)
    else:
        assert list(stored.ids) == keys
    assert list(stored.texts) == [dataset.corpus[key] for key in keys]
    assert list(stored.metadatas) == [
        {"source": dataset.document(key), "key": key, "number": number}
        for key, number in zip(keys, numbers, strict=True)
    ]
    expected = np.array([base._vector(text) for text in stored.texts], dtype=np.float32)
    np.testing.assert_array_equal(stored.vectors, expected)
    assert base.document_calls == 0
    by_id = dict(zip(stored.ids, stored.texts, strict=True))
    for document in store.similarity_search(QUESTION, k=3):
        key = reader.identify(document)
        assert key is None if "metadata_field" in settings else by_id[key] == document.page_content


def test_vectors_are_read_back_as_long_as_they_were(empty: Make, base) -> None:
    store = empty(base)
    store.add_embeddings(["long"], [[3.0] * DIMENSIONS], [{"nested": {"list": [1, 2.5], "none": None}}], ids=["1"])
    stored = read_store(store)
    assert stored.vectors.tolist() == [[3.0] * DIMENSIONS]
    assert not stored.normalised
    assert stored.metadatas == ({"nested": {"list": [1, 2.5], "none": None}},)


def test_a_store_that_nothing_was_added_to_is_empty(empty: Make, base) -> None:
    with pytest.raises(ValueError, match="the Milvus is empty"):
        read_store(empty(base))


@pytest.mark.parametrize("metric", METRICS)
def test_a_score_is_what_its_metric_says_of_the_cosine(filled: Make, base, metric) -> None:
    store = filled(base, index_params=index(metric))
    reader = reader_of(store)
    assert reader.metric == METRICS[metric]
    question = np.array(base._vector(QUESTION))
    hits = store.similarity_search_with_score(QUESTION, k=6)
    for document, score in hits:
        cosine = float(question @ base._vector(document.page_content))
        assert score == pytest.approx(reader.score_of(cosine), abs=2e-6)
        assert reader.cosine_of(score) == pytest.approx(cosine, abs=2e-6)
    cosines = [reader.cosine_of(score) for _, score in hits]
    assert cosines == sorted(cosines, reverse=True)


def test_without_index_parameters_it_compares_by_l2(filled: Make, base) -> None:
    assert reader_of(filled(base, index_params=None)).metric == "l2"


@pytest.mark.parametrize("metric", METRICS)
def test_the_twin_finds_what_the_store_does_not(filled: Make, base, metric) -> None:
    store = filled(base, index_params=index(metric))
    before = dict(vars(store))
    twin = adapt_store(store, turned_back(base))
    assert type(twin) is type(store)
    for _ in range(2):
        assert found(store) != ANSWER
        assert found(twin) == ANSWER
    assert twin.similarity_search_with_score(QUESTION, k=1)[0][0].page_content == ANSWER
    assert twin.similarity_search_with_relevance_scores(QUESTION, k=1)[0][1] == pytest.approx(1, abs=1e-6)
    assert twin.as_retriever(search_kwargs={"k": 1}).invoke(QUESTION)[0].page_content == ANSWER
    assert twin.max_marginal_relevance_search(QUESTION, k=2, fetch_k=5)[0].page_content == ANSWER
    assert twin.as_retriever(search_type="mmr").invoke(QUESTION)[0].page_content == ANSWER
    assert found(twin, expr='key == "p2-24"') == ANSWER
    assert found(twin, expr="number < 5") != ANSWER
    assert vars(store) == before
    assert base.document_calls == 0


async def test_it_is_queried_asynchronously_too(filled: Make, base) -> None:
    store = filled(base)
    twin = adapt_store(store, turned_back(base))
    assert (await twin.asimilarity_search(QUESTION, k=1))[0].page_content == ANSWER
    assert (await twin.asimilarity_search_with_score(QUESTION, k=1))[0][0].page_content == ANSWER
    assert (await twin.amax_marginal_relevance_search(QUESTION, k=2))[0].page_content == ANSWER
    assert (await twin.as_retriever(search_kwargs={"k": 1}).ainvoke(QUESTION))[0].page_content == ANSWER
    assert (await store.asimilarity_search(QUESTION, k=1))[0].page_content != ANSWER
    assert base.document_calls == 0
    await store.aclient.close()


def test_what_is_added_through_the_twin_is_embedded_by_the_base_and_found_by_both(filled: Make, base) -> None:
    store = filled(base)
    twin = adapt_store(store, turned_back(base))
    twin.add_texts(["p 27 2"], [{"key": "new"}], ids=["new"])
    assert base.documents == ["p 27 2"]
    assert twin.similarity_search("q 27 2", k=1)[0].page_content == "p 27 2"
    assert store.similarity_search(f"q {27 - base.turn} 2", k=1)[0].page_content == "p 27 2"
    stored = read_store(store)
    np.testing.assert_array_equal(stored.vectors[stored.ids.index("new")], np.float32(base._vector("p 27 2")))


def test_beside_sparse_embeddings_only_the_dense_query_is_adapted(filled: Make, base) -> None:
    words = Words()
    store = filled([words, base], vector_field=["sparse", "dense"], **searched(SPARSE, index()))
    twin = adapt_store(store, turned_back(base))
    assert twin.embedding_func[0] is words
    assert store.embedding_func == [words, base]
    dense_only = {"ranker_type": "weighted", "ranker_params": {"weights": [0.0, 1.0]}}
    with pytest.warns(DeprecationWarning, match="ranker_type"):
        assert found(store, **dense_only) != ANSWER
    with pytest.warns(DeprecationWarning, match="ranker_type"):
        assert found(twin, **dense_only) == ANSWER
    with pytest.warns(DeprecationWarning, match="ranker_type"):
        assert found(twin) == ANSWER
    assert words.queries == [QUESTION] * 3
    stored = read_store(store)
    np.testing.assert_array_equal(stored.vectors, np.float32([base._vector(text) for text in stored.texts]))
    assert stored.metadatas[0].keys() == {"source", "key", "number"}
    assert reader_of(store).embeddings is base


def test_beside_full_text_search_only_the_dense_query_is_adapted(filled: Make, base) -> None:
    from pymilvus import Function, FunctionType

    function = milvus.BM25BuiltInFunction(output_field_names="words")
    fields = ["dense", "words"]
    store = filled(base, builtin_function=function, vector_field=fields, **searched(index(), WORDS))
    twin = adapt_store(store, turned_back(base))
    kept = list(store._vector_field)
    weights = {"reranker": "weighted", "weights": [1.0, 0.0]}
    ranker = Function("dense", FunctionType.RERANK, [], params=weights)
    assert found(twin, reranker=ranker) == ANSWER
    assert store._vector_field == kept
    assert found(store, reranker=ranker) != ANSWER
    assert read_store(store).metadatas[0].keys() == {"source", "key", "number"}


def test_of_several_dense_embeddings_the_base_is_replaced(filled: Make, base) -> None:
    other = AngleEmbeddings(turn=200)
    store = filled([other, base], vector_field=["other", "dense"], **searched(index(), index("IP")))
    twin = adapt_store(store, turned_back(base))
    assert twin.embedding_func[0] is other
    assert isinstance(twin.embedding_func[1], AdaptedEmbeddings)
    with pytest.warns(DeprecationWarning, match="ranker_type"):
        assert found(twin, ranker_type="weighted", ranker_params={"weights": [0.0, 1.0]}) == ANSWER
    with pytest.raises(TypeError, match="several dense embeddings, of other, dense; adapt the very object"):
        adapt_store(store, turned_back(AngleEmbeddings()))
    with pytest.raises(TypeError, match="open the collection with that one as Milvus"):
        read_store(store)
    assert reader_of(store).embeddings is None


def test_one_of_several_dense_fields_is_read_through_a_store_of_its_own(filled: Make, empty: Make, base) -> None:
    filled([AngleEmbeddings(turn=200), base], vector_field=["other", "dense"], **searched(index("L2"), index("IP")))
    stored = read_store(empty(base, vector_field="dense", index_params=None))
    assert stored.metric == "dot"
    assert stored.metadatas[0].keys() == {"source", "key", "number"}


def test_without_dense_embeddings_there_are_none_to_adapt(filled: Make, base) -> None:
    settings = {"index_params": SPARSE, "search_params": {"metric_type": "IP", "params": {}}}
    store = filled(Words(), vector_field="sparse", **settings)
    for refused in (lambda: adapt_store(store, turned_back(base)), lambda: read_store(store)):
        with pytest.raises(TypeError, match="holds no dense embeddings"):
            refused()


def test_the_store_holds_its_embeddings_where_the_reader_looks(filled: Make, base) -> None:
    store = filled(base)
    assert [name for name, value in vars(store).items() if isinstance(value, Embeddings)] == ["embedding_func"]
    assert store._vector_fields_from_embedding == ["vector"]
    assert store._get_index("vector")["index_param"]["metric_type"] == "COSINE"
    assert (store._primary_field, store._text_field, store._metadata_field) == ("pk", "text", None)
    assert MilvusReader.holders == ("embedding_func",)
    assert reader_of(store).embeddings is base
