"""What every store's reader promises, held against the real thing: a release that moves something shows here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter import QADataset, adapt_store, read_store
from langchain_embedding_adapter.stores import reader_of
from tests.small_world import DIMENSIONS, AngleEmbeddings, turned_back
from tests.stores import LOCAL, POSTGRES, as_uuid, fill, postgres

QUESTION, ANSWER = "q 24 2", "p 24 2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(params=[*LOCAL, *POSTGRES])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(kind: str, base: AngleEmbeddings, dataset: QADataset, tmp_path: Path, request) -> VectorStore:
    if kind in LOCAL:
        return LOCAL[kind][0](base, dataset, tmp_path)
    return POSTGRES[kind][0](request.getfixturevalue("server"), base, dataset, tmp_path)


@pytest.fixture
def untouched(base: AngleEmbeddings, store: VectorStore) -> Iterator[None]:
    """No document may be embedded from here on."""
    base.documents.clear()
    yield
    assert base.documents == []


def test_everything_is_read_back_in_pages(kind, store, base, dataset, untouched) -> None:
    stored = read_store(store, page_size=25)
    assert len(stored) == stored.total == len(dataset.corpus)
    rows = {metadata["key"]: row for row, metadata in enumerate(stored.metadatas)}
    assert rows.keys() == dataset.corpus.keys()
    assert all(stored.texts[rows[key]] == text for key, text in dataset.corpus.items())
    assert all(stored.metadatas[rows[key]]["source"] == dataset.document(key) for key in rows)
    expected = np.array([base._vector(dataset.corpus[key]) for key in rows], dtype=np.float32)
    np.testing.assert_allclose(stored.vectors, expected, atol=0 if "Qdrant" not in kind else 1e-7)
    assert stored.normalised
    assert stored.metric == (LOCAL | POSTGRES)[kind][1]
    assert reader_of(store).embeddings is base


def test_its_ids_are_those_that_its_search_finds(store, untouched) -> None:
    stored, reader = read_store(store), reader_of(store)
    found = store.similarity_search(QUESTION, k=5)
    texts = dict(zip(stored.ids, stored.texts, strict=True))
    assert [texts[reader.identify(document)] for document in found] == [document.page_content for document in found]


def test_the_twin_finds_what_the_store_does_not(kind, store, base, untouched) -> None:
    twin = adapt_store(store, turned_back(base))
    assert type(twin) is type(store)
    for _ in range(2):
        assert store.similarity_search(QUESTION, k=1)[0].page_content != ANSWER
        assert twin.similarity_search(QUESTION, k=1)[0].page_content == ANSWER
    assert twin.similarity_search_with_score(QUESTION, k=1)[0][0].page_content == ANSWER
    assert twin.as_retriever(search_kwargs={"k": 1}).invoke(QUESTION)[0].page_content == ANSWER
    if kind == "FAISS IVF":
        with pytest.raises(RuntimeError, match="direct map not initialized"):  # FAISS asks for `make_direct_map()`
            twin.max_marginal_relevance_search(QUESTION)
        twin.index.make_direct_map()
    assert twin.max_marginal_relevance_search(QUESTION, k=2, fetch_k=5)[0].page_content == ANSWER
    assert twin.as_retriever(search_type="mmr").invoke(QUESTION)[0].page_content == ANSWER
    if kind.startswith("Qdrant"):  # asks the embeddings for their dimensions at each such search, with a document
        assert base.documents == ["dummy_text"] * 2
        base.documents.clear()
    assert ANSWER in [document.page_content for document in twin.search(QUESTION, "similarity")]


async def test_the_twin_finds_it_asynchronously(kind, store, base, untouched) -> None:
    twin = adapt_store(store, turned_back(base))
    if kind.startswith("PGVector,"):
        with pytest.raises(AssertionError, match="_async_engine not found"):
            await twin.asimilarity_search(QUESTION, k=1)
        return
    assert (await twin.asimilarity_search(QUESTION, k=1))[0].page_content == ANSWER
    assert (await twin.as_retriever(search_kwargs={"k": 1}).ainvoke(QUESTION))[0].page_content == ANSWER
    assert (await store.asimilarity_search(QUESTION, k=1))[0].page_content != ANSWER


def test_filters_reach_the_store(kind, store, base, dataset, untouched) -> None:
    other = dataset.document("p2-120")
    conditions = {"source": other}
    if kind.startswith("in memory"):
        found = adapt_store(store, turned_back(base)).similarity_search(
            QUESTION, k=3, filter=lambda document: document.metadata["source"] == other
        )
    elif kind.startswith("Qdrant"):
        from qdrant_client.models import FieldCondition, Filter, MatchValue

        condition = FieldCondition(key="metadata.source", match=MatchValue(value=other))
        found = adapt_store(store, turned_back(base)).similarity_search(QUESTION, k=3, filter=Filter(must=[condition]))
    elif kind.startswith("PGVectorStore"):
        found = adapt_store(store, turned_back(base)).similarity_search(QUESTION, k=3, filter={"key": "p2-120"})
    else:
        deep = {"fetch_k": 120} if kind.startswith("FAISS") else {}  # it filters what it has fetched
        found = adapt_store(store, turned_back(base)).similarity_search(QUESTION, k=3, filter=conditions, **deep)
    assert found
    assert {document.metadata["source"] for document in found} == {other}


def test_what_is_added_through_the_twin_is_embedded_by_the_base(kind, store, base) -> None:
    twin = adapt_store(store, turned_back(base))
    twin.add_texts(["p 27 2"], [{"source": "new", "key": "new"}])
    assert base.documents[-1] == "p 27 2"
    assert twin.similarity_search("q 27 2", k=1)[0].page_content == "p 27 2"
    stored = read_store(store)
    row = stored.texts.index("p 27 2")
    np.testing.assert_allclose(stored.vectors[row], base._vector("p 27 2"), atol=1e-6)


def test_a_score_is_what_its_metric_says_of_the_cosine(store, base, untouched) -> None:
    reader = reader_of(store)
    question = np.array(base._vector(QUESTION))
    for document, score in store.similarity_search_with_score(QUESTION, k=5):
        cosine = float(question @ base._vector(document.page_content))
        assert float(score) == pytest.approx(reader.score_of(cosine), abs=2e-6)
        assert reader.cosine_of(float(score)) == pytest.approx(cosine, abs=2e-6)


def test_a_sample_holds_what_must_be_in_it(store, dataset, untouched) -> None:
    kept = set(list(read_store(store).ids)[::20])
    sample = read_store(store, sample=20, keep=kept, page_size=30)
    assert len(sample) == 20
    assert kept <= set(sample.ids)
    assert sample.total == len(dataset.corpus)
    assert read_store(store, sample=20, keep=kept, page_size=30).ids == sample.ids
    assert len(read_store(store, sample=1, keep=kept)) == len(kept)


def test_vectors_may_stay_on_disk(store, tmp_path: Path, untouched) -> None:
    mapped = read_store(store, path=tmp_path / "vectors.f32", texts=False, page_size=30)
    assert isinstance(mapped.vectors, np.memmap)
    assert mapped.texts == ()
    np.testing.assert_array_equal(mapped.vectors, read_store(store).vectors)


async def test_a_pgvector_in_async_mode_is_queried_adapted(server: str, base, dataset, tmp_path: Path) -> None:
    from langchain_postgres import PGVector
    from sqlalchemy import NullPool

    filled = POSTGRES["PGVector, cosine"][0](server, base, dataset, tmp_path)
    store = PGVector(
        base,
        connection=server,
        collection_name=filled.collection_name,
        async_mode=True,
        create_extension=False,
        engine_args={"poolclass": NullPool},
    )
    found = await adapt_store(store, turned_back(base)).asimilarity_search(QUESTION, k=1)
    assert found[0].page_content == ANSWER
    assert (await store.asimilarity_search(QUESTION, k=1))[0].page_content != ANSWER
    with pytest.raises(TypeError, match="open it without async_mode"):
        read_store(store)


def test_hybrid_search_in_qdrant_adapts_the_dense_query_only(base, dataset, tmp_path: Path) -> None:
    from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
    from qdrant_client import QdrantClient
    from qdrant_client.models import Distance, SparseVectorParams, VectorParams

    class Words(SparseEmbeddings):
        asked: ClassVar[list[str]] = []

        def embed_query(self, text: str) -> SparseVector:
            self.asked.append(text)
            return self.embed_documents([text])[0]

        def embed_documents(self, texts: list[str]) -> list[SparseVector]:
            return [SparseVector(indices=[int(text.split()[2])], values=[1.0]) for text in texts]

    client = QdrantClient(path=str(tmp_path / "qdrant"))
    client.create_collection(
        "angles",
        {"dense": VectorParams(size=DIMENSIONS, distance=Distance.COSINE)},
        sparse_vectors_config={"words": SparseVectorParams()},
    )
    store = QdrantVectorStore(
        client,
        "angles",
        base,
        retrieval_mode=RetrievalMode.HYBRID,
        vector_name="dense",
        sparse_embedding=Words(),
        sparse_vector_name="words",
        validate_embeddings=False,
        validate_collection_config=False,
    )
    fill(store, dataset, as_uuid)
    twin = adapt_store(store, turned_back(base))
    assert twin.similarity_search(QUESTION, k=1)[0].page_content == ANSWER
    assert store.similarity_search(QUESTION, k=1)[0].page_content != ANSWER
    assert Words.asked == [QUESTION] * 2
    assert read_store(store, page_size=25).vectors.shape == (len(dataset.corpus), DIMENSIONS)


def test_hybrid_search_in_postgres_adapts_the_dense_query_only(server: str, base, dataset, tmp_path: Path) -> None:
    from langchain_postgres.v2.hybrid_search_config import HybridSearchConfig, reciprocal_rank_fusion

    def hybrid() -> HybridSearchConfig:  # the store writes the first question into it: one a search
        return HybridSearchConfig(tsv_lang="pg_catalog.simple", fusion_function=reciprocal_rank_fusion)

    store = POSTGRES["PGVectorStore, cosine"][0](server, base, dataset, tmp_path)
    twin = adapt_store(store, turned_back(base))
    found = twin.similarity_search("q 24 2", k=1, hybrid_search_config=hybrid())
    assert found[0].page_content == ANSWER
    assert store.similarity_search("q 24 2", k=1, hybrid_search_config=hybrid())[0].page_content != ANSWER


def test_relevance_scores_are_on_the_bases_scale_where_there_is_a_calibration(kind, store, base, untouched) -> None:
    adapted = turned_back(base)
    plain = adapt_store(store, adapted)
    adapted.provenance["calibration"] = {"adapted": [0.0, 0.9, 1.0], "base": [0.0, 0.5, 0.8]}
    twin, reader = adapt_store(store, adapted), reader_of(store)
    if kind == "in memory":
        with pytest.raises(NotImplementedError):  # the store has no relevance scores, calibrated or not
            twin.similarity_search_with_relevance_scores(QUESTION, k=3)
        return
    raw = plain.similarity_search_with_score(QUESTION, k=3)
    found = twin.similarity_search_with_relevance_scores(QUESTION, k=3)
    relevance = store._select_relevance_score_fn()
    expected = [relevance(reader.score_of(adapted.calibration(reader.cosine_of(float(score))))) for _, score in raw]
    assert [score for _, score in found] == pytest.approx(expected, abs=1e-6)
    assert [document.page_content for document, _ in found] == [document.page_content for document, _ in raw]
    if relevance(reader.score_of(0.99)) < relevance(reader.score_of(0.5)):
        # LangChain takes these stores' inner product for a distance, with any embeddings: relevance falls as it rises
        # (https://github.com/langchain-ai/langchain-community/issues/427).
        assert kind in {"FAISS flat, inner product", "Qdrant, named, dot", "PGVectorStore, inner product"}
        return
    threshold = {"k": 3, "score_threshold": (expected[0] + expected[1]) / 2}
    kept = twin.as_retriever(search_type="similarity_score_threshold", search_kwargs=threshold).invoke(QUESTION)
    assert [document.page_content for document in kept] == [ANSWER]
