"""``langchain_qdrant``'s ``QdrantVectorStore``: dense vectors, named ones too, and sparse ones beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from langchain_core.documents import Document

from langchain_embedding_adapter.stores.base import Metric, SimilarityScores, StoredPage


class QdrantReader(SimilarityScores):
    """Scrolls through the collection; scores are cosines, inner products or, for Euclid, distances.

    With ``COSINE`` Qdrant keeps vectors scaled to length one, and that is what is read back. In hybrid search only the
    dense query is adapted. A document found has its point's id in ``metadata["_id"]``. Search by maximal marginal
    relevance calls ``embed_documents(["dummy_text"])`` each time, to learn the dimensions.
    """

    holders = ("_embeddings",)

    @property
    def metric(self) -> Metric:
        """By the collection, whatever the store was told.

        Raises:
            TypeError: If the collection compares by Manhattan distance.
        """
        known: dict[str, Metric] = {"Cosine": "cosine", "Dot": "dot", "Euclid": "l2"}
        distance = str(self._params().distance.value)
        if distance not in known:
            raise TypeError(f"the collection compares by {distance} distance, which an adapter is not trained for")
        return known[distance]

    def pages(self, size: int) -> Iterator[StoredPage]:
        """Its points, in the order of their ids."""
        store, offset = self.store, None
        wanted = [store.vector_name] if store.vector_name else True
        while True:
            points, offset = store.client.scroll(
                store.collection_name,
                limit=size,
                offset=offset,
                with_payload=True,
                with_vectors=wanted,
            )
            if points:
                yield StoredPage(
                    [str(point.id) for point in points],
                    [(point.payload or {}).get(store.content_payload_key) or "" for point in points],
                    [dict((point.payload or {}).get(store.metadata_payload_key) or {}) for point in points],
                    np.array([self._vector(point.vector) for point in points], dtype=np.float32),
                )
            if offset is None:
                return

    def identify(self, document: Document) -> str | None:
        """The point's id."""
        found = document.metadata.get("_id", document.id)
        return None if found is None else str(found)

    def cosine_of(self, score: float) -> float:
        """A distance in collections that compare by Euclid, else the cosine itself."""
        return 1 - score**2 / 2 if self.metric == "l2" else score

    def score_of(self, cosine: float) -> float:
        """The inverse."""
        return max(0.0, 2 - 2 * cosine) ** 0.5 if self.metric == "l2" else cosine

    def _params(self) -> Any:
        vectors = self.store.client.get_collection(self.store.collection_name).config.params.vectors
        return vectors[self.store.vector_name] if isinstance(vectors, dict) else vectors

    def _vector(self, found: Any) -> Any:
        """One point's vector: a dictionary by name where vectors have names, sparse ones beside it or not."""
        return found[self.store.vector_name] if isinstance(found, dict) else found
