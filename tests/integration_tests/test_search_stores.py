"""Elasticsearch and OpenSearch, through their own clients: read back without embedding, and queried adapted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter import QADataset, adapt_store, read_store
from langchain_embedding_adapter.stores import reader_of
from langchain_embedding_adapter.stores.elasticsearch import ElasticsearchReader
from langchain_embedding_adapter.stores.opensearch import OpenSearchReader
from tests.search_servers import SearchServer
from tests.small_world import DIMENSIONS, AngleEmbeddings, turned_back

elastic = pytest.importorskip("langchain_elasticsearch", reason="pip install langchain-elasticsearch")
pytest.importorskip("opensearchpy", reason="pip install opensearch-py")

QUESTION, ANSWER = "q 24 2", "p 24 2"
ELASTIC = {"COSINE": "cosine", "DOT_PRODUCT": "dot", "EUCLIDEAN_DISTANCE": "l2", "MAX_INNER_PRODUCT": "dot"}
SPACES = {"cosinesimil": "cosine", "innerproduct": "dot", "l2": "l2"}
EXACT = {name: metric for name, metric in ELASTIC.items() if name != "MAX_INNER_PRODUCT"}
KINDS = {
    **{f"Elasticsearch, {name}": metric for name, metric in ELASTIC.items()},
    **{f"Elasticsearch exact, {name}": metric for name, metric in EXACT.items()},
    **{
        f"OpenSearch {engine}, {name}": metric
        for engine in ("lucene", "faiss", "nmslib")
        for name, metric in SPACES.items()
    },
}

Serve = Callable[..., SearchServer]


def fill(store: VectorStore, dataset: QADataset, **settings: Any) -> VectorStore:
    metadatas = [{"source": dataset.document(key), "key": key} for key in dataset.corpus]
    store.add_texts(list(dataset.corpus.values()), metadatas, ids=list(dataset.corpus), **settings)
    return store


def elasticsearch(server: SearchServer, base: Embeddings | None, distance: str = "COSINE", **settings: Any) -> Any:
    from elasticsearch.helpers.vectorstore import DenseVectorStrategy, DistanceMetric

    settings.setdefault("strategy", DenseVectorStrategy(distance=DistanceMetric(distance)))
    return elastic.ElasticsearchStore("angles", embedding=base, client=CLIENTS.elasticsearch(server), **settings)


def exact(server: SearchServer, base: Embeddings, distance: str) -> Any:
    from elasticsearch.helpers.vectorstore import DenseVectorScriptScoreStrategy, DistanceMetric

    return elasticsearch(server, base, strategy=DenseVectorScriptScoreStrategy(DistanceMetric(distance)))


def opensearch(server: SearchServer, base: Embeddings, **settings: Any) -> Any:
    from langchain_community.vectorstores import OpenSearchVectorSearch

    store = OpenSearchVectorSearch(server.url, "angles", base, **settings)
    CLIENTS.opened.append(store.client)
    return store


class Clients:
    """Those that a test has opened."""

    def __init__(self) -> None:
        self.opened: list[Any] = []

    def elasticsearch(self, server: SearchServer) -> Any:
        from elasticsearch import Elasticsearch

        self.opened.append(Elasticsearch(server.url))
        return self.opened[-1]

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()


CLIENTS = Clients()


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[SearchServer] = []

    def make(
        kind: Literal["elasticsearch", "opensearch"] = "elasticsearch", version: str | None = None
    ) -> SearchServer:
        servers.append(SearchServer(kind, version or {"elasticsearch": "8.19.3", "opensearch": "2.19.1"}[kind]))
        return servers[-1].__enter__()

    yield make
    CLIENTS.close()
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def server(kind: str, serve: Serve) -> SearchServer:
    return serve("opensearch" if kind.startswith("OpenSearch") else "elasticsearch")


@pytest.fixture
def store(kind: str, server: SearchServer, base: AngleEmbeddings, dataset: QADataset) -> Any:
    family, distance = kind.split(", ")
    if family == "Elasticsearch":
        return fill(elasticsearch(server, base, distance), dataset)
    if family == "Elasticsearch exact":
        return fill(exact(server, base, distance), dataset)
    engine = family.removeprefix("OpenSearch ")
    return fill(opensearch(server, base, engine=engine), dataset, space_type=distance)


@pytest.fixture
def untouched(base: AngleEmbeddings, store: Any) -> Iterator[None]:
    """No document may be embedded from here on."""
    base.documents.clear()
    base.document_calls = 0
    yield
    assert (base.documents, base.document_calls) == ([], 0)


def first(store: VectorStore, **settings: Any) -> str:
    return store.similarity_search(QUESTION, k=1, **settings)[0].page_content


def test_everything_is_read_back_in_pages(kind, store, server, base, dataset, untouched) -> None:
    base.queries.clear()
    server.requests.clear()
    stored = read_store(store, page_size=25)
    assert stored.ids == tuple(dataset.corpus)
    assert stored.texts == tuple(dataset.corpus.values())
    assert list(stored.metadatas) == [{"source": dataset.document(key), "key": key} for key in dataset.corpus]
    expected = np.array([base._vector(text) for text in dataset.corpus.values()], dtype=np.float32)
    np.testing.assert_array_equal(stored.vectors, expected)
    assert stored.normalised
    assert stored.metric == KINDS[kind]
    assert base.queries == []
    assert reader_of(store).embeddings is base
    pages = [path for _, path in server.requests if path.endswith(("_search", "_search/scroll"))]
    assert len(pages) >= len(dataset.corpus) / 25
    assert server.open_views == {}


def test_a_view_is_closed_by_a_reader_that_stops_early(store, server, untouched) -> None:
    pages = reader_of(store).pages(10)
    assert len(next(pages).ids) == 10
    assert len(server.open_views) == 1
    pages.close()
    assert server.open_views == {}


def test_what_is_written_while_it_is_read_is_not_in_it(store, dataset) -> None:
    pages = reader_of(store).pages(25)
    found = list(next(pages).ids)
    store.add_texts(["p 27 2"], ids=["new"])
    for page in pages:
        found += page.ids
    assert found == list(dataset.corpus)


def test_the_twin_finds_what_the_store_does_not(store, base, untouched) -> None:
    twin = adapt_store(store, turned_back(base))
    assert type(twin) is type(store)
    for _ in range(2):
        assert first(store) != ANSWER
        assert first(twin) == ANSWER
    assert twin.similarity_search_with_score(QUESTION, k=1)[0][0].page_content == ANSWER
    assert twin.as_retriever(search_kwargs={"k": 1}).invoke(QUESTION)[0].page_content == ANSWER
    assert twin.max_marginal_relevance_search(QUESTION, k=2, fetch_k=5)[0].page_content == ANSWER
    assert twin.as_retriever(search_type="mmr").invoke(QUESTION)[0].page_content == ANSWER
    assert store.max_marginal_relevance_search(QUESTION, k=1, fetch_k=5)[0].page_content != ANSWER
    assert store.embeddings is base
    assert reader_of(twin).embeddings is twin.embeddings is not base


def test_the_twin_finds_it_asynchronously(store, base, untouched) -> None:
    twin = adapt_store(store, turned_back(base))

    async def search() -> list[list[Document]]:
        return [
            await twin.asimilarity_search(QUESTION, k=1),
            await twin.as_retriever(search_kwargs={"k": 1}).ainvoke(QUESTION),
            await twin.amax_marginal_relevance_search(QUESTION, k=1, fetch_k=5),
            [document for document, _ in await twin.asimilarity_search_with_score(QUESTION, k=1)],
            await store.asimilarity_search(QUESTION, k=1),
        ]

    *adapted, plain = asyncio.run(search())
    assert [found[0].page_content for found in adapted] == [ANSWER] * 4
    assert plain[0].page_content != ANSWER


def test_filters_reach_the_store(kind, store, base, dataset, untouched) -> None:
    other = dataset.document("p2-120")
    condition = {"term": {"metadata.source.keyword": other}}
    twin = adapt_store(store, turned_back(base))
    if kind.startswith("OpenSearch nmslib"):  # filters what it has found
        assert twin.similarity_search(QUESTION, k=3, filter=condition) == []
        found = twin.similarity_search(QUESTION, k=60, filter=condition)
    else:
        found = twin.similarity_search(QUESTION, k=3, filter=condition if "Open" in kind else [condition])
    assert found
    assert {document.metadata["source"] for document in found} == {other}


def test_what_is_added_through_the_twin_is_embedded_by_the_base(store, base) -> None:
    twin = adapt_store(store, turned_back(base))
    twin.add_texts(["p 27 2"], [{"source": "new", "key": "new"}], ids=["new"])
    assert base.documents[-1] == "p 27 2"
    assert twin.similarity_search("q 27 2", k=1)[0].page_content == "p 27 2"
    stored = read_store(store)
    np.testing.assert_array_equal(stored.vectors[stored.ids.index("new")], np.float32(base._vector("p 27 2")))
    assert twin.delete(["new"])
    assert "p 27 2" not in read_store(store).texts


def test_a_score_is_what_its_metric_says_of_the_cosine(kind, store, base, untouched) -> None:
    reader, plane = reader_of(store), {"match": {"text": "2"}}
    question = np.array(base._vector(QUESTION))
    signs = set()
    some = {"k": 60, "filter": plane} if "Open" in kind else {"k": 50, "filter": [plane]}  # never more than 50
    for document, score in store.similarity_search_with_score(QUESTION, **some):
        cosine = float(question @ base._vector(document.page_content))
        signs.add(round(cosine) if abs(cosine) > 0.5 else 0)
        assert reader.score_of(cosine) == pytest.approx(score, abs=2e-6)
        assert reader.cosine_of(score) == pytest.approx(cosine, abs=5e-6)
    assert signs == {-1, 0, 1}


def test_ids_are_those_that_search_finds(kind, store, dataset, untouched) -> None:
    reader = reader_of(store)
    found = store.similarity_search(QUESTION, k=5)
    if kind.startswith("Elasticsearch"):  # its documents carry no id unless they are built with one
        assert [reader.identify(document) for document in found] == [None] * 5

        def build(hit: dict[str, Any]) -> Document:
            return Document(hit["_source"]["text"], id=hit["_id"])

        found = store.similarity_search(QUESTION, k=5, doc_builder=build)
    assert [dataset.corpus[reader.identify(document)] for document in found] == [found.page_content for found in found]


@pytest.mark.parametrize(
    "kind", ["Elasticsearch, COSINE", "Elasticsearch exact, COSINE", "OpenSearch lucene, l2"], indirect=True
)
def test_documents_without_a_vector_are_passed_over(kind, store, dataset, untouched) -> None:
    store.client.index(index="angles", id="note", refresh=True, **_body(kind, {"text": "a note"}))
    assert read_store(store).ids == tuple(dataset.corpus)


def _body(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    return {"body" if kind.startswith("OpenSearch") else "document": document}


@pytest.mark.parametrize("version", ["8.11.0", "8.19.3", "9.1.0", "9.2.0"])
def test_elasticsearch_of_any_version_gives_its_vectors(version, serve, base, dataset) -> None:
    store = fill(elasticsearch(serve(version=version), base), dataset)
    hidden = version == "9.2.0"
    assert ("vector" not in store.client.search(index="angles")["hits"]["hits"][0]["_source"]) == hidden
    stored = read_store(store, page_size=25)
    expected = np.array([base._vector(text) for text in dataset.corpus.values()], dtype=np.float32)
    np.testing.assert_array_equal(stored.vectors, expected)
    assert first(adapt_store(store, turned_back(base))) == ANSWER


@pytest.mark.parametrize("rrf", [True, False, {"rank_constant": 1, "rank_window_size": 50}])
def test_hybrid_search_adapts_the_dense_query_alone(rrf, serve, base, dataset) -> None:
    from elasticsearch.helpers.vectorstore import DenseVectorStrategy

    store = fill(elasticsearch(serve(), base, strategy=DenseVectorStrategy(hybrid=True, rrf=rrf)), dataset)
    twin = adapt_store(store, turned_back(base))
    bodies: list[dict[str, Any]] = []

    def see(body: dict[str, Any], query: str | None) -> dict[str, Any]:
        bodies.append(body)
        return body

    assert first(twin, custom_query=see) == ANSWER
    store.similarity_search(QUESTION, k=1, custom_query=see)
    adapted, plain = bodies
    knn, words = _parts(adapted, rrf)
    assert words == _parts(plain, rrf)[1]
    assert QUESTION in str(words)
    np.testing.assert_allclose(knn["query_vector"], base._vector(ANSWER), atol=1e-6)
    np.testing.assert_array_equal(_parts(plain, rrf)[0]["query_vector"], base._vector(QUESTION))
    with pytest.raises(ValueError, match="scores are currently not supported in hybrid mode"):
        twin.similarity_search_with_score(QUESTION)


def _parts(body: dict[str, Any], rrf: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The dense query and the one by words."""
    if rrf is False:
        return body["knn"], body["query"]
    standard, knn = body["retriever"]["rrf"]["retrievers"]
    return knn["knn"], standard["standard"]


def test_the_words_alone_would_not_find_it(serve, base, dataset) -> None:
    from elasticsearch.helpers.vectorstore import BM25Strategy

    server = serve()
    fill(elasticsearch(server, base), dataset)
    assert first(elasticsearch(server, None, strategy=BM25Strategy())) == ANSWER
    store = elasticsearch(server, base)
    assert first(store) != ANSWER


def test_a_model_within_elasticsearch_cannot_be_adapted(serve) -> None:
    from elasticsearch.helpers.vectorstore import DenseVectorStrategy

    store = elasticsearch(serve(), None, strategy=DenseVectorStrategy(model_id="e5"))
    with pytest.raises(TypeError, match="the model 'e5' within Elasticsearch embeds its queries; open it with `embed"):
        adapt_store(store, turned_back(AngleEmbeddings()))
    with pytest.raises(TypeError, match="it has no embeddings"):
        adapt_store(elasticsearch(serve(), None), turned_back(AngleEmbeddings()))


def test_an_index_without_dense_vectors_is_refused(serve, base) -> None:
    store = elasticsearch(serve(), base)
    store.client.indices.create(index="angles", mappings={"properties": {"text": {"type": "text"}}})
    with pytest.raises(TypeError, match="'vector' of the index 'angles' holds no dense vectors"):
        read_store(store)


def test_hybrid_search_of_opensearch_adapts_the_dense_query_alone(serve, base, dataset) -> None:
    store = fill(opensearch(serve("opensearch"), base), dataset, space_type="cosinesimil")
    twin = adapt_store(store, turned_back(base))
    twin.configure_search_pipelines("fused", 0.1, 0.9)
    base.queries.clear()
    base.documents.clear()
    hybrid = {"search_type": "hybrid_search", "search_pipeline": "fused"}
    assert first(twin, **hybrid) == ANSWER
    assert base.queries == [QUESTION] * 2  # LangChain embeds it twice
    assert first(store, **hybrid) != ANSWER
    assert base.documents == []


def test_script_scoring_of_opensearch_is_queried_adapted(serve, base, dataset) -> None:
    store = fill(opensearch(serve("opensearch"), base), dataset)
    scripted = {"search_type": "script_scoring", "space_type": "cosinesimil"}
    assert first(adapt_store(store, turned_back(base)), **scripted) == ANSWER
    assert first(store, **scripted) != ANSWER


@pytest.mark.parametrize("version", ["2.18.0", "2.19.0", "3.1.0"])
def test_the_scale_of_nmslib_is_that_of_the_server(version, serve, base, dataset) -> None:
    server = serve("opensearch", version)
    engine = "nmslib" if server.release < (3, 0) else "lucene"
    store = fill(opensearch(server, base, engine=engine), dataset, space_type="cosinesimil")
    reader = reader_of(store)
    found, raw = store.similarity_search_with_score("p 31 2", k=1)[0]
    cosine = float(np.array(base._vector("p 31 2")) @ base._vector(found.page_content))
    assert reader.score_of(cosine) == pytest.approx(raw, abs=1e-6)
    assert reader.cosine_of(raw) == pytest.approx(cosine, abs=1e-6)
    assert (raw == pytest.approx(1 / (2 - cosine))) == (version == "2.18.0")


def test_opensearch_3_makes_no_index_with_the_default_engine(serve, base, dataset) -> None:
    from opensearchpy import RequestError

    with pytest.raises(RequestError, match="nmslib engine is deprecated"):
        fill(opensearch(serve("opensearch", "3.1.0"), base), dataset)


def test_fields_of_other_names_are_found_in_the_mapping(serve, base, dataset) -> None:
    names = {"vector_field": "dense", "text_field": "passage"}
    store = fill(opensearch(serve("opensearch"), base), dataset, space_type="innerproduct", **names)
    stored = read_store(store, page_size=25)
    assert (stored.texts, stored.metric) == (tuple(dataset.corpus.values()), "dot")
    assert stored.metadatas[0]["key"] == stored.ids[0]
    assert first(adapt_store(store, turned_back(base)), **names) == ANSWER


@pytest.mark.parametrize(
    ("field", "metric"),
    [
        ({"space_type": "cosinesimil"}, "cosine"),
        ({"method": {"name": "hnsw", "engine": "faiss"}, "space_type": "innerproduct"}, "dot"),
        ({}, "l2"),
        ({"model_id": "trained"}, "dot"),
    ],
)
def test_the_space_is_read_wherever_the_mapping_has_it(field, metric, serve, base) -> None:
    server = serve("opensearch")
    server.models["trained"] = {"model_id": "trained", "space_type": "innerproduct", "engine": "faiss"}
    store = opensearch(server, base)
    properties = {"vector_field": {"type": "knn_vector", "dimension": DIMENSIONS, **field}}
    store.client.indices.create(index="angles", body={"mappings": {"properties": properties}})
    assert reader_of(store).metric == metric


def test_spaces_and_fields_that_are_not_known_are_refused(serve, base) -> None:
    store = opensearch(serve("opensearch"), base)
    vector = {"type": "knn_vector", "dimension": DIMENSIONS, "space_type": "l1"}
    store.client.indices.create(index="angles", body={"mappings": {"properties": {"one": vector}}})
    with pytest.raises(TypeError, match="the index compares by l1"):
        read_store(store)
    store.client.indices.delete(index="angles")
    store.client.indices.create(index="angles", body={"mappings": {"properties": {"one": vector, "two": vector}}})
    with pytest.raises(TypeError, match="no field 'vector_field' of type knn_vector, and not one other but 2"):
        read_store(store)


def test_documents_without_a_field_of_metadata_give_all_they_hold(serve, base) -> None:
    store = opensearch(serve("opensearch"), base, engine="lucene")
    store.create_index(DIMENSIONS, "angles")
    document = {"text": ANSWER, "vector_field": base._vector(ANSWER), "year": 1999}
    store.client.index(index="angles", id="one", body=document, refresh=True)
    assert read_store(store).metadatas == ({"year": 1999},)


def test_the_stores_hold_their_embeddings_where_the_readers_look(serve, base) -> None:
    """A release that moves them fails here: the twin would query with the base."""
    from langchain_elasticsearch.embeddings import EmbeddingServiceAdapter

    def inside(holder: Any, seen: tuple[int, ...] = ()) -> set[str]:
        """The places, with dots, in which an object holds the embeddings."""
        found = set()
        for name, value in vars(holder).items():
            if value is base:
                found.add(name)
            elif type(value).__module__.startswith(("langchain_", "elasticsearch.helpers")) and id(value) not in seen:
                found |= {f"{name}.{inner}" for inner in inside(value, (*seen, id(value)))}
        return found

    store = elasticsearch(serve(), base)
    assert isinstance(store._embedding_service, EmbeddingServiceAdapter)
    assert store._embedding_service is store._store.embedding_service
    assert inside(store) == {
        "embedding",
        "_embedding_service._langchain_embeddings",
        "_store.embedding_service._langchain_embeddings",
    }
    assert {"client", "index", "text_field", "vector_field", "retrieval_strategy"} <= vars(store._store).keys()
    assert inside(adapt_store(store, turned_back(AngleEmbeddings()))) == set()
    community = opensearch(serve("opensearch"), base)
    assert inside(community) == {"embedding_function"}
    assert {"client", "index_name", "is_aoss"} <= vars(community).keys()
    assert inside(adapt_store(community, turned_back(AngleEmbeddings()))) == set()
    assert type(reader_of(store)) is ElasticsearchReader
    assert type(reader_of(community)) is OpenSearchReader


async def test_an_asynchronous_store_is_queried_adapted(
    serve: Serve, base: AngleEmbeddings, dataset: QADataset
) -> None:
    from elasticsearch import AsyncElasticsearch
    from langchain_elasticsearch import AsyncElasticsearchStore

    server = serve()
    fill(elasticsearch(server, base), dataset)
    async with AsyncElasticsearch(server.url) as client:
        store = AsyncElasticsearchStore("angles", embedding=base, client=client)
        twin = adapt_store(store, turned_back(base))
        assert (await twin.asimilarity_search(QUESTION, k=1))[0].page_content == ANSWER
        assert (await store.asimilarity_search(QUESTION, k=1))[0].page_content != ANSWER
        with pytest.raises(TypeError, match="open its index with ElasticsearchStore"):
            read_store(store)
