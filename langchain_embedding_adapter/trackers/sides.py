"""The same questions before and after an adapter, and the passages that both are compared with: as matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from langchain_core.vectorstores import VectorStore

from langchain_embedding_adapter.embeddings.adapted import AdaptedEmbeddings
from langchain_embedding_adapter.evaluation.stored_pairs import align, as_stored, embed_questions
from langchain_embedding_adapter.pairs.dataset import QADataset
from langchain_embedding_adapter.result import TrainingResult
from langchain_embedding_adapter.stores import StoredVectors
from langchain_embedding_adapter.vector_cache import VectorCache, cache_of
from langchain_embedding_adapter.vectors import Floats, PairVectors, embed_dataset, embed_queries

if TYPE_CHECKING:
    from langchain_embedding_adapter.bridging.model_change import BridgeResult  # it brings torch

Adapted: TypeAlias = "TrainingResult | BridgeResult | AdaptedEmbeddings"


@dataclass(frozen=True)
class Sides:
    """Both sides of a comparison.

    Attributes:
        vectors: Questions and passages; its queries are the base's, or where another model built the index that model's
            own.
        adapted: ``(questions, passage dimensions)``, the adapted queries.
        dataset: The questions, by a store's ids where there is one.
    """

    vectors: PairVectors
    adapted: Floats
    dataset: QADataset


def sides_of(adapted: Adapted, dataset: QADataset, store: VectorStore | StoredVectors | None = None) -> Sides:
    """Embed what is not known yet, and adapt.

    Args:
        adapted: The result of training or of bridging, whose vectors are known, or adapted embeddings.
        dataset: Questions and passages.
        store: A vector store that holds the passages, in place of embedding them.
    """
    if isinstance(adapted, AdaptedEmbeddings):
        embeddings, cache = adapted, VectorCache()
    else:
        embeddings, cache = adapted.embeddings, adapted._cache
    base, native = embeddings.embeddings, embeddings.document_embeddings
    known = cache_of(native, cache, base)
    if store is None:
        vectors = embed_dataset(native, dataset, cache=known)
    else:
        stored = as_stored(store)
        dataset = align(dataset, stored)
        vectors = embed_questions(native, dataset, stored, cache=known)
    asked = vectors.queries
    if native is not base:
        asked = embed_queries(base, list(dataset.queries.values()), cache=cache)
    return Sides(vectors, embeddings.adapt(asked), dataset)
