"""Vector stores: the same collection, queried through adapted embeddings."""

from __future__ import annotations

import copy
from typing import TypeVar

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

AnyStore = TypeVar("AnyStore", bound=VectorStore)

HOLDERS = (
    "embedding",  # InMemoryVectorStore
    "embedding_function",  # FAISS, PGVector
    "_embedding_function",  # Chroma
    "_embeddings",  # Qdrant
    "embedding_func",  # Milvus
    "_embedding",  # LanceDB
    "embeddings",
)
"""Attributes in which vector stores hold their embeddings."""


def adapt_store(store: AnyStore, adapted: Embeddings) -> AnyStore:
    """The same collection, queried through ``adapted``; the store given is untouched.

    A shallow copy: both share the client, the index and the documents. What is added through either is embedded by the
    base and found by both.

    Args:
        store: A LangChain vector store whose documents the base of ``adapted`` has embedded.
        adapted: The ``AdaptedEmbeddings``.

    Raises:
        TypeError: If the store holds its embeddings in no place that is known; make it anew with ``adapted`` instead.

    Example:
        >>> from langchain_core.embeddings import DeterministicFakeEmbedding
        >>> from langchain_core.vectorstores import InMemoryVectorStore
        >>> from langchain_embedding_adapter import AdaptedEmbeddings, LinearAdapter
        >>> base = DeterministicFakeEmbedding(size=8)
        >>> store = InMemoryVectorStore.from_texts(["A Mars year lasts 687 days."], base)
        >>> adapted = AdaptedEmbeddings(base, LinearAdapter(8, 8))
        >>> len(adapt_store(store, adapted).similarity_search("How long is a year on Mars?"))
        1
    """
    held = [name for name in HOLDERS if isinstance(vars(store).get(name), Embeddings)]
    if not held:
        raise TypeError(
            f"{type(store).__name__} holds its embeddings in none of {', '.join(HOLDERS)}; "
            "open the collection anew with the adapted embeddings instead"
        )
    twin = copy.copy(store)
    for name in held:
        setattr(twin, name, adapted)
    return twin
