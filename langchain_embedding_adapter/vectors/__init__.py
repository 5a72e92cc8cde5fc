"""Pairs as matrices, embedded once; in memory, or mapped from shards on disk."""

from __future__ import annotations

from langchain_embedding_adapter.vectors.embedding import (
    embed_dataset,
    embed_each_query,
    embed_passages,
    embed_queries,
    remember_documents,
)
from langchain_embedding_adapter.vectors.pair_vectors import NO_ROWS, NO_SCORES, Floats, PairVectors, unit
from langchain_embedding_adapter.vectors.patience import QUERY_CONCURRENCY
from langchain_embedding_adapter.vectors.ragged import Ragged
from langchain_embedding_adapter.vectors.shards import open_pair_vectors, save_pair_vectors
from langchain_embedding_adapter.vectors.to_folder import EmbeddingSummary, embed_texts

__all__ = [
    "NO_ROWS",
    "NO_SCORES",
    "QUERY_CONCURRENCY",
    "EmbeddingSummary",
    "Floats",
    "PairVectors",
    "Ragged",
    "embed_dataset",
    "embed_each_query",
    "embed_passages",
    "embed_queries",
    "embed_texts",
    "open_pair_vectors",
    "remember_documents",
    "save_pair_vectors",
    "unit",
]
