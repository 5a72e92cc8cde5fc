"""Pairs as matrices, embedded once; in memory, or mapped from shards on disk."""

from __future__ import annotations

from langchain_embedding_adapter.vectors.embedding import (
    QUERY_CONCURRENCY,
    embed_dataset,
    embed_each_query,
    embed_passages,
    embed_queries,
    remember_documents,
)
from langchain_embedding_adapter.vectors.pair_vectors import NO_ROWS, NO_SCORES, Floats, PairVectors, unit
from langchain_embedding_adapter.vectors.ragged import Ragged
from langchain_embedding_adapter.vectors.shards import open_pair_vectors, save_pair_vectors

__all__ = [
    "NO_ROWS",
    "NO_SCORES",
    "QUERY_CONCURRENCY",
    "Floats",
    "PairVectors",
    "Ragged",
    "embed_dataset",
    "embed_each_query",
    "embed_passages",
    "embed_queries",
    "open_pair_vectors",
    "remember_documents",
    "save_pair_vectors",
    "unit",
]
