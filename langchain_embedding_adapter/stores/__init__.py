"""Vector stores: read back without embedding anything, and queried adapted."""

from langchain_embedding_adapter.stores.base import DistanceScores, Metric, SimilarityScores, StoredPage, StoreReader
from langchain_embedding_adapter.stores.reading import StoredVectors, read_store
from langchain_embedding_adapter.stores.registry import reader_of, register_store
from langchain_embedding_adapter.stores.twins import adapt_store

__all__ = [
    "DistanceScores",
    "Metric",
    "SimilarityScores",
    "StoreReader",
    "StoredPage",
    "StoredVectors",
    "adapt_store",
    "read_store",
    "reader_of",
    "register_store",
]
