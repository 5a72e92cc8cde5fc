"""Which reader reads which store. No store's package is imported before such a store is at hand."""

from __future__ import annotations

from importlib import import_module

from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter.stores.base import StoreReader, UnknownReader

READERS: dict[str, str] = {
    "langchain_core.vectorstores.in_memory.InMemoryVectorStore": "in_memory:InMemoryReader",
    "langchain_community.vectorstores.faiss.FAISS": "faiss:FaissReader",
    "langchain_chroma.vectorstores.Chroma": "chroma:ChromaReader",
    "langchain_community.vectorstores.chroma.Chroma": "chroma:ChromaReader",
    "langchain_qdrant.qdrant.QdrantVectorStore": "qdrant:QdrantReader",
    "langchain_postgres.vectorstores.PGVector": "pgvector:PGVectorReader",
    "langchain_postgres.v2.vectorstores.PGVectorStore": "pgvectorstore:PGVectorStoreReader",
    "langchain_milvus.vectorstores.milvus.Milvus": "milvus:MilvusReader",
    "langchain_community.vectorstores.lancedb.LanceDB": "lancedb:LanceDBReader",
    "langchain_elasticsearch._sync.vectorstores.ElasticsearchStore": "elasticsearch:ElasticsearchReader",
    "langchain_elasticsearch._async.vectorstores.AsyncElasticsearchStore": "elasticsearch:AsyncElasticsearchReader",
    "langchain_community.vectorstores.opensearch_vector_search.OpenSearchVectorSearch": "opensearch:OpenSearchReader",
}
"""Readers by the full names of the stores they read, subclasses included."""

_REGISTERED: dict[type, type[StoreReader]] = {}


def register_store(store_class: type, reader: type[StoreReader]) -> None:
    """Have stores of a class, and of its subclasses, read by ``reader``; one that was registered before gives way.

    Raises:
        TypeError: If ``reader`` is no :class:`StoreReader`.
    """
    if not (isinstance(reader, type) and issubclass(reader, StoreReader)):
        raise TypeError(f"expected a subclass of StoreReader, got {reader!r}")
    _REGISTERED[store_class] = reader


def reader_of(store: VectorStore) -> StoreReader:
    """The reader of a store; one that only makes twins where the store is of no class that is known."""
    for known in type(store).__mro__:
        if known in _REGISTERED:
            return _REGISTERED[known](store)
        place = READERS.get(f"{known.__module__}.{known.__qualname__}")
        if place is not None:
            module, _, name = place.partition(":")
            reader: type[StoreReader] = getattr(import_module(f"langchain_embedding_adapter.stores.{module}"), name)
            return reader(store)
    return UnknownReader(store)
